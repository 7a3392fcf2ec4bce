"""Reads the content of messages: text, pictures, files, reasoning, and the marks for prompt caching."""

from typing import Final, Literal

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
from sekisho.dialects.common.inline import read_picture, split_data_url

_TTLS: Final[tuple[Literal["5m", "1h"], ...]] = ("5m", "1h")


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
    """The content of the assistant message at `path`: null, a string, or parts: text, refusals and thinking."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [Text(text=content)]
    parts: list[Part] = []
    for index, item in enumerate(read_array(content, f"{path}.content")):
        part_path = f"{path}.content[{index}]"
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


def read_cache_mark(value: object, path: str) -> CacheMark | None:
    """The `cache_control` of the part, message or tool at `path`."""
    if value is None:
        return None
    mark = read_object(value, f"{path}.cache_control")
    read_choice(mark.get("type"), f"{path}.cache_control.type", ("ephemeral",))
    ttl = mark.get("ttl")
    return CacheMark() if ttl is None else CacheMark(read_choice(ttl, f"{path}.cache_control.ttl", _TTLS))


def _read_part(value: object, path: str) -> Text | Image | Document:
    part = read_object(value, path)
    cache = read_cache_mark(part.get("cache_control"), path)
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
    image = read_picture(read_text(value, path), path)
    image.cache = cache
    return image


def _read_file(value: object, path: str, cache: CacheMark | None) -> Document:
    file = read_object(value, path)
    if file.get("file_data") is None and file.get("file_id") is not None:
        raise Unsupported(
            f"`{path}.file_id`: files by id are not supported; send the content as `file_data`.",
            param=f"{path}.file_id",
        )
    media_type, data = split_data_url(read_text(file.get("file_data"), f"{path}.file_data"), f"{path}.file_data")
    name = file.get("filename")
    return Document(
        name="document" if name is None else read_name(name, f"{path}.filename"),
        media_type=media_type,
        data=data,
        cache=cache,
    )
