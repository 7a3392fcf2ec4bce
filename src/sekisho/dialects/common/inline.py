"""Pictures and files as OpenAI's formats have them: in `data:` URLs, in base64, or at an address of the web."""

import base64
import re
from typing import Final
from urllib.parse import urlsplit

from sekisho.core.chat import Document, Image
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.dialects.common.fields import quote
from sekisho.dialects.common.media import find_image_type

LEFT_OUT: Final = "[left out: the model cannot read it]"
"""What stands in place of a picture or file that was dropped."""
_TEXT_TYPES: Final = ("application/json", "application/xml", "application/yaml", "application/x-yaml")
_DATA_URL: Final = re.compile(r"data:([^;,]*)(?:;[^;,]*)*?;base64,", re.IGNORECASE)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")


def is_data_url(url: str) -> bool:
    """Whether a URL holds its content itself."""
    return url[:5].lower() == "data:"


def check_web_url(url: str, path: str) -> str:
    """An address that content may be fetched from. Raises InvalidRequest for other URLs."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # a broken IPv6 address
        usable = False
    if not usable:
        raise InvalidRequest(f"`{path}` must be a data:, http: or https: URL.", param=path)
    return url


def split_data_url(url: str, path: str) -> tuple[str, str]:
    """Media type (lower case) and base64 text of a `data:` URL (RFC 2397), both checked. Raises InvalidRequest."""
    head = _DATA_URL.match(url)
    if head is None:
        raise InvalidRequest(f"`{path}` must look like data:<media type>;base64,<data>.", param=path)
    return head[1].strip().lower(), check_base64(url[head.end() :], path)


def check_base64(data: str, path: str) -> str:
    """Base64 text. Raises InvalidRequest when it is none."""
    # Alphabet, then length: together they leave only correct padding.
    if _BASE64.fullmatch(data) is None or len(data) % 4:
        raise InvalidRequest(
            f"`{path}`: the data is not valid base64 (standard alphabet, padded, no line breaks).", param=path
        )
    return data


def read_picture(url: str, path: str) -> Image:
    """A picture at a URL of either kind. Raises InvalidRequest for types that no model reads."""
    if not is_data_url(url):
        return Image(url=check_web_url(url, path))
    told, data = split_data_url(url, path)
    media_type = find_image_type("", told)
    if media_type is None:
        raise InvalidRequest(f"`{path}`: pictures may be png, jpeg, gif or webp, not {quote(told)}.", param=path)
    return Image(media_type=media_type, data=data)


def write_picture(image: Image) -> str:
    """The URL of a picture, of its own type whatever was told. Raises Unsupported for one without content."""
    if image.url:
        return image.url
    if not image.data:
        raise Unsupported("The picture has no content: send it inline, as base64.", param="messages")
    media_type = find_image_type(image.data, image.media_type) or image.media_type or "image/png"
    return f"data:{media_type};base64,{image.data}"


def read_kind(document: Document) -> str:
    """The media type of a file without its parameters; empty where none is told."""
    return (document.media_type or "").partition(";")[0].strip().lower()


def tell_document(document: Document) -> str | None:
    """A text file as text that every model reads; None for files of other types, and those without content.

    Raises:
        Unsupported: The content is not base64.
    """
    kind = read_kind(document)
    if not document.data or not (kind.startswith("text/") or kind in _TEXT_TYPES):
        return None
    try:
        text = base64.b64decode(document.data, validate=True).decode("utf-8", "replace")
    except ValueError as error:
        raise Unsupported("The content of a file is not valid base64.", param="messages") from error
    context = f"{document.context}\n" if document.context else ""
    return f"{context}[File {document.name}]\n{text}"


def write_file_data(document: Document) -> str:
    """The content of a file as a `data:` URL; without a type it is taken for a PDF.

    Raises:
        Unsupported: It has no content.
    """
    if not document.data:
        raise Unsupported("The file has no content: send it inline, as base64.", param="messages")
    return f"data:{read_kind(document) or 'application/pdf'};base64,{document.data}"
