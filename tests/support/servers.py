"""Serving an ASGI application over real HTTP for the length of a test."""

import asyncio
import contextlib
import queue
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvloop

from sekisho.http.asgi import Application, Message
from sekisho.http.server import Server

_SECONDS = 20.0


@contextlib.contextmanager
def serve_app(app: Application) -> Iterator[str]:
    """Serves `app` on a free port of the loopback, in a thread of its own, and yields its base URL without a slash."""
    begun: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve(listener: socket.socket) -> None:
        async with _alive(app):
            stopping = asyncio.Event()
            begun.put((asyncio.get_running_loop(), stopping))
            await Server(app).run_until(stopping, listener)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=lambda: uvloop.run(serve(listener)), daemon=True)
        thread.start()
        loop, stopping = begun.get(timeout=_SECONDS)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            loop.call_soon_threadsafe(stopping.set)
            thread.join(_SECONDS)


@asynccontextmanager
async def _alive(app: Application) -> AsyncIterator[None]:
    """Has the application start and stop, by ASGI's lifespan messages, if it knows them."""
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()

    async def live() -> None:
        try:
            await app({"type": "lifespan"}, to_app.get, from_app.put)
        finally:
            await from_app.put({"type": "over"})

    living = asyncio.create_task(live())
    await to_app.put({"type": "lifespan.startup"})
    knows = (await from_app.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        if knows:
            await to_app.put({"type": "lifespan.shutdown"})
        await asyncio.gather(living, return_exceptions=True)
