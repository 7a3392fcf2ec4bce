"""Content blocks of Converse requests, read into parts of turns.

Every block is an object with one member, which names its kind. What only Bedrock itself could do something with
(objects in S3, video, audio) is refused, since the model would otherwise answer without having seen it.
"""

import base64
import binascii
from collections.abc import Callable

import msgspec

from sekisho.core.chat import (
    CacheMark,
    Document,
    Image,
    Part,
    RedactedThinking,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.dialects.bedrock_converse.citations import WireCitation, read_citation
from sekisho.dialects.bedrock_converse.forms import DOCUMENT_FORMATS
from sekisho.dialects.common.fields import (
    encode_raw,
    quote,
    read_array,
    read_choice,
    read_flag,
    read_name,
    read_object,
    read_text,
)

_IMAGE_FORMATS = ("png", "jpeg", "gif", "webp")
_MEDIA_TYPES = {word: media_type for media_type, word in DOCUMENT_FORMATS.items()}
_PLAIN = "text/plain"


def read_blocks(value: object, path: str, omitted: list[str]) -> list[Part]:
    """The parts of a turn. A cache point becomes the mark of the part before it.

    Args:
        value: The turn's content.
        path: Where it stands in the body.
        omitted: Takes the names of what is left out without harm.

    Raises:
        InvalidRequest: A block is not what Converse takes.
        Unsupported: Only Bedrock can do something with a block.
    """
    parts: list[Part] = []
    for index, item in enumerate(read_array(value, path)):
        kind, content, at = open_union(item, f"{path}[{index}]")
        if kind == "cachePoint":
            _mark_last(parts, read_cache_point(content, at), omitted)
        else:
            parts.append(_read_part(kind, content, at))
    return parts


def open_union(value: object, path: str) -> tuple[str, object, str]:
    """The one member that an object has: its name, its value and its path."""
    members = [(name, member) for name, member in read_object(value, path).items() if member is not None]
    if len(members) != 1:
        raise InvalidRequest(f"`{path}` must have exactly one member, not {len(members)}.", param=path)
    name, content = members[0]
    return name, content, f"{path}.{name}"


def read_cache_point(value: object, path: str) -> CacheMark:
    """A cache point as the mark of what stands before it."""
    ttl = read_object(value, path).get("ttl")
    return CacheMark() if ttl is None else CacheMark(read_choice(ttl, f"{path}.ttl", ("5m", "1h")))


def refuse_kind(kind: str, path: str) -> Unsupported:
    """The error for a block of a kind that has no meaning outside Bedrock's Converse."""
    return Unsupported(
        f"`{path}`: blocks of kind {quote(kind)} can be sent only to models that are called by Bedrock's Converse.",
        param=path,
    )


def _mark_last(parts: list[Part], mark: CacheMark, omitted: list[str]) -> None:
    """Mark the last part that can bear a mark: reasoning cannot, and may stand between."""
    for part in reversed(parts):
        if not isinstance(part, Thinking | RedactedThinking):
            part.cache = mark
            return
    omitted.append("cachePoint")


def _read_part(kind: str, value: object, path: str) -> Part:
    if kind not in _READERS:
        raise refuse_kind(kind, path)
    return _READERS[kind](value, path)


def _read_text(value: object, path: str) -> Text:
    return Text(text=read_text(value, path))


def _read_image(value: object, path: str) -> Image:
    image = read_object(value, path)
    form = read_choice(image.get("format"), f"{path}.format", _IMAGE_FORMATS)
    kind, content, at = open_union(image.get("source"), f"{path}.source")
    if kind != "bytes":
        raise refuse_kind(kind, at)
    return Image(media_type=f"image/{form}", data=_read_base64(content, at))


def _read_document(value: object, path: str) -> Document:
    document = read_object(value, path)
    name = read_name(document.get("name"), f"{path}.name")
    media_type, data = _read_source(document, path)
    context = document.get("context")
    return Document(
        name=name,
        media_type=media_type,
        data=data,
        context=None if context is None else read_text(context, f"{path}.context"),
        cited=_read_cited(document, path),
    )


def _read_source(document: dict[str, object], path: str) -> tuple[str, str]:
    """The media type and the content, in base64, of a document."""
    kind, content, at = open_union(document.get("source"), f"{path}.source")
    form = document.get("format")
    if kind == "bytes":
        word = read_choice(form, f"{path}.format", tuple(_MEDIA_TYPES))
        return _MEDIA_TYPES[word], _read_base64(content, at)
    media_type = _PLAIN if form is None else _MEDIA_TYPES[read_choice(form, f"{path}.format", tuple(_MEDIA_TYPES))]
    if kind == "text":
        return media_type, _to_base64(read_text(content, at))
    if kind == "content":
        return media_type, _to_base64("\n\n".join(_read_texts(content, at)))
    raise refuse_kind(kind, at)


def _read_texts(value: object, path: str) -> list[str]:
    """The texts of blocks that may hold nothing else."""
    blocks = [read_object(item, f"{path}[{index}]") for index, item in enumerate(read_array(value, path))]
    return [read_text(block.get("text"), f"{path}[{index}].text") for index, block in enumerate(blocks)]


def _read_cited(block: dict[str, object], path: str) -> bool:
    citations = block.get("citations")
    if citations is None:
        return False
    return read_flag(read_object(citations, f"{path}.citations").get("enabled"), f"{path}.citations.enabled")


def _read_search_result(value: object, path: str) -> Text | Document:
    """A search result is text; one that shall be cited is a document, since only those can be."""
    found = read_object(value, path)
    title = read_text(found.get("title"), f"{path}.title")
    source = read_text(found.get("source"), f"{path}.source")
    text = "\n".join(_read_texts(found.get("content"), f"{path}.content"))
    if _read_cited(found, path):
        return Document(name=title or source, media_type=_PLAIN, data=_to_base64(text), context=source, cited=True)
    return Text(text=f"{title}\n{source}\n\n{text}")


def _read_tool_use(value: object, path: str) -> ToolCall:
    use = read_object(value, path)
    if use.get("type") is not None:
        raise refuse_kind(str(use["type"]), f"{path}.type")
    arguments = encode_raw(read_object(use.get("input"), f"{path}.input"), f"{path}.input")
    return ToolCall(
        id=read_name(use.get("toolUseId"), f"{path}.toolUseId"),
        name=read_name(use.get("name"), f"{path}.name"),
        arguments=bytes(arguments).decode(),
    )


def _read_tool_result(value: object, path: str) -> ToolResult:
    result = read_object(value, path)
    status = result.get("status")
    parts: list[Text | Image | Document] = []
    for index, item in enumerate(read_array(result.get("content"), f"{path}.content")):
        kind, content, at = open_union(item, f"{path}.content[{index}]")
        if kind not in _RESULT_READERS:
            raise refuse_kind(kind, at)
        parts.append(_RESULT_READERS[kind](content, at))
    return ToolResult(
        call_id=read_name(result.get("toolUseId"), f"{path}.toolUseId"),
        parts=parts,
        is_error=status is not None and read_choice(status, f"{path}.status", ("success", "error")) == "error",
    )


def _read_json(value: object, path: str) -> Text:
    return Text(text=bytes(encode_raw(value, path)).decode())


def _read_guarded(value: object, path: str) -> Text | Image:
    """What a guardrail shall look at: to a model it is like any other text or picture."""
    kind, content, at = open_union(value, path)
    if kind == "text":
        return Text(text=read_text(read_object(content, at).get("text"), f"{at}.text"))
    if kind == "image":
        return _read_image(content, at)
    raise refuse_kind(kind, at)


def _read_reasoning(value: object, path: str) -> Thinking | RedactedThinking:
    kind, content, at = open_union(value, path)
    if kind == "redactedContent":
        return RedactedThinking(data=_read_base64(content, at))
    if kind != "reasoningText":
        raise refuse_kind(kind, at)
    reasoning = read_object(content, at)
    signature = reasoning.get("signature")
    return Thinking(
        text=read_text(reasoning.get("text"), f"{at}.text"),
        signature=None if signature is None else read_text(signature, f"{at}.signature"),
    )


def _read_cited_text(value: object, path: str) -> Text:
    block = read_object(value, path)
    text = "".join(_read_texts(block.get("content") or [], f"{path}.content"))
    try:
        told = msgspec.convert(block.get("citations") or [], list[WireCitation])
    except msgspec.ValidationError as error:
        at = f"{path}.citations"
        raise InvalidRequest(f"`{at}` is not what Converse takes: {error}.", param=at) from error
    return Text(text=text, citations=[read_citation(citation) for citation in told])


def _read_base64(value: object, path: str) -> str:
    text = read_name(value, path)
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"`{path}` is not base64.", param=path) from error
    return text


def _to_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


_READERS: dict[str, Callable[[object, str], Part]] = {
    "text": _read_text,
    "image": _read_image,
    "document": _read_document,
    "toolUse": _read_tool_use,
    "toolResult": _read_tool_result,
    "reasoningContent": _read_reasoning,
    "citationsContent": _read_cited_text,
    "guardContent": _read_guarded,
    "searchResult": _read_search_result,
}
_RESULT_READERS: dict[str, Callable[[object, str], Text | Image | Document]] = {
    "text": _read_text,
    "json": _read_json,
    "image": _read_image,
    "document": _read_document,
    "searchResult": _read_search_result,
}
