"""Streaming POSTs to upstreams: exact bytes out, raw chunks in, over connections that are kept."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from sekisho.http.connection import Connection, UpstreamResponse
from sekisho.http.dialing import Origin, Proxies, authorization, dial
from sekisho.http.failures import ConnectFailed, Timeouts
from sekisho.http.outbox import Outbox

_IDLE_SECONDS: Final = 45.0
_REAP_SECONDS: Final = 15.0
_PORTS: Final = {"http": 80, "https": 443}
_MOST_ADDRESSES: Final = 10_000
_MOST_HEADS: Final = 256


class _Address(Struct, frozen=True):
    """A URL as a connection needs it: `line` is the first line of a request, with its break, `host` its Host header."""

    origin: Origin
    line: str
    host: str


class UpstreamClient:
    """A pool of connections. To be made inside the running loop; one for the process."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._given_tls = tls
        self._proxies = Proxies()
        self._addresses: dict[str, _Address] = {}
        self._heads: dict[tuple[str, int], tuple[Mapping[str, str], bytes]] = {}
        """Heads up to their length, by the identity of their headers, which are kept with them: who sends with a fixed
        key gives the same object each time."""
        self._idle: dict[Origin, list[Connection]] = {}
        self._standing: set[Connection] = set()
        self._reaper: asyncio.TimerHandle | None = None
        self._outbox = Outbox()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Made when first needed, for reading all the certificates that are trusted takes a while."""
        return self._given_tls or ssl.create_default_context()

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeouts: Timeouts,
        on_sent: Callable[[], None] | None = None,
    ) -> UpstreamResponse:
        """Send, call `on_sent`, and return when the status line and the headers have come.

        `url` is sent byte for byte; `headers`, which must never be changed, gain only Host and Content-Length where
        they lack them. Cancelling closes the connection. Raises ConnectFailed, Broken or TimedOut.
        """
        address = self._addresses.get(url) or self._parse(url)
        end = float("inf") if timeouts.total is None else self._loop.time() + timeouts.total
        _, begun = self._heads.get((url, id(headers))) or self._begin_head(url, address, headers)
        head = b"%bcontent-length: %d\r\n\r\n" % (begun, len(body))
        connection = self._take(address.origin) or await self._connect(address.origin, timeouts)
        answer = connection.send(head, body, timeouts, end)
        if on_sent is not None:
            on_sent()
        try:
            await answer.head
        except asyncio.CancelledError:
            connection.abort()
            raise
        return answer

    async def close(self) -> None:
        """Close every connection."""
        if self._reaper is not None:
            self._reaper.cancel()
        for connection in list(self._standing):
            connection.abort()
        self._idle.clear()

    def _take(self, origin: Origin) -> Connection | None:
        """The connection that became free last, so that those that are not needed are forgotten."""
        waiting = self._idle.get(origin)
        oldest = self._loop.time() - _IDLE_SECONDS
        while waiting:
            connection = waiting.pop()
            if connection.usable and connection.idle_since > oldest:
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: Origin, timeouts: Timeouts) -> Connection:
        def release(connection: Connection) -> None:
            self._idle.setdefault(origin, []).append(connection)
            if self._reaper is None:
                self._reaper = self._loop.call_later(_REAP_SECONDS, self._reap)

        def make() -> Connection:
            return Connection(self._loop, release, self._standing, self._outbox)

        try:
            async with asyncio.timeout(timeouts.connect):
                return await dial(origin, make, lambda: self._tls)
        except TimeoutError as error:
            raise ConnectFailed(f"no connection within {timeouts.connect:g} s") from error

    def _reap(self) -> None:
        """Close connections that were idle for too long."""
        oldest = self._loop.time() - _IDLE_SECONDS
        for origin, waiting in list(self._idle.items()):
            fresh = [connection for connection in waiting if connection.usable and connection.idle_since > oldest]
            for connection in waiting:
                if connection not in fresh:
                    connection.abort()
            if fresh:
                self._idle[origin] = fresh
            else:
                del self._idle[origin]
        self._reaper = self._loop.call_later(_REAP_SECONDS, self._reap) if self._idle else None

    def _parse(self, url: str) -> _Address:
        parts = urlsplit(url)
        try:
            port = parts.port or _PORTS[parts.scheme]
        except (KeyError, ValueError):
            raise ConnectFailed("the upstream's address is not an http(s) URL") from None
        host = parts.hostname
        if not host or any(character <= " " for character in url):
            raise ConnectFailed("the upstream's address is not an http(s) URL")
        origin = Origin(parts.scheme, host, port, self._proxies.find(parts.scheme, host))
        netloc = parts.netloc.rpartition("@")[2]
        _, _, target = url.partition(parts.netloc)
        target = target.partition("#")[0] or "/"
        line = f"POST {target if target[0] == '/' else '/' + target} HTTP/1.1\r\n"
        if origin.proxy is not None and not origin.tunnelled:
            line = f"POST {parts.scheme}://{netloc}{target} HTTP/1.1\r\n"
            if credentials := authorization(origin.proxy):
                line += f"proxy-authorization: {credentials}\r\n"
        if len(self._addresses) >= _MOST_ADDRESSES:
            self._addresses.clear()
        address = self._addresses[url] = _Address(origin, line, netloc)
        return address

    def _begin_head(self, url: str, address: _Address, headers: Mapping[str, str]) -> tuple[Mapping[str, str], bytes]:
        """The head up to its length, with its headers. Raises ConnectFailed for a header that would end it early."""
        lines = list(map(": ".join, headers.items()))
        if "host" not in headers:
            lines.insert(0, f"host: {address.host}")
        text = "".join(lines)
        if "\n" in text or "\r" in text:
            raise ConnectFailed("a header of the request has a line break in it; look at the keys in the configuration")
        if len(self._heads) >= _MOST_HEADS:  # who signs every request has headers of its own for each
            self._heads.clear()
        text = "\r\n".join([*lines, ""])
        begun = self._heads[url, id(headers)] = (headers, f"{address.line}{text}".encode())
        return begun
