"""The HTTP server: HTTP/1.1 and HTTP/2 on one port, in clear or over TLS, told apart by a connection's first bytes."""

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Final

from sekisho.http.asgi import Application
from sekisho.http.http1 import HEADER_SECONDS, Http1Protocol
from sekisho.http.state import ServerState

if TYPE_CHECKING:
    from sekisho.http.http2 import Http2Protocol

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client of HTTP/2 begins with (RFC 9113 section 3.4)."""
_BACKLOG: Final = 2048
_DRAIN_SECONDS: Final = 30.0


class EitherProtocol(asyncio.Protocol):
    """Hands a connection over by its first bytes: to HTTP/2 if they are its preface, else to HTTP/1.1."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._begun = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvloop's is not one
        """A client has connected; it must begin in time."""
        self._transport = transport
        self._state.connections.add(self)
        self._timer = asyncio.get_running_loop().call_later(HEADER_SECONDS, transport.abort)

    def connection_lost(self, _exc: Exception | None) -> None:
        """The client has gone before it had said enough."""
        self._leave()

    def data_received(self, data: bytes) -> None:
        """The first bytes, or more of them."""
        self._begun += data
        if self._begun.startswith(PREFACE):
            from sekisho.http.http2 import Http2Protocol  # noqa: PLC0415  # few gateways have such clients

            self._hand_over(Http2Protocol(self._state))
        elif not PREFACE.startswith(self._begun):
            self._hand_over(Http1Protocol(self._state))

    def shutdown(self) -> None:
        """The server stops: nothing is under way here."""
        self._transport.close()

    def _hand_over(self, protocol: "Http1Protocol | Http2Protocol") -> None:
        self._leave()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._begun)

    def _leave(self) -> None:
        self._timer.cancel()
        self._state.connections.discard(self)


class Server:
    """Serves an ASGI application (its HTTP messages only). It leaves signals to whoever runs it."""

    def __init__(self, app: Application, tls: ssl.SSLContext | None = None) -> None:
        self._state = ServerState(app)
        self._tls = tls
        if tls is not None:
            tls.set_alpn_protocols(["h2", "http/1.1"])

    async def run_until(self, stopping: asyncio.Event, sock: socket.socket) -> None:
        """Serve on a bound socket until `stopping` is set and the requests under way are done or given up."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: EitherProtocol(self._state),
            sock=sock,
            backlog=_BACKLOG,
            ssl=self._tls,
            ssl_handshake_timeout=None if self._tls is None else HEADER_SECONDS,
        )
        try:
            await stopping.wait()
        finally:
            server.close()
            await self._drain()

    async def _drain(self) -> None:
        self._state.draining = True
        for connection in list(self._state.connections):
            connection.shutdown()
        if tasks := list(self._state.tasks):
            await asyncio.wait(tasks, timeout=_DRAIN_SECONDS)
        # Those that are given up are waited for: their holds must be settled.
        for task in self._state.tasks:
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)
