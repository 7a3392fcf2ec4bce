"""Reads conversations of nothing but texts and tool calls, as most are, and the usual tools, by their types alone.

Whatever else may stand in one, and whatever is wrong with one, is for `messages.read_messages` and
`options.read_tools`, which read everything that is read here to the same result.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from sekisho.core.chat import KnownTools, Message, Part, Text, Tool, ToolCall, ToolResult

_Name = Annotated[str, Meta(min_length=1)]


class _Function(Struct):
    name: _Name
    arguments: str | None = None


class _Call(Struct):
    id: _Name
    function: _Function
    type: Literal["function"] | None = None
    cache_control: None = None


class _TextPart(Struct):
    type: Literal["text"]
    text: str
    cache_control: None = None


class _Message(Struct):
    """What must be null is not plain."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_TextPart] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: _Name | None = None
    cache_control: None = None
    audio: None = None
    refusal: None = None
    thinking_blocks: None = None
    reasoning_content: None = None
    function_call: None = None


class _Described(Struct):
    """A function that may be called."""

    name: _Name
    parameters: Raw
    description: str | None = None
    strict: bool | None = None
    cache_control: None = None


class _Tool(Struct):
    function: _Described
    type: Literal["function"] | None = None
    cache_control: None = None


_NO_ARGUMENTS: Final = "{}"
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode: Final = msgspec.json.Decoder(list[_Message]).decode
_decode_tools: Final = msgspec.json.Decoder(list[_Tool]).decode


def read_plain_tools(tools: bytes) -> KnownTools | None:
    """The tools; None where one of them is not plain."""
    try:
        functions = [tool.function for tool in _decode_tools(tools)]
    except _UNREADABLE:
        return None
    if any(bytes(memoryview(function.parameters)[:1]) != b"{" for function in functions):
        return None
    return KnownTools(
        Tool(name=told.name, description=told.description, schema=told.parameters, strict=told.strict)
        for told in functions
    )


def read_plain_messages(messages: Raw) -> tuple[list[Text], list[Message]] | None:
    """System texts and turns; None for a conversation that is not plain."""
    try:
        decoded = _decode(messages)
    except _UNREADABLE:
        return None
    system: list[Text] = []
    turns: list[Message] = []
    role: Literal["user", "assistant"] | None = None
    for message in decoded:
        content = message.content
        speaker: Literal["user", "assistant"] = "user"
        if message.role == "assistant":
            speaker = "assistant"
            parts: list[Part] = [*_read_texts(content)] if content else []
            for call in message.tool_calls or ():
                function = call.function
                parts.append(ToolCall(id=call.id, name=function.name, arguments=function.arguments or _NO_ARGUMENTS))
        elif content is None:
            return None
        elif message.role == "tool":
            if message.tool_call_id is None:
                return None
            parts = [ToolResult(call_id=message.tool_call_id, parts=[*_read_texts(content)])]
        elif message.role == "user":
            parts = [*_read_texts(content)]
        else:
            system += _read_texts(content)
            continue
        if speaker == role:
            turns[-1].parts += parts
        elif parts:
            turns.append(Message(role=speaker, parts=parts))
            role = speaker
    return (system, turns) if decoded else None


def _read_texts(content: str | list[_TextPart]) -> list[Text]:
    if isinstance(content, str):
        return [Text(text=content)]
    return [Text(text=part.text) for part in content]
