"""One client's request and the bytes back to it, over raw ASGI."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from sekisho.core.errors import BodyTimeout, BodyTooLarge, CallerError, ClientGone, InvalidRequest
from sekisho.http.asgi import LINE, Line, Message, Receive, Scope, Send

Headers = Sequence[tuple[bytes, bytes]]

_BODY_IDLE_SECONDS = 30.0
_DISCARD_BYTES = 64 * 1024 * 1024
_DISCARD_SECONDS = 5.0


class Exchange:
    """A request being answered. `started` is whether the first byte has gone out: after it no fallback is possible."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: bytes = scope.get("raw_path") or self.path.encode()
        self.query: bytes = scope.get("query_string", b"")
        self.headers: Headers = scope["headers"]
        client = scope.get("client")
        self.client_ip: str | None = client[0] if client else None
        self.started = False
        self._named: dict[bytes, bytes] | None = None
        self._body_ended = False
        self._sending = asyncio.Lock()
        self._last_sent = 0.0
        self._line: Line = scope["extensions"][LINE]
        self._receive = receive
        self._send = send

    def header(self, name: bytes) -> str | None:
        """The first header of this lower-case name, decoded as HTTP has it (latin-1)."""
        if self._named is None:
            self._named = dict(reversed(self.headers))
        value = self._named.get(name)
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
        stated = self.header(b"content-length")
        if stated is not None and stated.isdecimal() and int(stated) > cap:
            raise _too_large(cap)
        whole = self._line.take_whole_body()
        if whole is not None:
            self._body_ended = True
            if len(whole) > cap:
                raise _too_large(cap)
            return _check_text(whole)
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await self._next_message()
            if message["type"] == "http.disconnect":
                raise ClientGone("The client hung up before its request was complete.")
            piece: bytes = message.get("body", b"")
            size += len(piece)
            if size > cap:
                raise _too_large(cap)
            pieces.append(piece)
            if not message.get("more_body", False):
                self._body_ended = True
                return _check_text(pieces[0] if len(pieces) == 1 else b"".join(pieces))

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
                    message = await self._receive()
                    if message["type"] == "http.disconnect" or not message.get("more_body", False):
                        return
                    left -= len(message.get("body", b""))

    async def _next_message(self) -> Message:
        try:
            async with asyncio.timeout(_BODY_IDLE_SECONDS):
                return await self._receive()
        except TimeoutError:
            message = f"The request's body stopped arriving for {_BODY_IDLE_SECONDS:.0f} s."
            raise BodyTimeout(message) from None

    @contextmanager
    def cancelled_on_hangup(self) -> Iterator[None]:
        """Cancels what runs inside when the client hangs up, and raises ClientGone in its place."""
        inside = asyncio.current_task()
        assert inside is not None
        gone = False

        def cancel() -> None:
            nonlocal gone
            gone = True
            inside.cancel()

        self._line.on_hangup(cancel)
        try:
            yield
        except asyncio.CancelledError:
            if not gone or inside.uncancel() > 0:
                raise
            raise ClientGone("The client hung up.") from None
        finally:
            self._line.on_hangup(None)

    async def begin(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Send the status and the headers."""
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, chunk: bytes) -> None:
        """Send a part of the body; waits while the client does not take more."""
        if chunk:
            async with self._sending:
                self._last_sent = asyncio.get_running_loop().time()
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    @asynccontextmanager
    async def kept_alive(self, beat: bytes, seconds: float) -> AsyncIterator[None]:
        """Writes `beat` whenever nothing else was written for so many seconds; with an empty `beat` never.

        A model may think for minutes; proxies and clients on the way give up a connection that is silent as long.
        """
        loop = asyncio.get_running_loop()

        async def beat_on() -> None:
            while True:
                silent = loop.time() - self._last_sent
                if silent >= seconds and not self._sending.locked():
                    await self.write(beat)
                    silent = 0.0
                await asyncio.sleep(max(seconds - silent, 0.0) or seconds)

        self._last_sent = loop.time()
        beating = asyncio.create_task(beat_on()) if beat else None
        try:
            yield
        finally:
            if beating is not None:
                beating.cancel()
                async with self._sending:  # what it is just writing must not be cut by what comes next
                    pass

    async def finish(self, last: bytes = b"") -> None:
        """Send the last part of the body."""
        await self._send({"type": "http.response.body", "body": last, "more_body": False})

    async def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a whole answer."""
        await self.begin(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.finish(body)


def _check_text(body: bytes) -> bytes:
    """The body, which is JSON in every API here, and so UTF-8: readers that skip a field would not notice."""
    if not body.isascii():
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
