"""Reads the content of messages: text, pictures, files, reasoning, and the marks for prompt caching."""

import re
from typing import Final, Literal
from urllib.parse import urlsplit

from sekisho.core.chat import CacheMark, Document, Image, Part, RedactedThinking, Text, Thinking
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.dialects.common.fields import (
    quote,
    read_array,
    read_choice,
    read_name,
    read_object,
    read_text,
    wrong_type,
)

_IMAGE_TYPES: Final = {
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",  # not registered, but often sent
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}
_TTLS: Final[tuple[Literal["5m", "1h"], ...]] = ("5m", "1h")
_DATA_URL: Final = re.compile(r"data:([^;,]*)(?:;[^;,]*)*?;base64,", re.IGNORECASE)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")


def read_parts(content: object, path: str) -> list[Text | Image | Document]:
    """The content of a user or tool message: a string, or an array of text, image_url and file parts."""
    if isinstance(content, str):
        return [Text(text=content)]
    if not isinstance(content, list):
        raise wrong_type(content, path, "a string or an array of parts")
    return [_read_part(part, f"{path}[{index}]") for index, part in enumerate(content)]


def read_text_parts(content: object, path: str) -> list[Text]:
    """The content of a system message: a string, or an array of text parts."""
    texts: list[Text] = []
    for index, part in enumerate(read_parts(content, path)):
        if not isinstance(part, Text):
            raise Unsupported(f"`{path}[{index}]`: only text can stand in a system message.", param=f"{path}[{index}]")
        texts.append(part)
    return texts


def read_assistant_parts(content: object, path: str) -> list[Part]:
    """The content of an assistant message: null, a string, or an array of text, refusal and thinking parts."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [Text(text=content)]
    parts: list[Part] = []
    for index, item in enumerate(read_array(content, path)):
        part_path = f"{path}[{index}]"
        part = read_object(item, part_path)
        match part.get("type"):
            case "refusal":
                parts.append(Text(text=read_text(part.get("refusal"), f"{part_path}.refusal")))
            case "thinking" | "redacted_thinking":
                parts.append(read_thinking_block(part, part_path))
            case _:
                parts.append(_read_part(part, part_path))
    return parts


def read_thinking_block(value: object, path: str) -> Thinking | RedactedThinking:
    """A block of reasoning in the form LiteLLM gives it to OpenAI clients, which is Anthropic's."""
    block = read_object(value, path)
    kind = read_choice(block.get("type"), f"{path}.type", ("thinking", "redacted_thinking"))
    if kind == "redacted_thinking":
        return RedactedThinking(data=read_text(block.get("data"), f"{path}.data"))
    signature = block.get("signature")
    return Thinking(
        text=read_text(block.get("thinking"), f"{path}.thinking"),
        # Clients that saw no signature send an empty one.
        signature=None if signature is None else read_text(signature, f"{path}.signature") or None,
    )


def read_cache_mark(holder: dict[str, object], path: str) -> CacheMark | None:
    """The `cache_control` of a part, message or tool."""
    value = holder.get("cache_control")
    if value is None:
        return None
    mark = read_object(value, f"{path}.cache_control")
    read_choice(mark.get("type"), f"{path}.cache_control.type", ("ephemeral",))
    ttl = mark.get("ttl")
    return CacheMark() if ttl is None else CacheMark(read_choice(ttl, f"{path}.cache_control.ttl", _TTLS))


def _read_part(value: object, path: str) -> Text | Image | Document:
    part = read_object(value, path)
    cache = read_cache_mark(part, path)
    match part.get("type"):
        case "text":
            return Text(text=read_text(part.get("text"), f"{path}.text"), cache=cache)
        case "image_url":
            return _read_image(part.get("image_url"), f"{path}.image_url", cache)
        case "file":
            return _read_file(part.get("file"), f"{path}.file", cache)
        case "input_audio":
            raise Unsupported(f"`{path}`: audio is not supported; send a transcript.", param=path)
        case str(kind):
            raise InvalidRequest(
                f"`{path}.type`: unknown part type {quote(kind)}; known are text, image_url and file.",
                param=f"{path}.type",
            )
        case other:
            raise wrong_type(other, f"{path}.type", "a string")


def _read_image(value: object, path: str, cache: CacheMark | None) -> Image:
    if not isinstance(value, str):  # a bare string is not OpenAI's form, but common
        path, value = f"{path}.url", read_object(value, path).get("url")
    url = read_text(value, path)
    if url[:5].lower() != "data:":
        _check_web_url(url, path)
        return Image(url=url, cache=cache)
    media_type, data = _split_data_url(url, path)
    known = _IMAGE_TYPES.get(media_type)
    if known is None:
        raise InvalidRequest(
            f"`{path}`: pictures may be png, jpeg, gif or webp, not {quote(media_type)}.",
            param=path,
        )
    return Image(media_type=known, data=data, cache=cache)


def _check_web_url(url: str, path: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # a broken IPv6 address
        usable = False
    if not usable:
        raise InvalidRequest(f"`{path}` must be a data:, http: or https: URL.", param=path)


def _read_file(value: object, path: str, cache: CacheMark | None) -> Document:
    file = read_object(value, path)
    if file.get("file_data") is None and file.get("file_id") is not None:
        raise Unsupported(
            f"`{path}.file_id`: files by id are not supported; send the content as `file_data`.",
            param=f"{path}.file_id",
        )
    media_type, data = _split_data_url(read_text(file.get("file_data"), f"{path}.file_data"), f"{path}.file_data")
    name = file.get("filename")
    return Document(
        name="document" if name is None else read_name(name, f"{path}.filename"),
        media_type=media_type,
        data=data,
        cache=cache,
    )


def _split_data_url(url: str, path: str) -> tuple[str, str]:
    """Media type (lower case) and base64 text of a `data:` URL (RFC 2397), both checked."""
    head = _DATA_URL.match(url)
    if head is None:
        raise InvalidRequest(f"`{path}` must look like data:<media type>;base64,<data>.", param=path)
    data = url[head.end() :]
    # Alphabet, then length: together they leave only correct padding.
    if _BASE64.fullmatch(data) is None or len(data) % 4:
        raise InvalidRequest(
            f"`{path}`: the data is not valid base64 (standard alphabet, padded, no line breaks).", param=path
        )
    return head[1].strip().lower(), data
