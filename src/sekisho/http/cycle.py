"""One request over HTTP/1.1 and its answer, as ASGI sees them and as a `Line`."""

import asyncio
import logging
import re
from collections.abc import Callable
from http import HTTPStatus
from operator import itemgetter
from typing import Final, Protocol

from sekisho.http.asgi import LINE, BodyTooLong, HeaderPairs, Message, Scope
from sekisho.http.state import ServerState

_log = logging.getLogger(__name__)

_MOST_UNREAD: Final = 256 * 1024
"""Bytes of a request's body that may wait here for the application; then the client is held back."""
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus if status >= 200
}
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_MOST_NAMES: Final = 1_000
_known_names: Final[set[bytes]] = set()
"""Names of headers that were found to be some."""
_name_of: Final = itemgetter(0)
_write_line: Final = b": ".join


class Carrier(Protocol):
    """What a request needs of its connection. `full` is whether the client has to take what it was sent before more."""

    state: ServerState
    full: bool

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def write_later(self, data: bytes) -> None:
        """Send bytes with what follows them, or at the end of this turn of the loop."""
        ...

    def hold_back(self) -> None:
        """Let the client send no more for now."""
        ...

    def let_on(self) -> None:
        """Let the client send again."""
        ...

    def allow(self, seconds: float | None) -> None:
        """Call the request's `be_late` in so many seconds; None: no longer."""
        ...

    def finish(self, *, keep: bool) -> None:
        """The answer is complete; `keep` says whether the connection may carry another request."""
        ...

    def cut(self) -> None:
        """Close the connection: what was sent of the answer is all there will be."""
        ...


class Cycle:
    """A request and its answer. It is the request's `Line`, too."""

    __slots__ = (
        "_carrier", "_chunked", "_gone", "_hangup", "_invited", "_keep", "_late", "_left", "_method",
        "_most", "_news", "_parts", "_read", "_request_ended", "_room", "_silence", "_started", "_unread", "answered",
        "scope", "task",
    )  # fmt: skip

    def __init__(self, scope: Scope, carrier: Carrier, *, keep: bool) -> None:
        self.scope = scope
        self.answered = False
        self.task: asyncio.Task[None]  # that runs it
        scope["extensions"] = {LINE: self}
        self._method: str = scope["method"]
        self._carrier = carrier
        self._keep = keep
        self._invited = False
        self._gone = False
        self._hangup: Callable[[], None] | None = None
        self._room: Callable[[], None] | None = None
        self._parts: list[bytes] = []
        self._unread = 0
        self._most: int | None = None  # how long a body is taken whole, while somebody waits for it
        self._silence = 0.0
        self._late = False
        self._read = False
        self._request_ended = False
        self._news: asyncio.Future[None] | None = None
        self._started = False
        self._chunked = False
        self._left = 0  # bytes of the answer's body that Content-Length promised and were not sent yet

    def take(self, part: bytes) -> None:
        """A part of the request's body has come."""
        if self.answered:
            return
        self._parts.append(part)
        self._unread += len(part)
        if self._most is not None and self._unread <= self._most:
            self._carrier.allow(self._silence)
            return
        if self._unread > _MOST_UNREAD:
            self._carrier.hold_back()
        if self._news is not None:
            self._tell()

    def end_request(self) -> None:
        """The request is complete."""
        self._request_ended = True
        if self._news is not None:
            self._tell()

    def close_after(self) -> None:
        """No other request will follow on this connection."""
        self._keep = False

    def be_late(self) -> None:
        """Nothing more of the request has come in the time allowed."""
        self._late = True
        self._tell()

    def lose(self) -> None:
        """The client is gone."""
        self._gone = True
        self._tell()
        act, self._hangup = self._hangup, None
        if act is not None and not self.answered:
            act()
        self.tell_room()

    def tell_room(self) -> None:
        """The client takes more, or is gone."""
        act, self._room = self._room, None
        if act is not None:
            act()

    @property
    def full(self) -> bool:
        """See `Line`."""
        return self._carrier.full and not self._gone

    def on_room(self, act: Callable[[], None]) -> None:
        """See `Line`."""
        self._room = act

    def take_whole_body(self) -> bytes | None:
        """See `Line`."""
        if not self._request_ended or self._read or self._gone:
            return None
        return self._take_parts()

    async def read_body(self, cap: int, silence: float) -> bytes | None:
        """See `Line`."""
        self._invite()
        self._most, self._silence = cap, silence
        self._carrier.let_on()
        try:
            while not self._request_ended and not self._gone and self._unread <= cap:
                self._carrier.allow(silence)
                await self._wait_for_news()
                if self._late:
                    raise TimeoutError
        finally:
            self._most = None
            self._carrier.allow(None)
        if self._unread > cap:
            raise BodyTooLong
        return None if self._gone else self._take_parts()

    def on_hangup(self, act: Callable[[], None] | None) -> None:
        """See `Line`."""
        self._hangup = act
        if self._gone and act is not None:
            self._hangup = None
            act()

    async def run(self) -> None:
        """Run the application on the request, and see to it that a broken answer never looks complete."""
        state = self._carrier.state
        try:
            await state.app(self.scope, self.receive, self.send)
        except Exception:  # noqa: BLE001  # the border to the client: whatever went wrong, the answer is to be ended
            _log.exception("the application failed in a request")
        finally:
            state.tasks.discard(self.task)
            if not self._started and not self._gone:
                self._refuse()
            elif not self.answered:
                self._carrier.cut()
            del self.scope["extensions"]  # it refers back to this object, and only the collector frees a ring

    async def receive(self) -> Message:
        """ASGI's receive: the body as it came so far, then, when there is nothing more to say, the disconnect."""
        self._invite()
        while not (self._gone or self.answered):
            if self._parts or (self._request_ended and not self._read):
                body = self._take_parts()
                return {"type": "http.request", "body": body, "more_body": not self._request_ended}
            await self._wait_for_news()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI's send: waits until the client takes more."""
        if message["type"] == "http.response.start":
            self.begin(message["status"], message.get("headers", ()))
        elif message.get("more_body", False):
            self.write(message.get("body", b""))
            if self.full:
                room = asyncio.Event()
                self.on_room(room.set)
                await room.wait()
        else:
            self.finish(message.get("body", b""))

    def begin(self, status: int, headers: HeaderPairs) -> None:
        """See `Line`."""
        if self._start():
            self._carrier.write_later(self._write_framed_head(status, headers))

    def answer(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        """See `Line`."""
        if not self._start():
            return
        if not self._request_ended:  # what is still to come of it would be read as another request
            self._keep = False
        framing = b"content-length: %d\r\n" % len(body)
        head = self._write_head(status, headers, framing if self._keep else framing + b"connection: close\r\n")
        self._carrier.write(head if self._method == "HEAD" else head + body)
        self._end()

    def write(self, part: bytes) -> bool:
        """See `Line`."""
        carrier = self._carrier
        if part and self._chunked and not (self._gone or self.answered):
            carrier.write(b"%x\r\n%b\r\n" % (len(part), part))
        else:
            self._send_body(part, last=False)
        return carrier.full and not self._gone

    def finish(self, last: bytes = b"") -> None:
        """See `Line`."""
        self._send_body(last, last=True)

    def _invite(self) -> None:
        """Tell a client that waits for it that its body is wanted."""
        if self._invited or self._started or self._gone:
            return
        self._invited = True
        if self.scope["http_version"] == "1.0":  # such a client knows no interim answers
            return
        if any(name == b"expect" and value.lower() == b"100-continue" for name, value in self.scope["headers"]):
            self._carrier.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _take_parts(self) -> bytes:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._read = self._request_ended
        if self._unread > _MOST_UNREAD:
            self._carrier.let_on()
        self._unread = 0
        return body

    def _start(self) -> bool:
        """An answer begins; whether there is somebody to send it to."""
        if self._started:
            raise RuntimeError("a second head does not belong here in an answer")
        self._started = True
        return not self._gone

    def _write_framed_head(self, status: int, headers: HeaderPairs) -> bytes:
        """The head of an answer whose length is stated in it or not known yet."""
        length: int | None = None
        kept = []
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"connection" and value.lower() == b"close":
                self._keep = False
                continue
            kept.append((name, value))
        bodiless = self._method == "HEAD" or status in (204, 304)
        framing = b""
        if not bodiless and length is None:
            if self.scope["http_version"] == "1.0":
                self._keep = False
            else:
                self._chunked = True
                framing = b"transfer-encoding: chunked\r\n"
        self._left = 0 if bodiless or length is None else length
        if not self._request_ended:  # what is still to come of it would be read as another request
            self._keep = False
        return self._write_head(status, kept, framing if self._keep else framing + b"connection: close\r\n")

    def _write_head(self, status: int, headers: HeaderPairs, framing: bytes) -> bytes:
        """A head; `framing` are the lines that say where the body ends and what comes after it."""
        lines = list(map(_write_line, headers))
        text = b"".join(lines)
        if b"\n" in text or b"\r" in text or b"\0" in text:
            raise RuntimeError("the application sends a header that would end early")
        if not _known_names.issuperset(map(_name_of, headers)):
            _check_names(headers)
        first = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        lines.append(framing + b"\r\n")
        return b"%bdate: %b\r\n%b" % (first, self._carrier.state.date, b"\r\n".join(lines))

    def _send_body(self, body: bytes, *, last: bool) -> None:
        if self._gone:
            return
        if self.answered or not self._started:
            raise RuntimeError("a part of a body does not belong here in an answer")
        if self._chunked:
            if last:
                body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
            elif body:
                body = b"%x\r\n%b\r\n" % (len(body), body)
        elif self._method == "HEAD":
            body = b""
        elif len(body) > self._left and self.scope["http_version"] != "1.0":
            raise RuntimeError("the answer's body is longer than its Content-Length")
        else:
            self._left -= len(body)
        if body:
            self._carrier.write(body)
        if last:
            if self._left > 0:
                raise RuntimeError("the answer's body is shorter than its Content-Length")
            self._end()

    def _end(self) -> None:
        self.answered = True
        if self._news is not None:
            self._tell()
        self._carrier.finish(keep=self._keep)

    def _refuse(self) -> None:
        """Answer for an application that failed before it had answered."""
        self._started = self.answered = True
        self._carrier.write(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self._carrier.finish(keep=False)

    async def _wait_for_news(self) -> None:
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    def _tell(self) -> None:
        """Wake whoever waits for news of the request; mostly it was all there at once, and nobody does."""
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)


def _check_names(headers: HeaderPairs) -> None:
    """Learn the names of these headers. Applications use few."""
    names = [name for name, _ in headers]
    if not all(_NAME.fullmatch(name) for name in names):
        raise RuntimeError("the application sends a header with a name that is none")
    if len(_known_names) >= _MOST_NAMES:
        _known_names.clear()
    _known_names.update(names)
