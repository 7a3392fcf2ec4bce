"""Connecting to an upstream: directly or through a proxy, in clear or over TLS."""

import asyncio
import base64
import socket
import ssl
from collections.abc import Callable
from typing import Final, TypeVar, cast
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import httptools
from msgspec import Struct

from sekisho.http.failures import ConnectFailed

_MAX_TUNNEL_BYTES: Final = 16 * 1024
_PORTS: Final = {"http": 80, "https": 443}

_Made = TypeVar("_Made", bound=asyncio.BaseProtocol)


class Origin(Struct, frozen=True):
    """Where connections go. `proxy` is the proxy's URL, None for a direct connection."""

    scheme: str
    host: str
    port: int
    proxy: str | None = None

    @property
    def tunnelled(self) -> bool:
        """Whether a proxy passes the bytes on unread; one for clear HTTP reads the requests itself."""
        return self.proxy is not None and self.scheme == "https"


class Proxies:
    """The proxies by HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, as they were at the start."""

    def __init__(self) -> None:
        self._proxies = getproxies_environment()

    def find(self, scheme: str, host: str) -> str | None:
        """The URL of the proxy for an address."""
        if not self._proxies or proxy_bypass(host, self._proxies):
            return None
        return self._proxies.get(scheme, self._proxies.get("all"))


async def dial(origin: Origin, make: Callable[[], _Made], tls: Callable[[], ssl.SSLContext]) -> _Made:
    """A connection to an upstream. Raises ConnectFailed, or TimeoutError if an outer limit is reached."""
    try:
        return await _dial(origin, make, tls)
    except TimeoutError:
        raise
    except (OSError, ssl.SSLError, ValueError) as error:  # ValueError: a host that cannot be a name (UnicodeError too)
        raise ConnectFailed(f"{origin.host}:{origin.port}: {type(error).__name__}: {error}"[:300]) from error


async def _dial(origin: Origin, make: Callable[[], _Made], tls: Callable[[], ssl.SSLContext]) -> _Made:
    loop = asyncio.get_running_loop()
    if origin.proxy is None:
        context = tls() if origin.scheme == "https" else None
        transport, protocol = await loop.create_connection(make, origin.host, origin.port, ssl=context)
        _keep_alive(transport)
        return protocol
    over_tls, host, port = _read_proxy(origin.proxy)
    context = tls() if over_tls else None
    if not origin.tunnelled:
        transport, protocol = await loop.create_connection(make, host, port, ssl=context)
        _keep_alive(transport)
        return protocol
    if context is not None:
        raise ConnectFailed("a proxy reached over TLS cannot carry TLS here: give HTTPS_PROXY as http://…")
    transport, tunnel = await loop.create_connection(_Tunnel, host, port)
    _keep_alive(transport)
    try:
        await tunnel.open(transport, origin, authorization(origin.proxy))
        protocol = make()
        secured = await loop.start_tls(transport, protocol, tls(), server_hostname=origin.host)
    except BaseException:  # cancelled, too: a half-made connection must not stay
        transport.abort()
        raise
    assert secured is not None
    protocol.connection_made(secured)
    return protocol


def authorization(proxy: str) -> str | None:
    """The value of Proxy-Authorization for a proxy's URL with a name and a password in it."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _read_proxy(url: str) -> tuple[bool, str, int]:
    """Whether a proxy is spoken to over TLS, and where it is."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ConnectFailed(f"a proxy of the kind '{parts.scheme}' is not spoken to: give http://host:port")
    return parts.scheme == "https", parts.hostname, parts.port or _PORTS[parts.scheme]


def _keep_alive(transport: asyncio.BaseTransport) -> None:
    """TCP keep-alive: a model may think for minutes in silence, and NAT gateways forget idle flows after 350 s."""
    made = cast("socket.socket | None", transport.get_extra_info("socket"))
    if made is None:
        return
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 30)


class _Tunnel(asyncio.Protocol):
    """The dialogue with a proxy until it passes bytes on."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._bytes = 0

    async def open(self, transport: asyncio.Transport, origin: Origin, credentials: str | None) -> None:
        """Ask for a tunnel and wait for it. Raises ConnectFailed."""
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        lines = [f"CONNECT {host}:{origin.port} HTTP/1.1", f"host: {host}:{origin.port}"]
        if credentials is not None:
            lines.append(f"proxy-authorization: {credentials}")
        transport.write("\r\n".join([*lines, "", ""]).encode())
        await self._opened

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > _MAX_TUNNEL_BYTES:
            self._refuse("the proxy's answer is too long")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            self._refuse("the proxy's answer is not HTTP")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if not 200 <= status < 300:
            self._refuse(f"the proxy answered {status} to CONNECT")
        elif not self._opened.done():
            self._opened.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._refuse("the proxy closed the connection")

    def _refuse(self, cause: str) -> None:
        if not self._opened.done():
            self._opened.set_exception(ConnectFailed(cause))
