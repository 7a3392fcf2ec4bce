"""What the server makes of HTTP/1.1 as clients really send it, byte for byte."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.http2 import serving
from tests.support.transports import KeptTransport

from sekisho.http.asgi import LINE, Receive, Scope, Send
from sekisho.http.http1 import Http1Protocol
from sekisho.http.state import ServerState


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the method, the path and the body."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    answer = b"%b %b %b" % (scope["method"].encode(), scope["path"].encode(), body)
    length = (b"content-length", b"%d" % len(answer))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": answer})


async def talk(app: Any, *sent: bytes) -> bytes:
    """Sends the parts, each after the server has had its turn, and gives all that comes until the server hangs up."""
    async with serving(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for part in sent:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        received = await reader.read()
        writer.close()
        return received


def bodies(received: bytes) -> list[bytes]:
    """The bodies of answers with Content-Length."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        found.append(rest[:length])
        received = rest[length:]
    return found


LAST = b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


async def test_requests_follow_each_other_on_one_connection() -> None:
    one = b"POST /one HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
    received = await talk(echo, one, LAST)
    assert received.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
    assert bodies(received) == [b"POST /one abc", b"GET /last "]


async def test_requests_sent_ahead_are_answered_in_their_order() -> None:
    ahead = b"".join(b"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n%d" % (n, n) for n in range(8))
    received = await talk(echo, ahead + LAST)
    assert bodies(received) == [b"POST /%d %d" % (n, n) for n in range(8)] + [b"GET /last "]


async def test_a_chunked_body_arrives_whole_without_its_trailers() -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await echo(scope, receive, send)
        seen.append(scope["headers"])

    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    received = await talk(app, head + b"3;x=y\r\nabc\r\n", b"2\r\nde\r\n0\r\nAuthorization: Bearer x\r\n\r\n" + LAST)
    assert bodies(received)[0] == b"POST / abcde"
    assert not any(name == b"authorization" for name, _ in seen[0])


@pytest.mark.parametrize("cut", range(1, 60, 7))
async def test_a_request_may_arrive_in_any_pieces(cut: int) -> None:
    request = b"POST /x%20y?q HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
    assert bodies(await talk(echo, request[:cut], request[cut:])) == [b"POST /x y abc"]


async def test_a_client_that_waits_for_continue_is_told_when_its_body_is_wanted() -> None:
    async with serving(echo) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        assert (await reader.readuntil(b"POST / hi")).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_an_early_answer_to_a_body_that_is_still_coming_ends_the_connection() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    received = await talk(app, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc")
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close\r\n" in received


SMUGGLED = {
    "two lengths": b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "length and chunks": b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding after chunked": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "space before the colon": b"Content-Length : 3\r\n\r\nabc",
    "folded header": b"X: a\r\n b\r\n\r\n",
    "negative length": b"Content-Length: -1\r\n\r\n",
    "length with a plus": b"Content-Length: +3\r\n\r\nabc",
    "bare line feed": b"X: a\nContent-Length: 3\r\n\r\nabc",
    "zero byte": b"X: a\x00b\r\n\r\n",
    "chunk size with a sign": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "huge chunk size": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n",
    "chunk without its end": b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("rest", SMUGGLED.values(), ids=SMUGGLED)
async def test_framing_that_two_servers_could_read_differently_is_refused(rest: bytes) -> None:
    received = await talk(echo, b"POST / HTTP/1.1\r\nHost: h\r\n" + rest + LAST)
    assert b" 200 " not in received
    assert b"GET /last" not in received


@pytest.mark.parametrize(
    "line", [b"nonsense", b"GET / HTTP/9.9", b"G\x00T / HTTP/1.1", b"GET /\xff HTTP/1.1", b"CONNECT h:1 HTTP/1.1"]
)
async def test_what_is_no_request_is_told_so(line: bytes) -> None:
    assert (await talk(echo, line + b"\r\nHost: h\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_endless_headers_are_refused() -> None:
    received = await talk(echo, b"GET / HTTP/1.1\r\n", b"X: " + b"a" * 70_000)
    assert received.startswith(b"HTTP/1.1 431 ")


async def test_a_head_that_is_too_long_is_refused_even_if_it_comes_at_once_and_a_long_body_is_not() -> None:
    for name, length, status in ((b"X", 70_000, b"431"), (b"Content-Length", 70_000, b"200")):
        state = ServerState(echo)
        wire, protocol = KeptTransport(), Http1Protocol(state)
        protocol.connection_made(wire)
        value = b"%d\r\n\r\n" % length if status == b"200" else b""
        protocol.data_received(b"POST / HTTP/1.1\r\n%b: %b%b\r\n\r\n" % (name, value, b"a" * length))
        await asyncio.gather(*state.tasks)
        assert wire.sent.startswith(b"HTTP/1.1 %b " % status)
        protocol.connection_lost(None)


async def test_an_endless_trailer_is_refused() -> None:
    async with serving(echo) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ")
        with contextlib.suppress(ConnectionResetError):
            for _ in range(100):
                writer.write(b"a" * 10_000)
                await writer.drain()
            assert await reader.read() == b""
        writer.close()


async def test_an_offered_upgrade_is_ignored_and_its_body_read() -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 2\r\n"
    assert bodies(await talk(echo, head + b"\r\nhi" + LAST)) == [b"POST / hi", b"GET /last "]


async def test_a_head_answer_has_no_body_and_an_old_client_no_chunks() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        await send({"type": "http.response.body", "body": b"def"})

    head = await talk(app, b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert head.endswith(b"\r\n\r\n")
    new = await talk(app, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert new.endswith(b"\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
    old = await talk(app, b"GET / HTTP/1.0\r\n\r\n")
    assert old.endswith(b"\r\n\r\nabcdef")
    assert b"chunked" not in old


async def test_a_failing_application_answers_500_before_and_breaks_off_after_the_head(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        raise ValueError("not for clients")

    request = b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n"
    early, late = await talk(app, request % b"/"), await talk(app, request % b"/late")
    assert early.startswith(b"HTTP/1.1 500 ")
    assert late.endswith(b"3\r\nabc\r\n")  # without the last chunk
    assert b"not for clients" not in early + late
    assert "not for clients" in caplog.text


async def test_an_application_learns_that_its_client_has_gone() -> None:
    gone = asyncio.Event()
    begun = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"][LINE].on_hangup(gone.set)
        begun.set()
        await gone.wait()
        assert (await receive())["type"] == "http.disconnect"

    async with serving(app) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await begun.wait()
        writer.close()
        await gone.wait()


async def test_a_body_that_is_there_can_be_taken_at_once_and_only_once() -> None:
    taken: list[bytes | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        line = scope["extensions"][LINE]
        taken.extend((line.take_whole_body(), line.take_whole_body()))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    head = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\n\r\n"
    assert (await talk(app, head + b"abc")).startswith(b"HTTP/1.1 204 ")
    assert taken == [b"abc", None]


async def test_a_client_that_reads_nothing_holds_the_application_back() -> None:
    sent = 0
    stuck = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(10_000):
            asyncio.get_running_loop().call_later(0.2, stuck.set)
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            sent += 65_536

    async with serving(app) as server:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            await stuck.wait()
            assert sent < 10 * 1024 * 1024


async def test_a_body_that_nobody_reads_holds_the_client_back() -> None:
    read = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read.wait()
        await echo(scope, receive, send)

    size = 32 * 1024 * 1024
    async with serving(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size)
        writer.write(b"x" * size)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert writer.transport.get_write_buffer_size() > size // 2
        read.set()
        assert len(await reader.readexactly(size)) == size
        writer.close()


async def test_requests_under_way_are_finished_when_the_server_stops() -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await go.wait()
        await echo(scope, receive, send)

    async with serving(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        _, idle = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        await begun.wait()
        stopped = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        go.set()
        assert (await reader.read()).endswith(b"GET /slow ")
        await stopped
        writer.close()
        idle.close()


PARTS = """
GET / HTTP/1.1
POST /x HTTP/1.1
HTTP/1.0
Host: h
Content-Length: 3
Transfer-Encoding: chunked
Connection: close
Connection: Upgrade
Upgrade: h2c
Expect: 100-continue
3
0
abc
"""
PIECES = st.lists(
    st.sampled_from([b"\r\n", b"\n", b"\x00", b"abc", *(f"{part}\r\n".encode() for part in PARTS.split("\n"))])
    | st.binary(max_size=20),
    max_size=20,
)


@given(pieces=PIECES, cut=st.integers(0, 20))
@settings(max_examples=300)
def test_no_bytes_break_the_server(pieces: list[bytes], cut: int) -> None:
    async def run() -> None:
        state = ServerState(echo)
        wire, protocol = KeptTransport(), Http1Protocol(state)
        protocol.connection_made(wire)
        for piece in (b"".join(pieces[:cut]), b"".join(pieces[cut:])):
            if piece and not wire.closed:
                protocol.data_received(piece)
                for _ in range(3):
                    await asyncio.sleep(0)
        protocol.connection_lost(None)
        await asyncio.gather(*state.tasks)
        assert not state.connections
        assert b" 500 " not in wire.sent

    asyncio.run(run())


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_slow_headers_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sekisho.http.http1.HEADER_SECONDS", 0.01)
    async with serving(echo) as server, connected(server.port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost:")
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""


async def test_an_idle_connection_is_closed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sekisho.http.http1.KEEP_ALIVE_SECONDS", 0.01)
    async with serving(echo) as server, connected(server.port) as (reader, writer):
        writer.write(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await reader.read()).endswith(b"GET /x ")


async def test_a_client_of_the_old_version_is_sent_no_interim_answer() -> None:
    request = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"
    assert (await talk(echo, request)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_an_upgrade_with_a_framing_that_is_none_ends_the_connection() -> None:
    failed: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failed.append(context))
    head = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: gzip\r\n\r\n"
    assert await talk(echo, head + LAST) == b""
    assert failed == []
