"""One request over HTTP/2, as ASGI sees it and as a `Line`."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from h2.errors import ErrorCodes

from sekisho.http.asgi import LINE, Application, BodyTooLong, HeaderPairs, Message, Scope

_log = logging.getLogger(__name__)

_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
"""Headers that HTTP/2 forbids (RFC 9113 section 8.2.2); applications set them for HTTP/1.1."""


class Carrier(Protocol):
    """What a stream needs of its connection. Nothing here may be called for a stream that is gone."""

    def room(self, stream: "Http2Stream") -> int:
        """How many bytes of a body may be sent at once, without waiting for a turn."""
        ...

    async def wait_for_room(self, stream: "Http2Stream") -> int:
        """How many bytes of a body may be sent now, as soon as it is one or more; 0 when the stream is gone."""
        ...

    def send_headers(self, stream_id: int, headers: list[tuple[bytes, bytes]], *, end: bool = False) -> None:
        """Send the head of an answer, or an interim one; `end` when no body follows."""
        ...

    def send_data(self, stream_id: int, data: memoryview, *, end: bool) -> None:
        """Send a part of an answer's body, no longer than there is room for."""
        ...

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        """Break a stream off."""
        ...

    def give_back(self, stream_id: int, size: int) -> None:
        """Let the client send as many bytes more. May be called for streams that are gone, too."""
        ...


class Http2Stream:
    """A request, its answer, and its `Line`.

    `gone` is set once nothing can be sent any more: it was reset, or the connection is lost.
    """

    def __init__(self, stream_id: int, scope: Scope, carrier: Carrier) -> None:
        self.id = stream_id
        self.gone = False
        self.widened = asyncio.Event()
        """Set when the client has widened the stream's window, and when the stream is gone."""
        self._scope = scope
        scope["extensions"] = {LINE: self}
        self._carrier = carrier
        self._body: list[bytes] = []
        self._owed = 0  # bytes of the client's window that were used and not given back
        self._request_ended = False
        self._end_told = False
        self._started = False
        self._ended = False  # the last part of the answer was given to be sent
        self._answered = False
        self._hangup: Callable[[], None] | None = None
        self._room: Callable[[], None] | None = None
        self._unsent: deque[tuple[memoryview, bool]] = deque()  # parts of the answer's body, and which is the last
        self._sending: asyncio.Task[None] | None = None  # while the client's windows do not take all of them
        self._news = asyncio.Event()  # something for `receive` to tell
        self._expects_continue = any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"]
        )

    def take(self, data: bytes, window_bytes: int) -> None:
        """A part of the request's body has come; `window_bytes` is what it used of the window, padding included."""
        if self.gone or self._answered:
            self._carrier.give_back(self.id, window_bytes)
            return
        self._owed += window_bytes
        if data:
            self._body.append(data)
            self._news.set()

    def end_request(self) -> None:
        """The request is complete."""
        self._request_ended = True
        self._news.set()

    def lose(self) -> None:
        """The client has reset the stream, or its connection is lost."""
        self.gone = True
        self.widened.set()
        self._news.set()
        self._settle_window()
        act, self._hangup = self._hangup, None
        if act is not None and not self._answered:
            act()
        self._tell_room()

    def take_whole_body(self) -> bytes | None:
        """See `Line`."""
        if not self._request_ended or self._end_told or self.gone:
            return None
        return self._take_body()

    def on_hangup(self, act: Callable[[], None] | None) -> None:
        """See `Line`."""
        self._hangup = act
        if self.gone and act is not None:
            self._hangup = None
            act()

    async def read_body(self, cap: int, silence: float) -> bytes | None:
        """See `Line`."""
        parts: list[bytes] = []
        size = 0
        while True:
            async with asyncio.timeout(silence):
                message = await self.receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message["body"])
            size += len(message["body"])
            if size > cap:
                raise BodyTooLong
            if not message["more_body"]:
                return b"".join(parts)

    @property
    def full(self) -> bool:
        """See `Line`."""
        return self._sending is not None and not self.gone

    def on_room(self, act: Callable[[], None]) -> None:
        """See `Line`."""
        self._room = act

    def begin(self, status: int, headers: HeaderPairs) -> None:
        """See `Line`."""
        if self._started:
            raise RuntimeError("a second head does not belong here in an HTTP/2 answer")
        self._started = True
        if not self.gone:
            self._carrier.send_headers(self.id, _head(status, headers))

    def write(self, part: bytes) -> bool:
        """See `Line`."""
        if part:
            self._send_part(part, last=False)
        return self.full

    def finish(self, last: bytes = b"") -> None:
        """See `Line`."""
        self._send_part(last, last=True)

    def answer(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        """See `Line`."""
        self.begin(status, [*headers, (b"content-length", b"%d" % len(body))])
        self.finish(body)

    async def run(self, application: Application) -> None:
        """Run the application on the request, and see to it that a broken answer never looks complete."""
        try:
            await application(self._scope, self.receive, self.send)
            if self._sending is not None:
                await self._sending
        except Exception:  # noqa: BLE001  # the border to the client: whatever went wrong, the stream is to be ended
            _log.exception("the application failed in an HTTP/2 request")
        finally:
            self._finish()
            del self._scope["extensions"]  # it refers back to this object, and only the collector frees a ring

    def _finish(self) -> None:
        """Break off what is not complete: the answer, or else a request that nobody reads any more."""
        self._settle_window()
        if self._sending is not None:
            self._sending.cancel()
        if self.gone:
            return
        if not self._started:
            self._started = self._answered = True
            self._carrier.send_headers(self.id, [(b":status", b"500")], end=True)
        if not self._answered:
            self._carrier.reset(self.id, ErrorCodes.INTERNAL_ERROR)
        elif not self._request_ended:
            self._carrier.reset(self.id, ErrorCodes.NO_ERROR)
        self.gone = True

    def _take_body(self) -> bytes:
        body = b"".join(self._body)
        self._end_told = self._request_ended
        self._settle_window()
        return body

    def _settle_window(self) -> None:
        """Give back what the client used of its window for a body that nobody will read."""
        self._body.clear()
        if self._owed:
            owed, self._owed = self._owed, 0
            self._carrier.give_back(self.id, owed)

    async def receive(self) -> Message:
        """ASGI's receive: the body as it came so far, then, when there is nothing more to say, the disconnect."""
        if self._expects_continue and not self._started and not self.gone:
            self._expects_continue = False
            self._carrier.send_headers(self.id, [(b":status", b"100")])
        while not (self.gone or self._answered):
            if self._body or (self._request_ended and not self._end_told):
                body = self._take_body()
                return {"type": "http.request", "body": body, "more_body": not self._request_ended}
            self._news.clear()
            await self._news.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """ASGI's send: waits until the client takes more."""
        if message["type"] == "http.response.start":
            self.begin(message["status"], message.get("headers", ()))
        elif message.get("more_body", False):
            self.write(message.get("body", b""))
            if self._sending is not None:
                await self._sending
        else:
            self.finish(message.get("body", b""))

    def _send_part(self, part: bytes, *, last: bool) -> None:
        if self.gone:
            return
        if not self._started or self._ended:
            raise RuntimeError("a part of a body does not belong here in an HTTP/2 answer")
        self._ended = last
        left = memoryview(b"" if self._scope["method"] == "HEAD" else part)
        if self._sending is None and len(left) <= self._carrier.room(self):
            self._send_data(left, end=last)
            return
        self._unsent.append((left, last))
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_unsent())

    async def _send_unsent(self) -> None:
        """Send what is to be sent as the client's windows allow, and tell when all of it is."""
        try:
            while self._unsent and not self.gone:
                left, last = self._unsent.popleft()
                while left and (room := await self._carrier.wait_for_room(self)):
                    piece, left = left[:room], left[room:]
                    self._send_data(piece, end=last and not left)
                if last and not self._answered and not self.gone:
                    self._send_data(left, end=True)
        finally:
            self._sending = None
            self._tell_room()

    def _send_data(self, piece: memoryview, *, end: bool) -> None:
        self._carrier.send_data(self.id, piece, end=end)
        if end:
            self._answered = True
            self._news.set()

    def _tell_room(self) -> None:
        act, self._room = self._room, None
        if act is not None:
            act()


def _head(status: int, headers: Any) -> list[tuple[bytes, bytes]]:
    lowered = [(bytes(name).lower(), bytes(value)) for name, value in headers]
    return [(b":status", b"%d" % status), *(pair for pair in lowered if pair[0] not in _HOP_BY_HOP)]
