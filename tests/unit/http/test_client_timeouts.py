"""How long an upstream is waited for: until it is connected, until it begins, between two pieces, and altogether."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sekisho.http.client import UpstreamClient
from sekisho.http.failures import Broken, ConnectFailed, TimedOut, Timeouts

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
_PIECE = b"5\r\nhello\r\n"
_END = b"0\r\n\r\n"

Answer = Callable[[asyncio.StreamWriter, asyncio.Event], Awaitable[None]]


@asynccontextmanager
async def serve(answer: Answer) -> AsyncIterator[str]:
    """A server that answers every request by `answer`, which is to return when the event is set."""
    done = asyncio.Event()
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        current = asyncio.current_task()
        assert current is not None
        handlers.add(current)
        await reader.readuntil(b"\r\n\r\n")
        await answer(writer, done)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        done.set()
        server.close()
        await server.wait_closed()
        await asyncio.gather(*handlers)


@pytest.fixture
async def client() -> AsyncIterator[UpstreamClient]:
    client = UpstreamClient()
    yield client
    await client.close()


async def read(client: UpstreamClient, url: str, **timeouts: float) -> bytes:
    response = await client.post(url, {}, b"", Timeouts(**timeouts))
    try:
        return await response.read(10_000)
    finally:
        response.close()


async def keep_silent(writer: asyncio.StreamWriter, done: asyncio.Event) -> None:
    await done.wait()


async def begin_and_fall_silent(writer: asyncio.StreamWriter, done: asyncio.Event) -> None:
    writer.write(_HEAD + _PIECE)
    await done.wait()


async def never_end(writer: asyncio.StreamWriter, done: asyncio.Event) -> None:
    writer.write(_HEAD)
    while not done.is_set() and not writer.is_closing():
        writer.write(_PIECE)
        await asyncio.sleep(0.01)


async def answer_in_full(writer: asyncio.StreamWriter, done: asyncio.Event) -> None:
    writer.write(_HEAD + _PIECE + _END)


async def break_off(writer: asyncio.StreamWriter, done: asyncio.Event) -> None:
    writer.write(_HEAD + _PIECE)


@pytest.mark.parametrize(
    ("answer", "timeouts"),
    [
        (keep_silent, {"connect": 0.05, "first": 0.05}),
        (keep_silent, {"total": 0.05}),
        (begin_and_fall_silent, {"idle": 0.05}),
        (begin_and_fall_silent, {"total": 0.05}),
        (never_end, {"total": 0.2}),
    ],
)
async def test_every_wait_has_an_end(client: UpstreamClient, answer: Answer, timeouts: dict[str, float]) -> None:
    async with serve(answer) as url:
        with pytest.raises(TimedOut):
            await read(client, url, **timeouts)


@pytest.mark.parametrize("timeouts", [{}, {"total": 60.0}])
async def test_an_answer_in_time_is_given_in_full(client: UpstreamClient, timeouts: dict[str, float]) -> None:
    async with serve(answer_in_full) as url:
        assert await read(client, url, **timeouts) == b"hello"


async def test_other_failures_are_told_apart(client: UpstreamClient) -> None:
    async with serve(break_off) as url:
        with pytest.raises(Broken):
            await read(client, url, total=60.0)
    with pytest.raises(ConnectFailed, match=r"127\.0\.0\.1"):
        await read(client, url)
