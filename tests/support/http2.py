"""Our server on a free port, in the running loop, and a client for HTTP/2 that does exactly what a test tells it."""

import asyncio
import contextlib
import queue
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import uvloop
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes
from hyperframe.frame import Frame, GoAwayFrame

from sekisho.http.server import Server

_HANGING_SECONDS = 60

Settings = dict[SettingCodes | int, int]
Scope = Any
Receive = Any
Send = Any


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator["Served"]:
    """Serves an ASGI application until the block ends, then stops gracefully.

    A test that waits for what never comes fails after a while instead of hanging.
    """
    async with asyncio.timeout(_HANGING_SECONDS):
        async with _serving(app) as served:
            yield served


@contextlib.asynccontextmanager
async def _serving(app: Any) -> AsyncIterator["Served"]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        served = Served(app, listener)
        try:
            yield served
        finally:
            await served.stop()


class Served:
    """A running server; `stopping` begins its end."""

    def __init__(self, app: Any, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self.stopping = asyncio.Event()
        self.server = Server(app)
        self._task = asyncio.create_task(self.server.run_until(self.stopping, listener))

    async def stop(self) -> None:
        self.stopping.set()
        await self._task


class _Patient(H2Connection):
    """Goes on after a GOAWAY, as real clients do; h2 alone would refuse to."""

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[events.Event]]:
        event = events.ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]

    def say_goodbye(self) -> None:
        """Promises to take no pushed streams, and says nothing about its own."""
        self._prepare_for_sending([GoAwayFrame(0)])


class Client:
    """A connection. It reads only while a test waits for something, and widens windows only if `generous`."""

    def __init__(self, settings: Settings | None = None, *, generous: bool = True) -> None:
        self.h2 = _Patient(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.update_settings(settings or {})
        self.h2.clear_outbound_data_buffer()
        self.h2.local_settings.acknowledge()
        self.generous = generous
        self.seen: list[events.Event] = []
        self.bodies: dict[int, bytearray] = {}
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(
        cls, port: int, settings: Settings | None = None, *, generous: bool = True, buffer: int = 0
    ) -> AsyncIterator["Client"]:
        """Connects and sends the preface; `buffer` bounds what the kernel takes for a client that does not read."""
        client = cls(settings, generous=generous)
        sock = socket.socket()
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        client._reader, client._writer = await asyncio.open_connection(sock=sock, limit=1024)
        client.h2.initiate_connection()
        client.flush()
        try:
            yield client
        finally:
            client._writer.close()
            with contextlib.suppress(OSError):
                await client._writer.wait_closed()

    def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())

    def write(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self._writer.write(data)

    def cut(self) -> None:
        """Hangs up without a word."""
        self._writer.transport.abort()

    def request(self, path: str = "/", *, method: str = "POST", end: bool = True, **headers: str) -> int:
        """Sends a request's headers; returns its stream."""
        stream = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "http"), (":authority", "gateway.test"), (":path", path)]
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.h2.send_headers(stream, [*pseudo, *named], end_stream=end)
        self.bodies[stream] = bytearray()
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        self.h2.send_data(stream, data, end_stream=end)
        self.flush()

    async def upload(self, stream: int, data: bytes) -> None:
        """Sends a body as fast as the server's windows allow, and ends it."""
        left = memoryview(data)
        while left:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(left))
            if room == 0:
                await self.read()
                continue
            self.h2.send_data(stream, bytes(left[:room]))
            self.flush()
            left = left[room:]
        self.h2.end_stream(stream)
        self.flush()

    async def read(self) -> bool:
        """Takes what the server has sent, waiting for it; False when it has hung up."""
        try:
            data = await self._reader.read(65536)
        except ConnectionResetError:
            return False
        for event in self.h2.receive_data(data):
            self.seen.append(event)
            if isinstance(event, events.DataReceived):
                self.bodies[event.stream_id] += event.data
                if self.generous:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()
        return bool(data)

    async def until(self, kind: type[events.Event], stream: int | None = None, **fields: object) -> Any:
        """Reads until an event of this kind has come, and returns it."""

        def matches(event: events.Event) -> bool:
            wanted = {**fields, **({"stream_id": stream} if stream is not None else {})}
            return isinstance(event, kind) and all(getattr(event, name) == value for name, value in wanted.items())

        while True:
            found = next(filter(matches, self.seen), None)
            if found is not None:
                return found
            assert await self.read(), f"the server hung up before {kind.__name__}; seen: {self.seen}"

    async def answer(self, stream: int) -> tuple[int, dict[str, str], bytes]:
        """Waits for a whole answer: status, headers, body."""
        await self.until(events.StreamEnded, stream)
        head = await self.until(events.ResponseReceived, stream)
        headers = dict(head.headers)
        return int(headers.pop(":status")), headers, bytes(self.bodies[stream])

    async def hung_up(self) -> None:
        """Waits until the server closes the connection."""
        while await self.read():
            pass


async def settled(measure: Callable[[], object], rounds: int = 300) -> None:
    """Waits until `measure` gives the same for many rounds of the event loop: what is going on has come to a halt."""
    last, same = measure(), 0
    while same < rounds:
        await asyncio.sleep(0)
        now = measure()
        last, same = now, (same + 1 if now == last else 0)


@contextlib.contextmanager
def serving_in_thread(app: Any) -> Iterator[str]:
    """Serves an ASGI application on uvloop, in a thread of its own, and yields its base URL without a slash."""
    started: queue.Queue[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve() -> None:
        async with _serving(app) as served:
            done = asyncio.Event()
            started.put((served.port, asyncio.get_running_loop(), done))
            await done.wait()

    thread = threading.Thread(target=uvloop.run, args=(serve(),), daemon=True)
    thread.start()
    port, loop, done = started.get(timeout=20)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(20)
