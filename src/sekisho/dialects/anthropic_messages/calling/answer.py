"""Reads whole answers of the Messages API."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from sekisho.core.chat import RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.events import ChatAnswer
from sekisho.core.wire import WireFault, WireRequest
from sekisho.dialects.anthropic_messages.citations import parse_citation
from sekisho.dialects.anthropic_messages.stopping import read_finish
from sekisho.dialects.anthropic_messages.usage import ToldUsage, read_usage
from sekisho.dialects.common.counts import Count

AnswerPart = Text | Thinking | RedactedThinking | ToolCall

Index = Annotated[int, Meta(ge=0)]


class Failure(Struct, frozen=True):
    """What an upstream says of its own failure."""

    type: str = "api_error"
    message: str = "the upstream gave no reason"


class _Typed(Struct):
    type: str = ""


class _Text(Struct):
    text: str
    citations: list[Raw] | None = None


class _Thinking(Struct):
    thinking: str
    signature: str | None = None


class _Redacted(Struct):
    data: str


class _ToolUse(Struct):
    id: str
    name: str
    input: Raw = Raw(b"{}")


class _Message(Struct):
    content: list[Raw]
    stop_reason: str
    usage: ToldUsage
    stop_sequence: str | None = None


class _Failed(Struct):
    type: Literal["error"]
    error: Failure


class _Count(Struct):
    input_tokens: Count


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_failed = msgspec.json.Decoder(_Failed).decode
_decode_type = msgspec.json.Decoder(_Typed).decode
_decode_text = msgspec.json.Decoder(_Text).decode
_decode_thinking = msgspec.json.Decoder(_Thinking).decode
_decode_redacted = msgspec.json.Decoder(_Redacted).decode
_decode_tool_use = msgspec.json.Decoder(_ToolUse).decode
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_count = msgspec.json.Decoder(_Count).decode


def read_answer(body: bytes, request: WireRequest) -> ChatAnswer:
    """Read a whole answer to `request`. Blocks of kinds not known here are passed over.

    Raises:
        WireFault: `corrupt` when it is not what the Messages API sends, else the error's own type.
    """
    try:
        message = _decode_message(body)
        parts = [part for raw in message.content if (part := _read_block(raw, request)) is not None]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _read_failure(body) or WireFault(
            "corrupt", f"the answer is not one of the Messages API: {error}"
        ) from error
    json_call = next((part for part in parts if isinstance(part, ToolCall) and part.name == request.json_tool), None)
    if json_call is not None:  # the answer is what the model said to the tool that stands in for it
        parts = [
            Text(text=json_call.arguments) if part is json_call else part
            for part in parts
            if not isinstance(part, Text)
        ]
    finish = read_finish(message.stop_reason, message.stop_sequence, json_by_tool=json_call is not None)
    return ChatAnswer(parts=parts, finish=finish, usage=read_usage(message.usage))


def read_count(body: bytes) -> int:
    """Read the number of input tokens. Raises WireFault."""
    try:
        return _decode_count(body).input_tokens
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireFault("corrupt", f"the answer has no number of tokens: {error}") from error


def check_object(raw: bytes) -> bytes:
    """The bytes of a JSON object. Raises msgspec.ValidationError for any other value."""
    _decode_object(raw)
    return bytes(raw)


def _read_failure(body: bytes) -> WireFault | None:
    try:
        failed = _decode_failed(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return WireFault(failed.error.type, failed.error.message)


def _read_block(raw: Raw, request: WireRequest) -> AnswerPart | None:
    match _decode_type(raw).type:
        case "text":
            block = _decode_text(raw)
            citations = [cited for told in block.citations or () if (cited := parse_citation(told)) is not None]
            return Text(text=block.text, citations=citations)
        case "thinking":
            thinking = _decode_thinking(raw)
            return Thinking(text=thinking.thinking, signature=thinking.signature or None)
        case "redacted_thinking":
            return RedactedThinking(data=_decode_redacted(raw).data)
        case "tool_use":
            call = _decode_tool_use(raw)
            name = request.tool_names.get(call.name, call.name)
            return ToolCall(id=call.id, name=name, arguments=check_object(call.input).decode())
        case _:
            return None
