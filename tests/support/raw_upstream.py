"""An HTTP server that sends exactly the bytes that a test tells it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

from sekisho.http.client import UpstreamClient
from sekisho.http.failures import Timeouts

QUICK = Timeouts(connect=5.0, first=5.0, idle=5.0)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Upstream:
    """A server that does what a test tells it; `heads` are the heads of the requests that came."""

    def __init__(self, handle: "Handler") -> None:
        self._handle = handle
        self._writers: list[asyncio.StreamWriter] = []
        self.called = asyncio.Event()
        self.port = 0
        self.connections = 0
        self.heads: list[str] = []
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/x%3A0?a=b"

    async def read(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode())
        self.called.set()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        self.bodies.append(await reader.readexactly(length))

    def cut(self) -> None:
        for writer in self._writers:
            transport = writer.transport
            if not transport.is_closing() or transport.get_write_buffer_size() > 0:  # asyncio's cannot abort a lost one
                transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._handle(self, reader, writer)
        writer.close()


Handler = Callable[[Upstream, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(*parts: bytes) -> Handler:
    """Answers each request of a connection with the parts, one after the other; an empty one hangs up."""

    async def handle(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await upstream.read(reader)
            for part in parts:
                if not part:
                    return
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)

    return handle


@contextlib.asynccontextmanager
async def running(
    handle: Handler,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Upstream]:
    upstream = Upstream(handle)
    server = await asyncio.start_server(upstream.serve, host, 0, ssl=tls)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(30):
            yield upstream
    finally:
        server.close()
        upstream.cut()


async def post(client: UpstreamClient, url: str, body: bytes = b"{}", timeouts: Timeouts = QUICK) -> tuple[int, bytes]:
    answer = await client.post(url, {"content-type": "application/json"}, body, timeouts)
    try:
        return answer.status, await answer.read(1 << 20)
    finally:
        answer.close()
