"""HTTP/1.1 from clients: one connection, its requests one after the other, with limits for the slow, greedy and odd."""

import asyncio
import re
from collections import deque
from typing import Any, Final
from urllib.parse import unquote

import httptools

from sekisho.http.asgi import KNOWN, Scope
from sekisho.http.cycle import Cycle
from sekisho.http.deadline import NEVER, Deadline
from sekisho.http.familiar import FamiliarHead
from sekisho.http.outbox import Sender
from sekisho.http.state import KEEP_ALIVE_SECONDS, ServerState, describe

HEADER_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 5.0
_MAX_HEADER_BYTES: Final = 64 * 1024
_MOST_FRAMING: Final = 16
"""Bytes of framing (chunk sizes, extensions, trailers) that a byte of a body may bring with it."""
_MOST_LESSONS: Final = 4
"""How often a connection's head is learned: a client whose heads differ anyway need not pay for it."""
_NOT_A_PATH: Final = re.compile(rb"\A[^/]|[?#]")
"""What a target has that is more than a path; the parser has seen to it that there is nothing in it but ASCII."""


class _HeadTooLarge(Exception):
    """The head of a request is longer than it may be."""


class Http1Protocol(Sender):
    """One connection.

    A request that offers an upgrade is answered as if it had not (RFC 9110 section 7.8 allows it); the JDK's HttpClient
    offers `h2c` with every POST. httptools stops before the body of such a request: a fresh parser reads it.

    A client that closes its side counts as gone, since nothing tells that apart from one that has left.
    """

    def __init__(self, state: ServerState) -> None:
        super().__init__(state.outbox)
        self.state = state
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        # What a client sends after a request with `Connection: close` is left unread, not an error.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._muted = False  # while a fresh parser is told the framing of a body whose head it did not see
        self._between = True  # whether the next byte is a request's first
        self._keeps = False  # whether another request may follow the one that the parser reads
        self._whole = b""  # what came, if it begins with a request
        self._familiar: FamiliarHead | None = None
        self._lessons = 0
        self._body_left = 0  # bytes of the body that belongs to a familiar head
        self._fixed: dict[str, Any] = {}
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._in_headers = True
        self._timed = True  # whether there is a deadline for the headers that are coming
        self._unread = 0  # bytes of headers, or of a body's framing, beyond what is allowed for it
        self._arriving: Cycle | None = None  # the request that is being received, or was last
        self._current: Cycle | None = None  # the one being answered
        self._waiting: deque[Cycle] = deque()
        self._held_back = False
        self.full = False
        self._deadline = Deadline(self._loop, self._give_up)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvloop's is not one
        """A client has connected; its headers must be complete in time."""
        self._transport = transport
        self._fixed = describe(transport)
        self.state.connections.add(self)
        self._wait(HEADER_SECONDS)

    def connection_lost(self, _exc: Exception | None) -> None:
        """The client is gone."""
        self.state.connections.discard(self)
        self._deadline.stop()
        self._waiting.clear()
        self.full = False
        for cycle in (self._current, self._arriving):
            if cycle is not None:
                cycle.lose()
        # These refer back to this object, and only the collector frees a ring.
        self._current = self._arriving = None
        del self._parser

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._familiar is not None and self._between:
            data = self._take_familiar(data)
            if not data:
                return
        self._whole = data if self._between else b""
        self._unread += len(data)
        self._feed(data)
        if self._unread > _MAX_HEADER_BYTES:
            self._refuse_head()
        elif self._in_headers and not self._timed and self._current is None:
            self._timed = True
            self._wait(HEADER_SECONDS)

    def pause_writing(self) -> None:
        """The socket's buffer is full."""
        self.full = True

    def resume_writing(self) -> None:
        """The socket takes more."""
        self.full = False
        if self._current is not None:
            self._current.tell_room()

    def shutdown(self) -> None:
        """The server stops: no new requests, and the end when the one under way is done."""
        if self._current is None:
            self._close()

    def hold_back(self) -> None:
        """Let the client send no more for now."""
        if not self._held_back and not self._transport.is_closing():
            self._held_back = True
            self._transport.pause_reading()

    def let_on(self) -> None:
        """Let the client send again, unless it has sent requests ahead."""
        if self._held_back and not self._waiting and not self._transport.is_closing():
            self._held_back = False
            self._transport.resume_reading()

    def allow(self, seconds: float | None) -> None:
        """Give the body of the request that is being answered so long to come on."""
        if not self._transport.is_closing():
            self._deadline.set(NEVER if seconds is None else self._loop.time() + seconds)

    def finish(self, *, keep: bool) -> None:
        """The answer is complete; `keep` says whether the connection may carry another request."""
        self._current = None
        if not keep or (self.state.draining and not self._waiting):
            self._close()
        elif self._waiting:
            self._start(self._waiting.popleft())
            self.let_on()
        else:
            if self._held_back:
                self.let_on()
            self._wait(HEADER_SECONDS if self._in_headers and self._unread else KEEP_ALIVE_SECONDS)

    def cut(self) -> None:
        """Close the connection: what was sent of the answer is all there will be."""
        self._close()

    def on_message_begin(self) -> None:
        """The parser has seen the first byte of a request."""
        if self._muted:
            return
        self._url, self._headers = b"", []
        self._between = False
        self._in_headers = True
        self._timed = False

    def on_url(self, url: bytes) -> None:
        """The parser has read a part of the path."""
        if not self._muted:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser has read a header; those that follow a body are left out."""
        if self._in_headers and not self._muted:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The parser has read the last header."""
        if self._muted:
            return
        if self._unread > _MAX_HEADER_BYTES and self._count_head() > _MAX_HEADER_BYTES:  # it came with one read
            raise _HeadTooLarge
        version = self._parser.get_http_version()
        keep = version == "1.1" and self._parser.should_keep_alive()
        scope = self._make_scope(version)
        self._keeps = keep and not self._parser.should_upgrade()
        if self._keeps and self._whole and self._lessons < _MOST_LESSONS:
            self._familiar = FamiliarHead.learn(self._whole, scope) or self._familiar
            self._lessons += 1
        self._whole = b""
        self._admit(scope, keep=keep)

    def on_body(self, part: bytes) -> None:
        """The parser has read a part of a body."""
        unread = self._unread - _MOST_FRAMING * len(part)
        self._unread = unread if unread > 0 else 0
        if self._arriving is not None:
            self._arriving.take(part)

    def on_message_complete(self) -> None:
        """The parser has come to the end of a request, or believes so because an upgrade was offered."""
        if self._muted or (self._parser.should_upgrade() and self._framing()):
            return
        self._unread = 0
        self._between = self._keeps
        if self._arriving is not None:
            self._arriving.end_request()

    def _take_familiar(self, data: bytes) -> bytes:
        """Take what begins with a familiar head, or belongs to one. Returns the rest, which is for the parser."""
        while data:
            if not self._body_left:
                found = None if self._familiar is None else self._familiar.find(data)
                if found is None:
                    return data
                scope, begin, self._body_left = found
                self._admit(scope, keep=True)
                data = data[begin:]
            arriving, part = self._arriving, data[: self._body_left]
            assert arriving is not None
            if part:
                self._body_left -= len(part)
                arriving.take(part)
            if not self._body_left:
                arriving.end_request()
            data = data[len(part) :]
        return data

    def _admit(self, scope: Scope, *, keep: bool) -> None:
        """A request's head is complete."""
        self._in_headers = False
        self._unread = 0
        cycle = self._arriving = Cycle(scope, self, keep=keep)
        if self._current is None:
            self._start(cycle)
        else:
            self._waiting.append(cycle)
            self.hold_back()

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, _HeadTooLarge):
                self._refuse_head()
            else:
                self._refuse(b"400 Bad Request", b"Invalid HTTP request received.")

    def _ignore_upgrade(self, rest: bytes) -> None:
        head = b"POST / HTTP/1.1\r\n" + self._framing() + b"\r\n"
        self._parser = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._muted = True
        self._feed(head)
        self._muted = False
        if rest and not self._transport.is_closing():
            self._feed(rest)

    def _framing(self) -> bytes:
        return b"".join(
            name + b": " + value + b"\r\n"
            for name, value in self._headers
            if name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 "))
        )

    def _make_scope(self, version: str) -> Scope:
        raw_path, query = self._url, b""
        if _NOT_A_PATH.search(raw_path):
            url = httptools.parse_url(raw_path)
            raw_path, query = url.path, url.query or b""
        path = raw_path.decode("ascii")
        return {
            **self._fixed,
            "http_version": version,
            "method": self._parser.get_method().decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._headers,
            KNOWN: {},
        }

    def _start(self, cycle: Cycle) -> None:
        self._current = cycle
        self._deadline.at = NEVER  # which is later than any time, so that there is nothing to set
        cycle.task = self._loop.create_task(cycle.run())
        self.state.tasks.add(cycle.task)

    def _refuse(self, status: bytes, words: bytes) -> None:
        """Answer what is no request, unless an answer is under way: then only the end of the connection says it."""
        self._between = False  # what comes after it is none either
        if self._current is None:
            head = b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.write(head % (status, len(words)) + words)
            self._close()
        else:
            self._transport.abort()

    def _refuse_head(self) -> None:
        self._refuse(b"431 Request Header Fields Too Large", b"The request's headers are too large.")

    def _count_head(self) -> int:
        """The bytes of the head that has just been read."""
        return len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._headers)

    def _close(self) -> None:
        """Hang up once the client has taken what was sent to it, or has not for a while."""
        if not self._transport.is_closing():
            self.hang_up()
            self._wait(_CLOSE_SECONDS)

    def _wait(self, seconds: float) -> None:
        """Give the client so long."""
        self._deadline.set(self._loop.time() + seconds)

    def _give_up(self) -> None:
        if self._transport.is_closing() or (self._in_headers and self._unread):
            self._transport.abort()
        elif self._current is not None:
            self._current.be_late()
        else:
            self._close()
