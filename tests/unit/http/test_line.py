"""A request's body, taken whole over the line, with both versions of HTTP."""

import asyncio
import contextlib
import gc
import weakref
from typing import Any

import pytest
from tests.support.http2 import Client, Receive, Scope, Send, serving

from sekisho.http.asgi import LINE, BodyTooLong

CAP = 1_000_000
SILENCE = 0.1


class App:
    """Reads the body and answers with its length; notes what it came to."""

    def __init__(self) -> None:
        self.read: asyncio.Queue[object] = asyncio.Queue()
        self.begun = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        line = scope["extensions"][LINE]
        self.begun.set()
        try:
            body = await line.read_body(CAP, SILENCE)
        except (BodyTooLong, TimeoutError) as error:
            self.read.put_nowait(type(error))
            line.begin(400, [(b"content-length", b"2")])
            line.write(b"no")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(discard(line), SILENCE)
            line.finish()
            return
        self.read.put_nowait(body)
        if body is not None:
            line.answer(200, [(b"content-type", b"text/plain")], b"%d" % len(body))


async def discard(line: Any) -> None:
    while (message := await line.receive())["type"] != "http.disconnect" and message["more_body"]:
        pass


async def ask(port: int, *parts: bytes, length: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % length)
    for part in parts:
        await asyncio.sleep(0.001)
        with contextlib.suppress(ConnectionError):
            writer.write(part)
            await writer.drain()
    return reader, writer


@pytest.mark.parametrize("count", [0, 1, 30])
async def test_a_body_in_parts_is_whole_in_the_end(count: int) -> None:
    app, parts = App(), [b"%05d" % number * 6_000 for number in range(count)]
    async with serving(app) as server:
        reader, writer = await ask(server.port, *parts, length=30_000 * count)
        assert (await reader.readuntil(b"\r\n\r\n%d" % (30_000 * count))).startswith(b"HTTP/1.1 200 OK")
        writer.close()
        async with Client.connected(server.port) as client:
            stream = client.request(end=False)
            await client.upload(stream, b"".join(parts))
            assert (await client.answer(stream))[2] == b"%d" % (30_000 * count)
        assert [await app.read.get(), await app.read.get()] == [b"".join(parts)] * 2


async def test_a_body_over_the_cap_is_not_taken() -> None:
    app = App()
    async with serving(app) as server:
        _, writer = await ask(server.port, *[b"x" * 100_000] * 15, length=1_500_000)
        assert await app.read.get() is BodyTooLong
        writer.close()
        async with Client.connected(server.port) as client:
            uploading = asyncio.create_task(client.upload(client.request(end=False), b"x" * 1_500_000))
            assert await app.read.get() is BodyTooLong
            uploading.cancel()
            await asyncio.gather(uploading, return_exceptions=True)


async def test_a_body_that_stops_coming_is_given_up() -> None:
    app = App()
    async with serving(app) as server:
        _, writer = await ask(server.port, b"x" * 10, length=20)
        assert await app.read.get() is TimeoutError
        writer.close()
        async with Client.connected(server.port) as client:
            client.send(client.request(end=False), b"x" * 10)
            assert await app.read.get() is TimeoutError


async def test_a_client_that_leaves_in_the_middle_leaves_no_body() -> None:
    app = App()
    async with serving(app) as server:
        _, writer = await ask(server.port, b"x" * 10, length=20)
        await app.begun.wait()
        writer.close()
        assert await app.read.get() is None
        app.begun.clear()
        async with Client.connected(server.port) as client:
            client.send(client.request(end=False), b"x" * 10)
            await app.begun.wait()
            client.cut()
            assert await app.read.get() is None


async def test_a_slow_body_may_take_longer_than_its_silence_in_all() -> None:
    app = App()
    async with serving(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\nExpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        for _ in range(20):
            writer.write(b"x")
            await asyncio.sleep(SILENCE / 10)
        assert await app.read.get() == b"x" * 20
        writer.close()


class Marker:
    """Something to be freed."""


async def test_what_a_request_leaves_behind_is_freed_without_the_garbage_collector() -> None:
    left: list[weakref.ref[Marker]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["marker"] = Marker()
        left.append(weakref.ref(scope["marker"]))
        scope["extensions"][LINE].answer(200, [(b"content-type", b"text/plain")], b"")

    gc.collect()
    gc.disable()
    try:
        async with serving(app) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            for _ in range(2):  # the connection remembers its last one
                writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                await reader.readuntil(b"\r\n\r\n")
            async with Client.connected(server.port) as client:
                await client.answer(client.request())
            writer.close()
        assert left[0]() is None
        assert left[-1]() is None
    finally:
        gc.enable()
