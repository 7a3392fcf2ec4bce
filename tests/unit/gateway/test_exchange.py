"""Signs of life on a stream that is silent, over a real connection."""

import asyncio
from collections.abc import Sequence

from tests.support.http2 import Receive, Scope, Send, Served, serving

from sekisho.gateway.exchange import Exchange

BEAT = b": beat\n\n"
ASK = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


async def test_a_silent_stream_is_kept_alive_until_it_ends() -> None:
    enough = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope)
        exchange.begin(200, [])
        with exchange.kept_alive(BEAT, seconds=0.001):
            await enough.wait()
        exchange.finish(b"end")

    async with serving(app) as server, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(ASK)
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(3):
            assert await reader.readuntil(BEAT + b"\r\n") == b"8\r\n" + BEAT + b"\r\n"
        enough.set()
        rest = await reader.readuntil(b"0\r\n\r\n")
        assert rest.endswith(b"3\r\nend\r\n0\r\n\r\n")
        writer.close()


async def test_a_dialect_without_keep_alives_gets_none() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope)
        exchange.begin(200, [])
        with exchange.kept_alive(b"", seconds=0.001):
            await asyncio.sleep(0.01)
            exchange.write(b"one")
        exchange.finish()

    async with serving(app) as server, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(ASK)
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readuntil(b"0\r\n\r\n") == b"3\r\none\r\n0\r\n\r\n"
        writer.close()


async def test_a_client_that_reads_nothing_gets_no_signs_of_life_on_top() -> None:
    written: list[bytes] = []
    over = asyncio.Event()

    class Counting(Exchange):
        def write(self, chunk: bytes) -> bool:
            written.append(chunk)
            return super().write(chunk)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Counting(scope)
        exchange.begin(200, [])
        while not exchange.full:
            exchange.write(b"x" * 65_536)
            await asyncio.sleep(0)
        before = len(written)
        with exchange.kept_alive(BEAT, seconds=0.001):
            await asyncio.sleep(0.05)
        assert len(written) == before
        over.set()

    async with serving(app) as server, asyncio.timeout(20):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(ASK)
        await over.wait()
        writer.close()


async def test_what_a_head_says_is_worked_out_once_for_all_requests_of_a_connection_that_have_it() -> None:
    asked: list[Sequence[tuple[bytes, bytes]]] = []

    def read_key(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        asked.append(headers)
        return dict(headers)[b"x-key"]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope)
        body = await exchange.body(1_000)
        told = exchange.recall(read_key), b"%d" % (exchange.header(b"content-length") is None), body
        exchange.answer(200, [], b" ".join(told))

    async def answers(server: Served, requests: list[tuple[bytes, bytes]]) -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        bodies = []
        for key, body in requests:
            writer.write(b"POST / HTTP/1.1\r\nX-Key: %b\r\nContent-Length: %d\r\n\r\n%b" % (key, len(body), body))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
            bodies.append(await reader.readexactly(length))
        writer.close()
        return bodies

    async with serving(app) as server, asyncio.timeout(20):
        same = [(b"one", b"x"), (b"one", b"yy"), (b"one", b"zzz")]
        assert await answers(server, same) == [b"one 1 x", b"one 1 yy", b"one 1 zzz"]
        assert len(asked) == 1
        assert await answers(server, same[:1]) == [b"one 1 x"]  # over a connection of its own
        assert len(asked) == 2
        assert await answers(server, [(b"one", b"x"), (b"two", b"x"), (b"two", b"x")]) == [
            b"one 1 x", b"two 1 x", b"two 1 x"
        ]  # fmt: skip
        assert len(asked) == 4
