"""The HTTP server under the gateway: uvicorn, with what it lacks for clients that are slow, greedy or odd.

HTTP/1.1 and cleartext HTTP/2 are spoken on one port: the first bytes of a connection tell which.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, ClassVar

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from sekisho.gateway.http2 import PREFACE, Http2Protocol

_HEADER_SECONDS = 10.0
_MAX_HEADER_BYTES = 64 * 1024
_KEEP_ALIVE_SECONDS = 75
_DRAIN_SECONDS = 30


class GuardedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with a time and a size limit for headers.

    It also reads the body of a request that offers `Upgrade: h2c`, which the JDK's HttpClient does with every POST:
    httptools stops before the body then, and uvicorn would answer as if there were none.
    """

    _timer: asyncio.TimerHandle | None = None
    _in_headers = True
    _header_bytes = 0
    _muted = False  # while a fresh parser is told the framing of a body whose head it did not see

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """A client has connected; its headers must be complete in time."""
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._in_headers:
            self._header_bytes += len(data)
        self._feed(data)
        if self._in_headers and not self.transport.is_closing():
            if self._header_bytes > _MAX_HEADER_BYTES:
                self.send_400_response("Request headers too large.")
            elif self._timer is None:
                self._arm()

    def on_url(self, url: bytes) -> None:
        """The parser has read a part of the path."""
        if not self._muted:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser has read a header."""
        if not self._muted:
            super().on_header(name, value)

    def on_message_begin(self) -> None:
        """The parser has seen the first byte of a request."""
        if self._muted:
            return
        self._in_headers = True
        self._header_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The parser has read the last header."""
        if self._muted:
            return
        self._in_headers = False
        self._header_bytes = 0
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The parser has come to the end of a request, or believes so because an upgrade was offered."""
        if not self._muted and not (self.parser.should_upgrade() and self._framing()):
            super().on_message_complete()

    def _feed(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Go on as if no upgrade had been offered (RFC 9110 section 7.8 allows it): a fresh parser reads the body."""
        head = b"POST / HTTP/1.1\r\n" + self._framing() + b"\r\n"
        self.parser = httptools.HttpRequestParser(self)
        self._muted = True
        self.parser.feed_data(head)
        self._muted = False
        if rest:
            self._feed(rest)

    def _framing(self) -> bytes:
        return b"".join(
            name + b": " + value + b"\r\n"
            for name, value in self.headers
            if name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 "))
        )

    def _arm(self) -> None:
        self._timer = self.loop.call_later(_HEADER_SECONDS, self._give_up)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.abort()


class EitherProtocol(asyncio.Protocol):
    """Hands a connection over by its first bytes: to HTTP/2 if they are its preface, else to HTTP/1.1."""

    alpn_protocols: ClassVar[list[str]] = ["h2", "http/1.1"]
    """What uvicorn offers when it is given certificates; the preface comes first there, too."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,  # uvicorn passes it by this name
    ) -> None:
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._begun = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvloop's is not one
        """A client has connected; it must begin in time."""
        self._transport = transport
        self._state.connections.add(self)  # type: ignore[arg-type]  # uvicorn lists its own protocols only
        self._timer = asyncio.get_running_loop().call_later(_HEADER_SECONDS, transport.abort)

    def connection_lost(self, _exc: Exception | None) -> None:
        """The client has gone before it had said enough."""
        self._leave()

    def data_received(self, data: bytes) -> None:
        """The first bytes, or more of them."""
        self._begun += data
        if self._begun.startswith(PREFACE):
            self._hand_over(Http2Protocol(self._config, self._state, self._app_state))
        elif not PREFACE.startswith(self._begun):
            self._hand_over(GuardedProtocol(self._config, self._state, self._app_state))

    def shutdown(self) -> None:
        """The server stops: nothing is under way here."""
        self._transport.close()

    def _hand_over(self, protocol: GuardedProtocol | Http2Protocol) -> None:
        self._leave()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._begun)

    def _leave(self) -> None:
        self._timer.cancel()
        self._state.connections.discard(self)


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to whoever runs it, and waits for its last requests when it stops."""

    def __init__(self, app: Any) -> None:  # uvicorn's own ASGI type is private
        super().__init__(
            uvicorn.Config(
                app,
                http=EitherProtocol,
                ws="none",
                lifespan="off",
                loop="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_DRAIN_SECONDS,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by the process, not by each server in it."""
        yield

    async def run_until(self, stopping: asyncio.Event, sock: socket.socket) -> None:
        """Serve on a bound socket until `stopping` is set and the requests under way are done or given up.

        uvicorn cancels what is left after its grace time, but does not wait for it: their holds would not be settled.
        """
        watcher = asyncio.create_task(self._exit_when(stopping))
        try:
            await self.serve(sockets=[sock])
        finally:
            watcher.cancel()
        await asyncio.gather(*list(self.server_state.tasks), return_exceptions=True)

    async def _exit_when(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self.should_exit = True
