"""HTTP/2 for clients that begin with its preface (prior knowledge), on asyncio and the `h2` library."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final
from urllib.parse import unquote

from h2 import events
from h2.errors import ErrorCodes
from h2.exceptions import H2Error, StreamClosedError

from sekisho.http.asgi import KNOWN, Scope
from sekisho.http.http2_framing import FRAME_BYTES, MAX_STREAMS, Framing
from sekisho.http.http2_limits import RateLimit
from sekisho.http.http2_stream import Http2Stream
from sekisho.http.state import KEEP_ALIVE_SECONDS, ServerState, describe

_log = logging.getLogger(__name__)

_SETTINGS_SECONDS = 10.0
_CLOSE_SECONDS = 5.0
_MOST_UNSENT: Final = 1024 * 1024
"""Bytes waiting in the socket at which a connection is cut. Bodies wait long before; only a client that provokes
acknowledgements without reading them gets here."""
_MOST_RUNNING: Final = 2 * MAX_STREAMS
"""Requests of a connection that may still be worked on, those that the client has reset included."""
_RESET_BURST: Final = 200
_RESETS_PER_SECOND: Final = 20.0


class Http2Protocol(asyncio.Protocol):
    """One connection, its streams are the server's tasks, and it drains when that stops.

    A client that does not read holds back its own answers: `wait_for_room` grants no more than the stream's window, the
    connection's and the socket take. What it sends is bounded by the windows that `Framing` grants.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._loop = asyncio.get_running_loop()
        self._framing = Framing()
        self._streams: dict[int, Http2Stream] = {}
        self._resets = RateLimit(_RESET_BURST, _RESETS_PER_SECOND, self._loop.time)
        self._paused = False
        self._turns = asyncio.Lock()
        self._go = asyncio.Event()  # wakes the stream whose turn it is
        self._draining = False  # no new streams
        self._last = False  # to be closed once it is idle
        self._timer: asyncio.TimerHandle | None = None
        self._fixed: dict[str, Any] = {}
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvloop's is not one
        """A client has connected; it must send its settings in time."""
        self._transport = transport
        self._fixed = describe(transport)
        self._state.connections.add(self)
        self._set_timer(_SETTINGS_SECONDS, self._close)
        self._framing.begin()
        self._flush()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The client is gone."""
        self._state.connections.discard(self)
        self._set_timer(None)
        self._lose_streams()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        try:
            received = self._framing.receive_data(data)
        except H2Error as error:
            _log.info("an HTTP/2 client broke the protocol: %s", error)
            self._flush()
            self._hang_up()
            return
        for event in received:
            handle = self._HANDLERS.get(type(event))
            if handle is not None and not self._transport.is_closing():
                handle(self, event)
        self._flush()

    def eof_received(self) -> None:
        """The client sends nothing more: with HTTP/2 it cannot read answers either, as it must acknowledge."""

    def pause_writing(self) -> None:
        """The socket's buffer is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._paused = False
        self._go.set()

    def shutdown(self) -> None:
        """The server stops: no new requests, and the end when those under way are done."""
        self._draining = self._last = True
        if self._streams:
            self._framing.announce_end()
            self._flush()
        else:
            self._close()

    def room(self, stream: Http2Stream) -> int:
        """How many bytes of a body `stream` may send at once, if it is its turn."""
        if stream.gone or self._turns.locked() or not self._takes_more():
            return 0
        framing = self._framing
        room = min(framing.room(stream.id), framing.outbound_flow_control_window)
        return max(0, min(room, framing.max_outbound_frame_size, FRAME_BYTES))

    async def wait_for_room(self, stream: Http2Stream) -> int:
        """How many bytes of a body `stream` may send now; the streams take turns. 0 when it is gone."""
        framing = self._framing
        while not stream.gone:
            if framing.room(stream.id) <= 0:
                stream.widened.clear()
                await stream.widened.wait()
                continue
            if self._turns.locked() or not self._takes_more():
                async with self._turns:
                    while not stream.gone and not self._takes_more():
                        self._go.clear()
                        await self._go.wait()
            if room := self.room(stream):
                return room
        return 0

    def send_headers(self, stream_id: int, headers: list[tuple[bytes, bytes]], *, end: bool = False) -> None:
        """Send the head of an answer, with the server's own headers unless it is an interim one."""
        own = () if headers[0][1].startswith(b"1") else ((b"date", self._state.date),)
        self._framing.send_headers(stream_id, [headers[0], *own, *headers[1:]], end_stream=end)
        self._flush()

    def send_data(self, stream_id: int, data: memoryview, *, end: bool) -> None:
        """Send a part of a body, no longer than `wait_for_room` said."""
        self._framing.send_data(stream_id, data, end_stream=end)
        self._flush()

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        """Break a stream off."""
        try:
            self._framing.reset_stream(stream_id, code)
        except StreamClosedError:
            return  # it has come to its end by itself
        self._flush()

    def give_back(self, stream_id: int, size: int) -> None:
        """Let the client send as many bytes more."""
        if not self._transport.is_closing():
            self._framing.acknowledge_received_data(size, stream_id)
            self._flush()

    def _takes_more(self) -> bool:
        return not self._paused and self._framing.outbound_flow_control_window > 0

    def _on_request(self, event: events.RequestReceived) -> None:
        if self._draining or len(self._streams) >= _MOST_RUNNING:
            self.reset(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        scope = self._scope_of(event)
        if scope is None:
            self.reset(event.stream_id, ErrorCodes.PROTOCOL_ERROR)
            return
        self._set_timer(None)
        stream = self._streams[event.stream_id] = Http2Stream(event.stream_id, scope, self)
        task = self._loop.create_task(stream.run(self._state.app))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)
        task.add_done_callback(lambda _: self._on_done(stream))

    def _on_done(self, stream: Http2Stream) -> None:
        """The application has done with a stream."""
        del self._streams[stream.id]
        if self._streams or self._transport.is_closing():
            return
        if self._last:
            self._close()
        else:
            self._set_timer(KEEP_ALIVE_SECONDS, self._close)

    def _on_data(self, event: events.DataReceived) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.take(event.data, event.flow_controlled_length)
        else:
            self.give_back(event.stream_id, event.flow_controlled_length)

    def _on_request_end(self, event: events.StreamEnded) -> None:
        if (stream := self._streams.get(event.stream_id)) is not None:
            stream.end_request()

    def _on_reset(self, event: events.StreamReset) -> None:
        """A stream was reset, by the client or for a mistake of its. Many resets are an attack (CVE-2023-44487)."""
        if (stream := self._streams.get(event.stream_id)) is not None:
            stream.lose()
            self._go.set()
        if not self._resets.take():
            _log.warning("an HTTP/2 client resets too many streams; its connection is closed")
            self._close(ErrorCodes.ENHANCE_YOUR_CALM)

    def _on_window(self, event: events.WindowUpdated) -> None:
        if event.stream_id == 0:
            self._go.set()
        elif (stream := self._streams.get(event.stream_id)) is not None:
            stream.widened.set()

    def _on_settings(self, _event: events.RemoteSettingsChanged) -> None:
        """The client's settings have come; they may have changed the window of every stream."""
        for stream in self._streams.values():
            stream.widened.set()
        if not self._streams:
            self._set_timer(KEEP_ALIVE_SECONDS, self._close)

    def _on_goaway(self, _event: events.ConnectionTerminated) -> None:
        self._last = True
        if not self._streams:
            self._close()

    _HANDLERS: ClassVar[Mapping[type[events.Event], Callable[["Http2Protocol", Any], None]]] = {
        events.RequestReceived: _on_request,
        events.DataReceived: _on_data,
        events.StreamEnded: _on_request_end,
        events.StreamReset: _on_reset,
        events.WindowUpdated: _on_window,
        events.RemoteSettingsChanged: _on_settings,
        events.ConnectionTerminated: _on_goaway,
    }

    def _scope_of(self, event: events.RequestReceived) -> Scope | None:
        """The request in the shape of one over HTTP/1.1; None when it has no usable path."""
        pseudo: dict[bytes, bytes] = {}
        headers: list[tuple[bytes, bytes]] = []
        for name, value in event.headers:
            if name.startswith(b":"):
                pseudo[bytes(name)] = bytes(value)
            else:
                headers.append((bytes(name), bytes(value)))
        target = pseudo.get(b":path", b"")
        if not target or not target.isascii():
            return None
        if b":authority" in pseudo and not any(name == b"host" for name, _ in headers):
            headers.insert(0, (b"host", pseudo[b":authority"]))
        raw_path, _, query = target.partition(b"#")[0].partition(b"?")
        return {
            **self._fixed,
            "http_version": "2",
            "method": pseudo[b":method"].decode("latin-1"),
            "path": unquote(raw_path.decode("ascii")),
            "raw_path": raw_path,
            "query_string": query,
            "headers": headers,
            KNOWN: {},
        }

    def _flush(self) -> None:
        data = self._framing.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > _MOST_UNSENT:
                _log.warning("an HTTP/2 client does not read what it asks for; its connection is cut")
                self._transport.abort()
                self._lose_streams()

    def _close(self, code: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        """Say goodbye and hang up; streams that are open are lost."""
        if not self._transport.is_closing():
            self._framing.close_connection(code)
            self._flush()
            self._hang_up()

    def _hang_up(self) -> None:
        """Close the connection once the client has taken what was sent to it, or has not for a while."""
        self._transport.close()
        self._lose_streams()
        self._set_timer(_CLOSE_SECONDS, self._transport.abort)

    def _lose_streams(self) -> None:
        for stream in self._streams.values():
            stream.lose()
        self._go.set()

    def _set_timer(self, seconds: float | None, action: Callable[[], None] | None = None) -> None:
        """Let `action` happen in a while, instead of what was to happen before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None and action is not None:
            self._timer = self._loop.call_later(seconds, action)
