"""One streaming POST to an upstream over aiohttp: exact bytes out, raw chunks in, three kinds of failure.

Money depends on the kinds. `ConnectFailed`: the request never left, nothing can have been billed, another upstream may
be tried freely. `Broken` and `TimedOut`: the request may have been read, so it may have been billed.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
from msgspec import Struct
from multidict import CIMultiDict
from yarl import URL

_KEEP_ALIVE_SECONDS = 45.0
_MAX_HEADER_BYTES = 64 * 1024


class CallFailed(Exception):
    """The call did not end well. The message names classes and causes of the connection, never a header or a body."""


class ConnectFailed(CallFailed):
    """DNS, TCP, TLS or proxy tunnel: nothing of the request was sent."""


class Broken(CallFailed):
    """The connection was lost, or the answer was not HTTP, after the request was (or may have been) sent."""


class TimedOut(CallFailed):
    """The upstream sent nothing for the allowed time, or did not take the request in that time."""


class Timeouts(Struct, frozen=True):
    """Seconds. `first` bounds the wait for the status line, `idle` the silence between two chunks."""

    connect: float = 10.0
    first: float = 600.0
    idle: float = 300.0


class UpstreamResponse:
    """An answer whose status line has arrived. To be closed, whatever happens."""

    __slots__ = ("_idle", "_raw", "headers", "status")

    def __init__(self, raw: aiohttp.ClientResponse, idle: float) -> None:
        self._raw = raw
        self._idle = idle
        self.status: Final[int] = raw.status
        self.headers: Final[Mapping[str, str]] = {name.lower(): value for name, value in raw.headers.items()}

    async def chunks(self) -> AsyncIterator[bytes]:
        """What has arrived, as it arrives; a chunk is not an event. Raises Broken or TimedOut."""
        read = self._raw.content.readany
        try:
            while chunk := await read():
                yield chunk
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _translate(error, self._idle) from error

    async def read(self, cap: int) -> bytes:
        """The whole body. Raises Broken when it is longer than `cap` bytes."""
        pieces: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > cap:
                raise Broken(f"the answer is longer than {cap} bytes")
            pieces.append(chunk)
        return b"".join(pieces)

    def close(self) -> None:
        """Drop the connection if the body was not read to its end; otherwise it is already back in the pool."""
        self._raw.close()


class UpstreamClient:
    """A connection pool. To be made inside the running loop; one for the process."""

    def __init__(self) -> None:
        connector = aiohttp.TCPConnector(
            ssl=ssl.create_default_context(),
            limit=0,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            socket_factory=_make_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            trust_env=False,  # would also read ~/.netrc, and could replace Authorization
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )
        self._proxies = getproxies_environment()
        self._proxy_of: dict[tuple[str, str], str | None] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts) -> UpstreamResponse:
        """Send, and return at the status line.

        `url` is sent byte for byte; `headers` gain only Host and Content-Length where they lack them. Cancelling closes
        the connection. Raises ConnectFailed, Broken or TimedOut.
        """
        target = URL(url, encoded=True)
        limits = aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect, sock_read=timeouts.first)
        try:
            # The outer limit is for an upstream that never takes the request: aiohttp's own runs only while reading.
            async with asyncio.timeout(timeouts.connect + timeouts.first):
                raw = await self._session.post(
                    target,
                    headers=CIMultiDict(headers),
                    data=body,
                    allow_redirects=False,
                    proxy=self._proxy(target),
                    timeout=limits,
                )
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _translate(error, timeouts.first) from error
        # From the status line on, silence is measured by `idle`. None means the body has already arrived in full.
        if raw.connection is not None and (protocol := raw.connection.protocol) is not None:
            protocol.read_timeout = timeouts.idle
            protocol.start_timeout()
        return UpstreamResponse(raw, timeouts.idle)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    def _proxy(self, url: URL) -> str | None:
        """The proxy for a URL by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."""
        if not self._proxies:
            return None
        key = (url.scheme, url.host or "")
        if key not in self._proxy_of:
            bypass = proxy_bypass(key[1], self._proxies)
            self._proxy_of[key] = None if bypass else self._proxies.get(key[0], self._proxies.get("all"))
        return self._proxy_of[key]


_UNSENT: Final = (
    aiohttp.ClientConnectorError,  # DNS, TCP, TLS, certificate, proxy unreachable
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,  # the proxy refused the tunnel
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
)


def _translate(error: Exception, seconds: float) -> CallFailed:
    """Narrow kinds first: aiohttp's connect timeout is a TimeoutError and its connect errors are OSErrors too."""
    if isinstance(error, _UNSENT):
        return ConnectFailed(f"{type(error).__name__}: {error}"[:300])
    if isinstance(error, TimeoutError):  # aiohttp's SocketTimeoutError, and asyncio.timeout's own
        return TimedOut(f"no data for {seconds:g} s")
    return Broken(f"{type(error).__name__}: {error}"[:300])


def _make_socket(info: tuple[Any, ...]) -> socket.socket:
    """TCP keep-alive: a model may think for minutes in silence, and NAT gateways forget idle flows after 350 s."""
    family, kind, protocol = info[0], info[1], info[2]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 30)
    return made
