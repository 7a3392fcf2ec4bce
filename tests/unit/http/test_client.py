"""What the client makes of upstreams as they really answer, byte for byte."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.raw_upstream import OK, QUICK, Handler, Upstream, answering, post, running

from sekisho.http.client import UpstreamClient
from sekisho.http.connection import Connection
from sekisho.http.failures import Broken, CallFailed, ConnectFailed, TimedOut, Timeouts
from sekisho.http.outbox import Outbox


@pytest.fixture
async def client() -> AsyncIterator[UpstreamClient]:
    made = UpstreamClient()
    yield made
    await made.close()


async def test_a_request_goes_out_byte_for_byte_over_one_connection(client: UpstreamClient) -> None:
    async with running(answering(OK)) as upstream:
        for body in (b"{}", b"x" * 100_000, b""):
            assert await post(client, upstream.url, body) == (200, b"hi")
        assert upstream.connections == 1
        assert upstream.bodies == [b"{}", b"x" * 100_000, b""]
        assert upstream.heads[0] == (
            f"POST /v1/x%3A0?a=b HTTP/1.1\r\nhost: 127.0.0.1:{upstream.port}\r\n"
            "content-type: application/json\r\ncontent-length: 2\r\n\r\n"
        )


async def test_calls_at_the_same_time_have_connections_of_their_own(client: UpstreamClient) -> None:
    async with running(answering(OK)) as upstream:
        answers = await asyncio.gather(*(post(client, upstream.url) for _ in range(20)))
        assert set(answers) == {(200, b"hi")}
        assert 1 < upstream.connections <= 20
        before = upstream.connections
        await asyncio.gather(*(post(client, upstream.url) for _ in range(before)))
        assert upstream.connections == before


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nx-a: 2\r\n\r\n"


async def test_a_stream_comes_in_the_parts_it_is_sent_in(client: UpstreamClient) -> None:
    go = asyncio.Event()

    async def handle(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read(reader)
        writer.write(CHUNKED + b"3\r\none\r\n")
        await go.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")

    async with running(handle) as upstream:
        answer = await client.post(upstream.url, {}, b"", QUICK)
        assert answer.headers["x-a"] == "2"
        chunks = answer.chunks()
        assert await anext(chunks) == b"one"
        go.set()
        assert [chunk async for chunk in chunks] == [b"two"]
        answer.close()


BODIES = {
    "interim answers first": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", OK),
    "split anywhere": tuple(bytes([byte]) for byte in OK),
    "until the connection ends": (b"HTTP/1.1 200 OK\r\n\r\n", b"hi", b""),
    "chunks with extensions and trailers": (CHUNKED + b"1;a=b\r\nh\r\n1\r\ni\r\n0\r\nX: y\r\n\r\n",),
    "an old server's": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b""),
}


@pytest.mark.parametrize("parts", BODIES.values(), ids=BODIES)
async def test_a_body_is_complete_however_it_is_framed(client: UpstreamClient, parts: tuple[bytes, ...]) -> None:
    async with running(answering(*parts)) as upstream:
        assert await post(client, upstream.url) == (200, b"hi")
        assert await post(client, upstream.url) == (200, b"hi")


CUT = {
    "before anything": (b"",),
    "in the status line": (b"HTTP/1.1 2", b""),
    "in the headers": (b"HTTP/1.1 200 OK\r\nContent-Le", b""),
    "in a body of known length": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", b""),
    "before the last chunk": (CHUNKED + b"2\r\nhi\r\n", b""),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",),
    "length and chunks": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi",),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.9\r\n",),
    "another protocol": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",),
    "endless headers": (b"HTTP/1.1 200 OK\r\n", *(b"X: " + b"y" * 9_000 + b"\r\n" for _ in range(20))),
}


@pytest.mark.parametrize("parts", CUT.values(), ids=CUT)
async def test_an_answer_that_is_not_whole_and_right_breaks(client: UpstreamClient, parts: tuple[bytes, ...]) -> None:
    async with running(answering(*parts)) as upstream:
        with pytest.raises(Broken):
            await post(client, upstream.url)


async def test_what_an_upstream_says_unasked_is_never_taken_for_an_answer(client: UpstreamClient) -> None:
    async with running(answering(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")) as upstream:
        assert await post(client, upstream.url) == (200, b"hi")
        assert await post(client, upstream.url) == (200, b"hi")
        assert upstream.connections == 2


async def test_what_is_unsent_of_a_request_that_is_answered_is_not_kept(client: UpstreamClient) -> None:
    answered, taken = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def handle(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await answered.wait()
        size = 0
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(1_000_000):
                size += len(part)
        taken.set_result(size)

    async with running(handle) as upstream:
        assert await post(client, upstream.url, bytes(50_000_000)) == (200, b"hi")
        answered.set()
        assert await taken < 50_000_000


async def test_a_connection_answered_before_its_request_was_taken_is_not_used_again(client: UpstreamClient) -> None:
    async def handle(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await reader.read()

    async with running(handle) as upstream:
        big = b"x" * 50_000_000
        assert await post(client, upstream.url, big) == (413, b"no")
        assert await post(client, upstream.url, big) == (413, b"no")
        assert upstream.connections == 2


async def silent(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await upstream.read(reader)
    await reader.read()


async def begins(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await upstream.read(reader)
    writer.write(CHUNKED + b"2\r\nhi\r\n")
    await reader.read()


@pytest.mark.parametrize("handle", [silent, begins])
async def test_silence_ends_a_call(client: UpstreamClient, handle: Handler) -> None:
    async with running(handle) as upstream:
        with pytest.raises(TimedOut):
            await post(client, upstream.url, timeouts=Timeouts(connect=5, first=0.05, idle=0.05))


async def test_a_body_that_the_upstream_does_not_take_ends_in_time(client: UpstreamClient) -> None:
    async def handle(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with running(handle) as upstream:
        with pytest.raises(TimedOut):
            await post(client, upstream.url, b"x" * 50_000_000, Timeouts(connect=5, first=0.05, idle=0.05))


async def test_what_was_never_sent_is_told_apart(client: UpstreamClient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}/", "http://no-such-host.invalid/", "ftp://h/", "http://h:99999/"):
            with pytest.raises(ConnectFailed):
                await post(client, url)


async def test_a_header_with_a_line_break_never_leaves(client: UpstreamClient) -> None:
    async with running(answering(OK)) as upstream:
        with pytest.raises(ConnectFailed) as failure:
            await client.post(upstream.url, {"authorization": "Bearer secret\r\nx: y"}, b"", QUICK)
        assert "secret" not in str(failure.value)
        assert upstream.connections == 0


async def test_giving_up_closes_the_connection(client: UpstreamClient) -> None:
    gone = asyncio.Event()

    async def handle(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read(reader)
        assert await reader.read() == b""
        gone.set()

    async with running(handle) as upstream:
        calling = asyncio.create_task(post(client, upstream.url))
        await upstream.called.wait()
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        assert calling.cancelled()
        await gone.wait()


async def test_an_answer_that_is_not_read_holds_the_upstream_back(client: UpstreamClient) -> None:
    sent = 0

    async def handle(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await upstream.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
        for _ in range(2000):
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000

    async with running(handle) as upstream:
        answer = await client.post(upstream.url, {}, b"", Timeouts(connect=5, first=5, idle=0.2))
        last = -1
        while sent != last:  # it has come to a halt
            last = sent
            for _ in range(200):
                await asyncio.sleep(0)
        assert sent < 50_000_000
        await asyncio.sleep(0.3)  # longer than the silence allowed: the reader's slowness is not the upstream's
        assert sum([len(chunk) async for chunk in answer.chunks()]) == 200_000_000
        answer.close()


async def test_an_answer_is_poured_part_by_part_and_can_be_held(client: UpstreamClient) -> None:
    sent, size = 0, 20_000_000

    async def handle(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await upstream.read(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 10_000):
            writer.write(b"x" * 10_000)
            await writer.drain()
            sent += 10_000

    taken = 0

    def take(part: bytes) -> None:
        nonlocal taken
        assert not held
        taken += len(part)
        if taken < size:
            held.append(True)
            answer.hold()

    held: list[bool] = []
    async with running(handle) as upstream:
        answer = await client.post(upstream.url, {}, b"", QUICK)
        pouring = asyncio.create_task(answer.pour(take))
        while not pouring.done():
            await asyncio.sleep(0)
            before = taken if held else -1
            for _ in range(10):
                await asyncio.sleep(0)
            if before >= 0:
                assert taken == before
                held.clear()
                answer.let_on()
        await pouring
        assert taken == sent == size
        answer.close()


@pytest.mark.parametrize("whole", [True, False])
async def test_what_goes_wrong_with_a_part_is_raised_where_it_is_waited_for(
    client: UpstreamClient, whole: bool
) -> None:
    parts = [CHUNKED, b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n"]
    async with running(answering(*([b"".join(parts)] if whole else parts))) as upstream:
        answer = await client.post(upstream.url, {}, b"", QUICK)

        def take(part: bytes) -> None:
            raise ValueError(part)

        with pytest.raises(ValueError, match="one"):
            await answer.pour(take)
        answer.close()
        assert await post(client, upstream.url) == (200, b"onetwo")


async def test_what_came_before_a_break_is_poured_before_it_is_raised(client: UpstreamClient) -> None:
    taken: list[bytes] = []
    async with running(answering(CHUNKED + b"3\r\none\r\n", b"3\r\ntwo\r\n", b"")) as upstream:
        answer = await client.post(upstream.url, {}, b"", QUICK)
        with pytest.raises(Broken):
            await answer.pour(taken.append)
        assert b"".join(taken) == b"onetwo"
        answer.close()


async def test_an_answer_longer_than_its_cap_is_refused(client: UpstreamClient) -> None:
    async with running(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000)) as upstream:
        with pytest.raises(Broken, match="longer than"):
            await post(client, upstream.url)


async def test_ipv6(client: UpstreamClient) -> None:
    async with running(answering(OK), host="::1") as upstream:
        assert await post(client, f"http://[::1]:{upstream.port}/x") == (200, b"hi")
        assert f"host: [::1]:{upstream.port}\r\n" in upstream.heads[0]


class _Wire(asyncio.Transport):
    """A transport that takes everything and sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: object) -> None:
        pass

    def writelines(self, parts: object) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


PIECES = st.lists(
    st.sampled_from([OK, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n", b"2\r\nhi\r\n", b"0\r\n\r\n", b"\r\n", b"X: y\r\n"])
    | st.binary(max_size=20),
    max_size=12,
)


@given(pieces=PIECES, cut=st.integers(0, 12))
@settings(max_examples=300)
def test_no_bytes_break_the_client(pieces: list[bytes], cut: int) -> None:
    async def run() -> None:
        free: list[Connection] = []
        connection = Connection(asyncio.get_running_loop(), free.append, set(), Outbox())
        wire = _Wire()
        connection.connection_made(wire)
        answer = connection.send(b"", b"", QUICK)
        for piece in (b"".join(pieces[:cut]), b"".join(pieces[cut:])):
            if piece and not wire.closed:
                connection.data_received(piece)
        reusable = connection.usable
        connection.connection_lost(None)
        with contextlib.suppress(CallFailed):
            await answer.head
            await answer.read(1 << 20)
            assert not reusable or answer.complete

    asyncio.run(run())
