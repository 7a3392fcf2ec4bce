"""Reads conversations of nothing but texts and tool calls, as most are, by their types alone.

Whatever else may stand in one, and whatever is wrong with one, is for `items.Conversation`, which reads everything that
is read here to the same result.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from sekisho.core.chat import Message, Part, Text, ToolCall, ToolResult

_Name = Annotated[str, Meta(min_length=1)]
_NO_ARGUMENTS: Final = "{}"


class _TextPart(Struct):
    """An `output_text` may name pages of the web that it rests on; without any it is a text as all others."""

    type: Literal["input_text", "output_text", "text", "summary_text"]
    text: str
    annotations: Annotated[list[Raw], Meta(max_length=0)] | None = None


class _Item(Struct):
    """What must be null is not plain."""

    type: Literal[
        "message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", None
    ] = None
    role: Literal["user", "assistant", "system", "developer", None] = None
    content: str | list[_TextPart] | None = None
    call_id: _Name | None = None
    name: _Name | None = None
    namespace: None = None
    arguments: str | None = None
    input: str | None = None
    output: str | list[_TextPart] | None = None


_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode: Final = msgspec.json.Decoder(list[_Item]).decode
_encode: Final = msgspec.json.Encoder().encode


def read_plain_items(items: Raw) -> tuple[list[Text], list[Message]] | None:
    """System texts and turns; None for a conversation that is not plain, and for one without a turn."""
    try:
        decoded = _decode(items)
    except _UNREADABLE:
        return None
    system: list[Text] = []
    turns: list[Message] = []
    for item in decoded:
        speaker: Literal["user", "assistant"]
        parts: list[Part]
        if item.type is None or item.type == "message":
            if item.content is None or item.role is None:
                return None
            if item.role == "system" or item.role == "developer":
                system += _read_texts(item.content)
                continue
            speaker, parts = item.role, [*_read_texts(item.content)]
        elif (part := _read_tool_item(item)) is None:
            return None
        else:
            speaker, parts = "assistant" if type(part) is ToolCall else "user", [part]
        if turns and turns[-1].role == speaker:
            turns[-1].parts += parts
        elif parts:
            turns.append(Message(role=speaker, parts=parts))
    return (system, turns) if turns else None


def _read_tool_item(item: _Item) -> Part | None:
    """A call of a tool or what it answered; None where something of it is missing."""
    if item.call_id is None:
        return None
    if item.type == "function_call_output" or item.type == "custom_tool_call_output":
        return None if item.output is None else ToolResult(call_id=item.call_id, parts=[*_read_texts(item.output)])
    arguments = item.arguments
    if item.type == "custom_tool_call":
        arguments = None if item.input is None else _encode({"input": item.input}).decode()
    if item.name is None or arguments is None:
        return None
    return ToolCall(id=item.call_id, name=item.name, arguments=arguments or _NO_ARGUMENTS)


def _read_texts(content: str | list[_TextPart]) -> list[Text]:
    if isinstance(content, str):
        return [Text(text=content)]
    return [Text(text=part.text) for part in content]
