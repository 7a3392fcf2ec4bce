"""One connection to an upstream, and the answers that come over it, one after the other."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final, cast

import httptools

from sekisho.http.deadline import NEVER, Deadline
from sekisho.http.failures import Broken, CallFailed, TimedOut, Timeouts
from sekisho.http.headers import ResponseHeaders
from sekisho.http.outbox import Outbox, Sender

_MAX_HEADER_BYTES: Final = 64 * 1024
_MOST_COPIED: Final = 64 * 1024
"""Bytes of a body that cost less to be put behind the head than to be sent as a second buffer."""
_MOST_UNREAD: Final = 256 * 1024
"""Bytes of an answer that may wait here for a slow reader; then the upstream is held back."""


_NO_HEADERS: Final = ResponseHeaders(())


class UpstreamResponse:
    """An answer, from the moment its status line is awaited. To be closed, whatever happens."""

    __slots__ = (
        "_connection",
        "_failure",
        "_headers",
        "_held",
        "_idle",
        "_parts",
        "_take",
        "_waiter",
        "complete",
        "head",
        "status",
        "unread",
    )

    def __init__(self, connection: "Connection", head: "asyncio.Future[None]", idle: float) -> None:
        self.status = 0
        self.complete = False
        self.unread = 0
        self.head: Final = head
        self._headers = _NO_HEADERS
        self._connection = connection
        self._parts: list[bytes] = []
        self._failure: Exception | None = None
        self._take: Callable[[bytes], None] | None = None
        self._held = False
        self._waiter: asyncio.Future[None] | None = None
        self._idle = idle

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their lower-case names; of one that came twice, the last."""
        return self._headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """What has arrived, as it arrives; a chunk is not an event. Raises Broken or TimedOut."""
        while True:
            if self._parts:
                yield self._take_parts()
            elif self._failure is not None:
                raise self._failure
            elif self.complete:
                return
            else:
                await self._wait()

    async def pour(self, take: Callable[[bytes], None]) -> None:
        """Have `take` called with what arrives, the moment it does, to the end. No task has to wake up for that.

        Raises Broken, TimedOut, or what `take` has raised, which gets nothing more then.
        """
        self._take = take
        try:
            self.flush()
            while self._parts or not (self.complete or self._failure):
                await self._wait()
        finally:
            self._take = None  # which mostly refers back to this answer, and only the collector frees a ring
        if self._failure is not None:
            raise self._failure

    def hold(self) -> None:
        """Let nothing more be poured, and the upstream wait."""
        self._held = True
        self._connection.hold(self)

    def let_on(self) -> None:
        """Go on after `hold`."""
        self._held = False
        self._connection.take_more(self)
        self.flush()

    def take_whole(self, cap: int) -> bytes | None:
        """The whole body if it has come already and is not longer than `cap` bytes: the usual case. None otherwise."""
        if self.complete and self.unread <= cap and self._failure is None:
            return self._take_parts()
        return None

    async def read(self, cap: int) -> bytes:
        """The whole body. Raises Broken when it is longer than `cap` bytes, else Broken or TimedOut."""
        if (whole := self.take_whole(cap)) is not None:
            return whole
        pieces: list[bytes] = []
        size = 0
        while True:
            if self._parts:
                pieces.append(self._take_parts())
                size += len(pieces[-1])
                if size > cap:
                    raise Broken(f"the answer is longer than {cap} bytes")
            elif self._failure is not None:
                raise self._failure
            elif self.complete:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
            else:
                await self._wait()

    def close(self) -> None:
        """Drop the connection if the body has not come to its end; otherwise it is already back in the pool."""
        if not self.complete:
            self._connection.abort()

    def begin(self, status: int, headers: ResponseHeaders) -> float:
        """The head has come. Returns the seconds of silence allowed from here on."""
        self.status, self._headers = status, headers
        if not self.head.done():
            self.head.set_result(None)
        return self._idle

    def add(self, part: bytes) -> None:
        """A part of the body has come."""
        if self._failure is None:
            self._parts.append(part)
            self.unread += len(part)

    def flush(self) -> None:
        """All of what came at once is there: it goes on."""
        take = self._take
        if take is None:
            self._wake()
            return
        while self._parts and not self._held:
            try:
                take(self._take_parts())
            except Exception as error:  # noqa: BLE001  # it is the waiting call's, and is raised there
                self._failure = error
        if (self.complete or self._failure) and not self._parts:
            self._wake()

    def end(self) -> None:
        """The body is complete."""
        self.complete = True
        self.flush()

    def fail(self, failure: CallFailed) -> None:
        """Nothing more will come."""
        if self._failure is None:
            self._failure = failure
        if not self.head.done():
            self.head.set_exception(failure)
        self.flush()

    def _take_parts(self) -> bytes:
        parts = self._parts
        chunk = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        if self.unread > _MOST_UNREAD:
            self._connection.take_more(self)
        self.unread = 0
        return chunk

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Connection(Sender):
    """A connection that carries one request at a time. `idle_since` is when it last became free, by the loop's clock.

    release: called when an answer is complete and the connection can carry another request. standing: all connections
    that stand; this one is among them from its beginning to its end.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        release: "Callable[[Connection], None]",
        standing: "set[Connection]",
        outbox: Outbox,
    ) -> None:
        super().__init__(outbox)
        self.idle_since = 0.0
        self._loop = loop
        self._release = release
        self._standing = standing
        self._parser = httptools.HttpResponseParser(self)
        self._answer: UpstreamResponse | None = None
        self._came: list[bytes] = []  # before the answer's headers are complete, and with the last of them
        self._header_bytes = 0
        self._passing = False  # inside an interim answer, such as 100 Continue
        self._stray = False  # an answer that nobody asked for has begun
        self._paused = False
        self._deadline = Deadline(loop, self._give_up)
        self._allowed = 0.0
        self._end = NEVER  # of all the time that the call may take

    @property
    def usable(self) -> bool:
        """Whether a request can be sent now."""
        return self._answer is None and not self._transport.is_closing()

    def send(self, head: bytes, body: bytes, timeouts: Timeouts, end: float = NEVER) -> UpstreamResponse:
        """Send a request; the answer's `head` is done when its status line and headers have come.

        `end` is when the whole answer must be there, by the loop's clock.
        """
        self._end = end
        answer = self._answer = UpstreamResponse(self, self._loop.create_future(), timeouts.idle)
        self._came = []
        self._header_bytes = 0
        self._allow(timeouts.first)
        if len(body) > _MOST_COPIED:
            self.write_later(head)
            self.write(body)
        else:
            self.write(head + body)
        return answer

    def abort(self) -> None:
        """Drop the connection at once, and whatever was under way on it."""
        if self in self._standing:
            self._transport.abort()
        self._lose(Broken("the call was given up"))

    def hold(self, answer: UpstreamResponse) -> None:
        """Let the upstream of this answer wait; nobody reads what it sends."""
        if answer is self._answer and not self._paused:
            self._paused = True
            self._transport.pause_reading()
            self._deadline.set(self._end)  # a slow client's silence is not the upstream's

    def take_more(self, answer: UpstreamResponse) -> None:
        """What was held back of this answer may come."""
        if self._paused and answer is self._answer:
            self._paused = False
            self._allow(self._allowed)
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class does not say so
        self._standing.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, which is how a body without a length ends."""
        self._standing.discard(self)
        answer = self._answer
        if answer is not None and exc is None and answer.status and not self._is_framed(answer):
            self._settle(answer, reusable=False)
        cause = "closed by the upstream" if exc is None else f"{type(exc).__name__}: {exc}"[:200]
        self._lose(Broken(cause))
        del self._parser  # it refers back to this object, and only the collector frees a ring

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        answer = self._answer
        if answer is None:  # nobody asked: what this connection says cannot be trusted any more
            self.abort()
            return
        if not answer.status:
            self._came.append(data)
            self._header_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._break("the upstream switched protocols")
        except httptools.HttpParserError as error:
            self._break(f"the answer is not HTTP ({error})")
        else:
            if self._stray:
                self.abort()
            elif answer is self._answer:  # neither complete nor lost
                self._go_on(answer)

    def on_message_begin(self) -> None:
        """An answer begins."""
        self._stray = self._answer is None

    def on_headers_complete(self) -> None:
        """The parser has read the last header."""
        status = self._parser.get_status_code()
        self._passing = 100 <= status < 200
        answer = self._answer
        if self._passing or answer is None:
            return
        self._allowed = answer.begin(status, ResponseHeaders(self._came))

    def on_body(self, part: bytes) -> None:
        """The parser has read a part of the body."""
        if self._answer is not None:
            self._answer.add(part)

    def on_message_complete(self) -> None:
        """The answer is complete."""
        if not self._passing and self._answer is not None:
            self._settle(self._answer, reusable=self._parser.should_keep_alive())

    def _go_on(self, answer: UpstreamResponse) -> None:
        """After some bytes: are the headers too long, is the reader too slow, and how long may the silence last now."""
        if not answer.status:
            if self._header_bytes > _MAX_HEADER_BYTES:
                self._break(f"the answer's headers are longer than {_MAX_HEADER_BYTES} bytes")
            return
        if not self._paused:
            at, end = self._loop.time() + self._allowed, self._end
            self._deadline.set(at if at < end else end)
        answer.flush()
        if answer.unread > _MOST_UNREAD:
            self.hold(answer)

    def _is_framed(self, answer: UpstreamResponse) -> bool:
        """Whether the body's end can be told from the end of the connection."""
        return answer.status in (204, 304) or not _FRAMING.isdisjoint(answer.headers)

    def _settle(self, answer: UpstreamResponse, *, reusable: bool) -> None:
        """The answer is complete: the connection goes back, or away if it cannot carry another."""
        self._answer = None
        self._deadline.at = NEVER  # which is later than any time, so that there is nothing to set
        answer.end()
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        # What is still to be sent belongs to a request that was answered early: the next one would be read as its rest.
        if reusable and self._has_sent_all():
            self.idle_since = self._loop.time()
            self._release(self)
        else:
            self._transport.abort()  # closing would keep the rest until an upstream takes it that need not

    def _has_sent_all(self) -> bool:
        """Whether the connection stands and all that was written is with the kernel."""
        transport = self._transport
        return not (self._unsent or transport.is_closing() or transport.get_write_buffer_size())

    def _break(self, cause: str) -> None:
        self._transport.abort()
        self._lose(Broken(cause))

    def _lose(self, failure: CallFailed) -> None:
        answer, self._answer = self._answer, None
        self._deadline.stop()
        if answer is not None:
            answer.fail(failure)

    def _allow(self, seconds: float) -> None:
        """Give the upstream so long to say something."""
        at = self._loop.time() + seconds
        self._deadline.set(at if at < self._end else self._end)

    def _give_up(self) -> None:
        self._transport.abort()
        self._lose(TimedOut("no data for the time allowed"))


_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
