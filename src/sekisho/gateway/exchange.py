"""One client's request and the bytes back to it."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeVar

from sekisho.core.errors import BodyTimeout, BodyTooLarge, CallerError, ClientGone, InvalidRequest
from sekisho.http.asgi import KNOWN, LINE, BodyTooLong, HeaderPairs, Line, Scope

_BODY_IDLE_SECONDS = 30.0
_DISCARD_BYTES = 64 * 1024 * 1024
_DISCARD_SECONDS = 5.0

_Read = TypeVar("_Read")


class Exchange:
    """A request being answered.

    `started` is whether the first byte has gone out: after it no fallback is possible. `waited` is whether the body had
    still to come when it was asked for. `persists` is whether hang-ups are only noted.
    """

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: bytes = scope.get("raw_path") or self.path.encode()
        self.query: bytes = scope.get("query_string", b"")
        self.headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        client = scope.get("client")
        self.client_ip: str | None = client[0] if client else None
        self.started = self.waited = False
        self._known: dict[Callable[[HeaderPairs], Any], Any] = {} if (known := scope.get(KNOWN)) is None else known
        self._body_ended = False
        self._line: Line = scope["extensions"][LINE]
        self.persists = self._gone = False
        self._inside: asyncio.Task[Any]
        self.last_sent = 0.0

    def recall(self, read: Callable[[HeaderPairs], _Read]) -> _Read:
        """What `read` makes of the headers: worked out once for all requests of the connection that have the same.

        It must not depend on Content-Length, nor on anything else than the headers. What it gives must not be changed.
        """
        try:
            found: _Read = self._known[read]
        except KeyError:
            found = self._known[read] = read(self.headers)
        return found

    @property
    def named(self) -> Mapping[bytes, bytes]:
        """The headers by their lower-case names, without Content-Length; of one that came twice, the first."""
        return self.recall(_name_headers)

    def header(self, name: bytes) -> str | None:
        """The first header of this lower-case name, decoded as HTTP has it (latin-1); not for Content-Length."""
        value = self.named.get(name)
        return None if value is None else value.decode("latin-1")

    def header_named(self, name: str) -> str | None:
        """As `header`, for dialects."""
        return self.header(name.encode("latin-1"))

    async def body(self, cap: int) -> bytes:
        """The whole body.

        Raises InvalidRequest when it is not UTF-8, BodyTooLarge over `cap` bytes, BodyTimeout when nothing more
        arrives for a while, ClientGone.
        """
        if (encoding := self.header(b"content-encoding")) not in (None, "", "identity"):
            refusal = f"A body with Content-Encoding {encoding[:40]!r} is not taken here; send it without compression."
            raise CallerError(refusal, status=415, param="content-encoding")
        whole = self._line.take_whole_body()
        if whole is None:
            self.waited = True
            whole = await self._read_body(cap)
        self._body_ended = True
        if len(whole) > cap:
            raise _too_large(cap)
        return whole if whole.isascii() else _check_text(whole)

    async def _read_body(self, cap: int) -> bytes:
        stated = dict(self.headers).get(b"content-length", b"")
        if stated.isdigit() and int(stated) > cap:
            raise _too_large(cap)
        try:
            whole = await self._line.read_body(cap, _BODY_IDLE_SECONDS)
        except BodyTooLong:
            raise _too_large(cap) from None
        except TimeoutError:
            message = f"The request's body stopped arriving for {_BODY_IDLE_SECONDS:.0f} s."
            raise BodyTimeout(message) from None
        if whole is None:
            raise ClientGone("The client hung up before its request was complete.")
        return whole

    async def discard_body(self) -> None:
        """Read what is left of the body and throw it away, within bounds.

        A client that is still sending when the answer comes and the connection closes sees a broken connection
        instead of the answer. One that waits for `100 Continue` is not sending.
        """
        if self._body_ended or self.header(b"expect") is not None:
            return
        left = _DISCARD_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DISCARD_SECONDS):
                while left > 0:
                    message = await self._line.receive()
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        return
                    left -= len(message.get("body", b""))

    def cancelled_on_hangup(self) -> Self:
        """Cancels what runs inside when the client hangs up, and raises ClientGone in its place."""
        return self

    def __enter__(self) -> None:
        inside = asyncio.current_task()
        assert inside is not None
        self._inside = inside
        self._line.on_hangup(self._cancel)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._line.on_hangup(None)
        if self._gone and kind is asyncio.CancelledError and self._inside.uncancel() == 0:
            raise ClientGone("The client hung up.") from None

    def persist(self) -> None:
        """From here on a hang-up is only noted, until `heed`: an upstream is at work, and bills it whoever listens."""
        self.persists = True

    def heed(self) -> bool:
        """Go by hang-ups again; whether one was noted. Then the task is cancelled as soon as it awaits something."""
        noted = self.persists and self._gone
        self.persists = False
        if noted:
            self._inside.cancel()
        return noted

    def _cancel(self) -> None:
        self._gone = True
        if not self.persists:
            self._inside.cancel()

    def begin(self, status: int, headers: HeaderPairs) -> None:
        """Send the status and the headers."""
        self.started = True
        self._line.begin(status, headers)

    def write(self, chunk: bytes) -> bool:
        """Send a part of the body; whether the client has to take it before more should be written."""
        self.last_sent = monotonic()
        return self._line.write(chunk)

    @property
    def full(self) -> bool:
        """Whether the client has to take what it was sent before more should be written."""
        return self._line.full

    def on_room(self, act: Callable[[], None]) -> None:
        """Have `act` called once when the client takes more, or is gone."""
        self._line.on_room(act)

    def kept_alive(self, beat: bytes, seconds: float) -> "_Heart":
        """Writes `beat` whenever nothing else was written for so many seconds; with an empty `beat` never.

        A model may think for minutes; proxies and clients on the way give up a connection that is silent as long.
        """
        return _Heart(self, beat, seconds)

    def finish(self, last: bytes = b"") -> None:
        """Send the last part of the body."""
        self._line.finish(last)

    def answer(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        """Send a whole answer."""
        self.started = True
        self._line.answer(status, headers, body)


class _Heart:
    """See `Exchange.kept_alive`."""

    __slots__ = ("_beat", "_exchange", "_loop", "_seconds", "_timer")

    def __init__(self, exchange: Exchange, beat: bytes, seconds: float) -> None:
        self._exchange = exchange
        self._beat = beat
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._exchange.last_sent = monotonic()
        if self._beat:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        exchange = self._exchange
        wait = exchange.last_sent + self._seconds - monotonic()
        if wait <= 0:
            if not exchange.full:  # else there is enough on the way
                exchange.write(self._beat)
            wait = self._seconds
        self._timer = self._loop.call_later(wait, self._look)


def _name_headers(headers: HeaderPairs) -> Mapping[bytes, bytes]:
    return {name: value for name, value in reversed(headers) if name != b"content-length"}


def _check_text(body: bytes) -> bytes:
    """The body, which is JSON in every API here, and so UTF-8: readers that skip a field would not notice."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        message = f"The request body cannot be read as JSON: it is not UTF-8 (byte {error.start})."
        raise InvalidRequest(message, param="request_body") from None
    return body


def _too_large(cap: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The request's body is larger than {cap} bytes, this gateway's cap (general_settings.max_request_size_mb).",
        param="request_body",
    )
