import base64
import ipaddress
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sekisho.core.chat import ChatRequest, Image, Message, Text, ToolResult
from sekisho.core.errors import InvalidRequest
from sekisho.gateway.attachments import AttachmentFetcher, is_public

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/picture.png?size=1":
            self._answer(200, PNG)
        elif self.path == "/loop":
            self._answer(302, b"", location="/loop")
        elif self.path == "/inside":
            self._answer(302, b"", location="http://10.0.0.1/")
        elif self.path == "/text":
            self._answer(200, b"hello")
        else:
            self._answer(404, b"")

    def _answer(self, status: int, body: bytes, location: str | None = None) -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def fetcher_for(web: str) -> AttachmentFetcher:
    """One that may reach this machine, but nothing else that is not public."""
    return AttachmentFetcher(
        allowed=lambda address: address.is_loopback or is_public(address), ports={"http": int(web.rsplit(":", 1)[1])}
    )


def chat(*images: Image) -> ChatRequest:
    return ChatRequest(system=[], messages=[Message(role="user", parts=[Text(text="look"), *images])])


async def test_a_url_becomes_bytes_with_the_type_they_have(web: str) -> None:
    image = Image(url=f"{web}/picture.png?size=1", media_type="image/jpeg")
    nested = Image(url=f"{web}/picture.png?size=1")
    conversation = chat(image)
    conversation.messages.append(Message(role="user", parts=[ToolResult(call_id="c", parts=[nested])]))
    await fetcher_for(web).fill(conversation)
    for one in (image, nested):
        assert (one.url, one.media_type) == (None, "image/png")
        assert base64.b64decode(one.data or "") == PNG


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/loop", "redirects more than"),
        ("/inside", "only the usual ports|not on the public internet"),
        ("/text", "not a PNG"),
        ("/missing", "answered 404"),
    ],
)
async def test_what_is_not_a_picture_is_refused_with_the_reason(web: str, path: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        await fetcher_for(web).fill(chat(Image(url=web + path)))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.1.2.3/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://[fd00::1]/",
        "http://[64:ff9b::a00:1]/",
        "https://127.0.0.1:443/",
        "http://127.0.0.1:22/",
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "http:///nohost",
        "http://exa mple:bad/",
    ],
)
async def test_no_request_leads_inside(url: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be used"):
        await AttachmentFetcher().fill(chat(Image(url=url)))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("2002:0a00:0001::", False),
        ("64:ff9b::808:808", True),
        ("fe80::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


async def test_too_many_pictures_by_url_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="At most 20"):
        await AttachmentFetcher().fill(chat(*(Image(url="http://127.0.0.1/") for _ in range(21))))
