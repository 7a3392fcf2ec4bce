"""Reads content blocks: text, pictures, files, reasoning, tool calls and results, and marks for prompt caching."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

from sekisho.core.chat import (
    CacheMark,
    Citation,
    Document,
    Image,
    Part,
    RedactedThinking,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from sekisho.core.errors import Unsupported
from sekisho.dialects.anthropic_messages.citations import convert_citation
from sekisho.dialects.common.fields import (
    encode_raw,
    quote,
    read_array,
    read_choice,
    read_flag,
    read_name,
    read_object,
    read_text,
    wrong_type,
)

Json = dict[str, object]
_TTLS: Final[tuple[Literal["5m", "1h"], ...]] = ("5m", "1h")
# Blocks that tell what Anthropic's own servers did in an earlier turn. What they found is in the text that followed.
_SERVER_BLOCKS: Final = ("server_tool_use", "mcp_tool_use", "mcp_tool_result", "container_upload", "fallback")


def read_system(value: object, path: str) -> list[Text]:
    """A system prompt, or the content of a system message: a string, or an array of text blocks."""
    if isinstance(value, str):
        return [Text(text=value)] if value else []
    return [_read_text(read_object(item, at), at) for at, item in _number(read_array(value, path), path)]


def read_blocks(content: object, path: str, omitted: list[str]) -> list[Part]:
    """The content of a turn: a string, or an array of blocks. The names of what is left out are added to `omitted`."""
    return _read_blocks(content, path, omitted, _READERS)


def _read_blocks(content: object, path: str, omitted: list[str], readers: Mapping[str, "_Reader"]) -> list[Part]:
    if isinstance(content, str):
        return [Text(text=content)] if content else []
    if not isinstance(content, list):
        raise wrong_type(content, path, "a string or an array of blocks")
    parts: list[Part] = []
    for at, item in _number(content, path):
        block = read_object(item, at)
        kind = read_name(block.get("type"), f"{at}.type")
        if kind in readers:
            parts += readers[kind](block, at, omitted)
        elif kind in _SERVER_BLOCKS or kind.endswith("_tool_result"):
            omitted.append(kind)
        else:
            raise Unsupported(
                f"`{at}.type`: blocks of type {quote(kind)} cannot be translated here.", param=f"{at}.type"
            )
    return parts


def read_cache_mark(holder: Json, path: str) -> CacheMark | None:
    """The `cache_control` of a block, a tool or a whole request."""
    value = holder.get("cache_control")
    if value is None:
        return None
    at = f"{path}.cache_control" if path else "cache_control"
    mark = read_object(value, at)
    read_choice(mark.get("type"), f"{at}.type", ("ephemeral",))
    ttl = mark.get("ttl")
    return CacheMark() if ttl is None else CacheMark(read_choice(ttl, f"{at}.ttl", _TTLS))


def _number(items: Sequence[object], path: str) -> list[tuple[str, object]]:
    return [(f"{path}[{index}]", item) for index, item in enumerate(items)]


def _read_text(block: Json, path: str) -> Text:
    read_choice(block.get("type"), f"{path}.type", ("text",))
    text = read_text(block.get("text"), f"{path}.text")
    return Text(text=text, cache=read_cache_mark(block, path), citations=_read_citations(block, path))


def _read_citations(block: Json, path: str) -> list[Citation]:
    """The citations of a text; those of kinds not known here are passed over, since the text stands without them."""
    value = block.get("citations")
    told = [] if value is None else read_array(value, f"{path}.citations")
    return [citation for item in told if (citation := convert_citation(item)) is not None]


def _read_image(block: Json, path: str) -> Image:
    source = read_object(block.get("source"), f"{path}.source")
    cache = read_cache_mark(block, path)
    match source.get("type"):
        case "base64":
            media_type = read_name(source.get("media_type"), f"{path}.source.media_type")
            return Image(media_type=media_type, data=read_name(source.get("data"), f"{path}.source.data"), cache=cache)
        case "url":
            return Image(url=read_name(source.get("url"), f"{path}.source.url"), cache=cache)
        case other:
            raise _refuse_source(other, path)


def _read_document(block: Json, path: str, omitted: list[str]) -> list[Part]:
    """A file. Of one made of blocks the texts become one file, and its pictures follow it."""
    at = f"{path}.source"
    source = read_object(block.get("source"), at)
    document = Document(
        name=_read_optional_text(block, "title", path) or "document",
        context=_read_optional_text(block, "context", path),
        cited=_read_cited(block, path),
        cache=read_cache_mark(block, path),
    )
    match source.get("type"):
        case "base64":
            document.media_type = read_name(source.get("media_type"), f"{at}.media_type")
            document.data = read_name(source.get("data"), f"{at}.data")
        case "text":
            _fill_with_text(document, read_text(source.get("data"), f"{at}.data"))
        case "url":
            document.url = read_name(source.get("url"), f"{at}.url")
        case "content":
            parts = _read_blocks(source.get("content"), f"{at}.content", omitted, _READERS_IN_DOCUMENTS)
            _fill_with_text(document, "\n\n".join(part.text for part in parts if isinstance(part, Text)))
            return [document, *(part for part in parts if isinstance(part, Image))]
        case other:
            raise _refuse_source(other, path)
    return [document]


def _fill_with_text(document: Document, text: str) -> None:
    document.media_type = "text/plain"
    document.data = base64.b64encode(text.encode("utf-8", "replace")).decode()


def _read_cited(block: Json, path: str) -> bool:
    value = block.get("citations")
    enabled = None if value is None else read_object(value, f"{path}.citations").get("enabled")
    return False if enabled is None else read_flag(enabled, f"{path}.citations.enabled")


def _read_optional_text(block: Json, name: str, path: str) -> str | None:
    value = block.get(name)
    return None if value is None else read_text(value, f"{path}.{name}")


def _refuse_source(kind: object, path: str) -> Unsupported:
    at = f"{path}.source.type"
    told = quote(read_name(kind, at))
    return Unsupported(f"`{at}`: a source of type {told} cannot be translated; send the content inline.", param=at)


def _read_thinking(block: Json, path: str) -> Thinking:
    return Thinking(
        text=read_text(block.get("thinking"), f"{path}.thinking"),
        # Clients that saw no signature send an empty one.
        signature=_read_optional_text(block, "signature", path) or None,
    )


def _read_call(block: Json, path: str) -> ToolCall:
    return ToolCall(
        id=read_name(block.get("id"), f"{path}.id"),
        name=read_name(block.get("name"), f"{path}.name"),
        arguments=bytes(encode_raw(read_object(block.get("input"), f"{path}.input"), f"{path}.input")).decode(),
        cache=read_cache_mark(block, path),
    )


def _read_result(block: Json, path: str, omitted: list[str]) -> ToolResult:
    content, is_error = block.get("content"), block.get("is_error")
    parts = [] if content is None else _read_blocks(content, f"{path}.content", omitted, _READERS_IN_RESULTS)
    return ToolResult(
        call_id=read_name(block.get("tool_use_id"), f"{path}.tool_use_id"),
        parts=[part for part in parts if isinstance(part, Text | Image | Document)],
        is_error=False if is_error is None else read_flag(is_error, f"{path}.is_error"),
        cache=read_cache_mark(block, path),
    )


def _read_search_result(block: Json, path: str, omitted: list[str]) -> list[Part]:
    """A passage that the client found, as plain text with its title and source."""
    head = [read_text(block.get(name), f"{path}.{name}") for name in ("title", "source")]
    texts = read_system(block.get("content"), f"{path}.content")
    told = "\n".join([*head, *(text.text for text in texts)])
    return [Text(text=told, cache=read_cache_mark(block, path))]


def _read_tool_reference(block: Json, path: str, omitted: list[str]) -> list[Part]:
    """A tool that a search for tools found. All tools are offered from the start, so that its name is enough."""
    return [Text(text=f"Found tool: {read_name(block.get('tool_name'), f'{path}.tool_name')}")]


_Reader = Callable[[Json, str, list[str]], list[Part]]
# Documents and results are read by readers that cannot meet themselves again, so that nesting has an end.
_READERS_IN_DOCUMENTS: Final[Mapping[str, _Reader]] = {
    "text": lambda block, path, _: [_read_text(block, path)],
    "image": lambda block, path, _: [_read_image(block, path)],
}
_READERS_IN_RESULTS: Final[Mapping[str, _Reader]] = {
    **_READERS_IN_DOCUMENTS,
    "document": _read_document,
    "search_result": _read_search_result,
    "tool_reference": _read_tool_reference,
}
_READERS: Final[Mapping[str, _Reader]] = {
    **_READERS_IN_RESULTS,
    "tool_use": lambda block, path, _: [_read_call(block, path)],
    "tool_result": lambda block, path, omitted: [_read_result(block, path, omitted)],
    "thinking": lambda block, path, _: [_read_thinking(block, path)],
    "redacted_thinking": lambda block, path, _: [RedactedThinking(data=read_name(block.get("data"), f"{path}.data"))],
    # What an earlier turn was summarised to.
    "compaction": lambda block, path, _: [Text(text=read_text(block.get("content"), f"{path}.content"))],
}
