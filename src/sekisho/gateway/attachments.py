"""Files that a client names by URL, fetched for upstreams that take only bytes, without becoming its tunnel.

A URL in a request is an order to this server to open a connection, so (OWASP's server-side request forgery): only
http and https on their usual ports, only names whose every address is public, the connection goes to the address that
was checked (not to a second answer of the name server), each redirect is checked again, and size and time are bounded.
"""

import asyncio
import base64
import ipaddress
import socket
import ssl
from collections.abc import Callable
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, urljoin, urlsplit

from sekisho.core.chat import ChatRequest, Document, Image, Text, ToolResult
from sekisho.core.errors import InvalidRequest

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_BYTES = 20 * 1024 * 1024
_MAX_FILES = 20
_MAX_REDIRECTS = 3
_SECONDS = 10.0
_PORTS = {"http": 80, "https": 443}
_MAGIC = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


def is_public(address: IPAddress) -> bool:
    """Whether an address belongs to the open internet; an IPv4 address inside an IPv6 one is judged as itself."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return is_public(inner)
        if address in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return address.is_global and not address.is_multicast


class AttachmentFetcher:
    """Replaces the URLs of a conversation's pictures and documents by their bytes."""

    def __init__(self, allowed: Callable[[IPAddress], bool] = is_public, ports: dict[str, int] | None = None) -> None:
        self._allowed = allowed
        self._ports = ports

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    async def fill(self, chat: ChatRequest) -> None:
        """Fetch every file that is still a URL. Raises InvalidRequest, naming the URL, if one cannot be had."""
        wanted = [file for file in _list_files(chat) if file.url is not None and file.data is None]
        if len(wanted) > _MAX_FILES:
            raise InvalidRequest(f"At most {_MAX_FILES} images or documents by URL in one request.", param="messages")
        if wanted:
            await asyncio.gather(*(self._fill_one(file) for file in wanted))

    async def _fill_one(self, file: Image | Document) -> None:
        url = file.url or ""
        try:
            async with asyncio.timeout(_SECONDS):
                content = await self._fetch(url)
        except TimeoutError:
            raise _refused(url, f"it did not arrive within {_SECONDS:.0f} s") from None
        file.media_type = _image_type(url, content) if isinstance(file, Image) else _document_type(url, content)
        file.data = base64.b64encode(content).decode()
        file.url = None

    async def _fetch(self, url: str) -> bytes:
        for _ in range(_MAX_REDIRECTS + 1):
            parts = self._check_form(url)
            address = await self._resolve(url, parts)
            status, location, content = await asyncio.to_thread(self._get, parts, address, url)
            if status == 200:
                return content
            if status not in {301, 302, 303, 307, 308} or location is None:
                raise _refused(url, f"the server answered {status}")
            url = urljoin(url, location)
        raise _refused(url, f"it redirects more than {_MAX_REDIRECTS} times")

    def _check_form(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _refused(url, "it is not a URL") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise _refused(url, "only http and https URLs are fetched")
        allowed_ports = self._ports or _PORTS
        if port is not None and port not in allowed_ports.values():
            raise _refused(url, "only the usual ports of http and https are fetched")
        return parts

    async def _resolve(self, url: str, parts: SplitResult) -> str:
        loop = asyncio.get_running_loop()
        host = parts.hostname or ""
        try:
            answers = await loop.getaddrinfo(host, parts.port or _PORTS[parts.scheme], type=socket.SOCK_STREAM)
        except OSError:
            raise _refused(url, "its host name is not known") from None
        addresses = [str(answer[4][0]).partition("%")[0] for answer in answers]
        if not addresses or not all(self._allowed(ipaddress.ip_address(address)) for address in addresses):
            raise _refused(url, "its host is not on the public internet")
        return addresses[0]

    def _get(self, parts: SplitResult, address: str, url: str) -> tuple[int, str | None, bytes]:
        """One GET to the checked address; runs in a thread."""
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        connection: HTTPConnection = (
            HTTPSConnection(host, port, timeout=_SECONDS, context=self._tls)
            if parts.scheme == "https"
            else HTTPConnection(host, port, timeout=_SECONDS)
        )
        try:
            connection.sock = self._connect(parts.scheme, host, address, port)
            path = parts.path or "/"
            connection.request("GET", f"{path}?{parts.query}" if parts.query else path, headers={"Accept": "*/*"})
            response = connection.getresponse()
            content = response.read(_MAX_BYTES + 1) if response.status == 200 else b""
            if len(content) > _MAX_BYTES:
                raise _refused(url, f"it is larger than {_MAX_BYTES} bytes")
            return response.status, response.getheader("location"), content
        except (OSError, HTTPException, ValueError) as error:
            raise _refused(url, f"the connection failed ({type(error).__name__})") from None
        finally:
            connection.close()

    def _connect(self, scheme: str, host: str, address: str, port: int) -> socket.socket:
        raw = socket.create_connection((address, port), timeout=_SECONDS)
        if scheme == "http":
            return raw
        try:
            return self._tls.wrap_socket(raw, server_hostname=host)
        except OSError:
            raw.close()
            raise


def _list_files(chat: ChatRequest) -> list[Image | Document]:
    files: list[Image | Document] = []
    for message in chat.new_messages:
        for part in message.parts:
            if type(part) is ToolResult:
                files += [inner for inner in part.parts if type(inner) is not Text]
            elif type(part) is Image or type(part) is Document:
                files.append(part)
    return files


def _document_type(url: str, content: bytes) -> str:
    if content.startswith(b"%PDF-"):
        return "application/pdf"
    try:
        content.decode()
    except UnicodeDecodeError:
        raise _refused(url, "it is neither a PDF nor text") from None
    return "text/plain"


def _image_type(url: str, content: bytes) -> str:
    """By the first bytes: what a server states about its files is not to be relied on."""
    for magic, media_type in _MAGIC.items():
        if content.startswith(magic):
            return media_type
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    raise _refused(url, "it is not a PNG, JPEG, GIF or WebP image")


def _refused(url: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"The file {url[:200]!r} cannot be used: {reason}.", param="messages")
