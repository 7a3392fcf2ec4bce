"""One request over HTTP/1.1 and its answer, as ASGI sees them."""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final, Protocol

from sekisho.http.asgi import LINE, Message, Scope
from sekisho.http.state import ServerState

_log = logging.getLogger(__name__)

_MOST_UNREAD: Final = 256 * 1024
"""Bytes of a request's body that may wait here for the application; then the client is held back."""
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus if status >= 200
}
_BAD_NAME: Final = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
_BAD_VALUE: Final = re.compile(rb"[\x00\r\n]")


class Carrier(Protocol):
    """What a request needs of its connection."""

    state: ServerState

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    async def wait_for_room(self) -> None:
        """Return when the client takes more, or is gone."""
        ...

    def hold_back(self) -> None:
        """Let the client send no more for now."""
        ...

    def let_on(self) -> None:
        """Let the client send again."""
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
        "_carrier", "_chunked", "_expects_continue", "_gone", "_hangup", "_head", "_keep", "_left", "_method", "_news",
        "_parts", "_read", "_request_ended", "_started", "_unread", "answered", "scope",
    )  # fmt: skip

    def __init__(self, scope: Scope, carrier: Carrier, *, keep: bool, expects_continue: bool) -> None:
        self.scope = scope
        self.answered = False
        scope["extensions"] = {LINE: self}
        self._method: str = scope["method"]
        self._carrier = carrier
        self._keep = keep
        self._expects_continue = expects_continue
        self._gone = False
        self._hangup: Callable[[], None] | None = None
        self._parts: list[bytes] = []
        self._unread = 0
        self._read = False
        self._request_ended = False
        self._news: asyncio.Future[None] | None = None
        self._started = False
        self._head: bytes | None = None  # the answer's, until something goes with it
        self._chunked = False
        self._left = 0  # bytes of the answer's body that Content-Length promised and were not sent yet

    def take(self, part: bytes) -> None:
        """A part of the request's body has come."""
        if self.answered:
            return
        self._parts.append(part)
        self._unread += len(part)
        if self._unread > _MOST_UNREAD:
            self._carrier.hold_back()
        self._tell()

    def end_request(self) -> None:
        """The request is complete."""
        self._request_ended = True
        self._tell()

    def close_after(self) -> None:
        """No other request will follow on this connection."""
        self._keep = False

    def lose(self) -> None:
        """The client is gone."""
        self._gone = True
        self._tell()
        act, self._hangup = self._hangup, None
        if act is not None and not self.answered:
            act()

    def take_whole_body(self) -> bytes | None:
        """See `Line`."""
        if not self._request_ended or self._read or self._gone:
            return None
        return self._take_parts()

    def on_hangup(self, act: Callable[[], None] | None) -> None:
        """See `Line`."""
        self._hangup = act
        if self._gone and act is not None:
            self._hangup = None
            act()

    async def run(self) -> None:
        """Run the application on the request, and see to it that a broken answer never looks complete."""
        try:
            await self._carrier.state.app(self.scope, self.receive, self.send)
        except Exception:  # noqa: BLE001  # the border to the client: whatever went wrong, the answer is to be ended
            _log.exception("the application failed in a request")
        finally:
            if not self._started and not self._gone:
                self._refuse()
            elif not self.answered:
                self._carrier.cut()

    async def receive(self) -> Message:
        """ASGI's receive: the body as it came so far, then, when there is nothing more to say, the disconnect."""
        if self._expects_continue and not self._started and not self._gone:
            self._expects_continue = False
            self._carrier.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not (self._gone or self.answered):
            if self._parts or (self._request_ended and not self._read):
                body = self._take_parts()
                return {"type": "http.request", "body": body, "more_body": not self._request_ended}
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI's send: waits until the client takes more. What is sent to nobody is dropped."""
        if self._gone:
            return
        kind = message["type"]
        if self.answered or kind != ("http.response.body" if self._started else "http.response.start"):
            raise RuntimeError(f"{kind} does not belong here in an answer")
        if self._started:
            self._send_body(message.get("body", b""), last=not message.get("more_body", False))
            if not self.answered:
                await self._carrier.wait_for_room()
        else:
            self._started = True
            self._head = self._write_head(message["status"], message.get("headers", ()))
            asyncio.get_running_loop().call_soon(self._flush_head)

    def _take_parts(self) -> bytes:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._read = self._request_ended
        if self._unread > _MOST_UNREAD:
            self._carrier.let_on()
        self._unread = 0
        return body

    def _flush_head(self) -> None:
        """The application has more to do before the body comes: the client need not wait for the head so long."""
        head, self._head = self._head, None
        if head is not None and not self._gone:
            self._carrier.write(head)

    def _write_head(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        lines = [
            _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status,
            b"date: ",
            self._carrier.state.date,
            b"\r\n",
        ]
        length: int | None = None
        for name, value in headers:
            if _BAD_NAME.search(name) or _BAD_VALUE.search(value):
                raise RuntimeError("the application sends a header that would end early")
            if name == b"content-length":
                length = int(value)
            elif name == b"connection" and value.lower() == b"close":
                self._keep = False
                continue
            lines += (name, b": ", value, b"\r\n")
        bodiless = self._method == "HEAD" or status in (204, 304)
        if not bodiless and length is None:
            if self.scope["http_version"] == "1.0":
                self._keep = False
            else:
                self._chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
        self._left = 0 if bodiless or length is None else length
        if not self._request_ended:  # what is still to come of it would be read as another request
            self._keep = False
        if not self._keep:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)

    def _send_body(self, body: bytes, *, last: bool) -> None:
        head, self._head = self._head or b"", None
        if self._method == "HEAD":
            body = b""
        elif self._chunked:
            end = b"0\r\n\r\n" if last else b""
            body = b"%x\r\n%b\r\n%b" % (len(body), body, end) if body else end
        elif len(body) > self._left and self.scope["http_version"] != "1.0":
            raise RuntimeError("the answer's body is longer than its Content-Length")
        else:
            self._left -= len(body)
        if head or body:
            self._carrier.write(head + body if head else body)
        if last:
            if self._left > 0:
                raise RuntimeError("the answer's body is shorter than its Content-Length")
            self.answered = True
            self._tell()
            self._carrier.finish(keep=self._keep)

    def _refuse(self) -> None:
        """Answer for an application that failed before it had answered."""
        self._started = self.answered = True
        self._carrier.write(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self._carrier.finish(keep=False)

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)
