"""Whole answers of Converse."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.events import ChatAnswer
from sekisho.core.wire import WireAnswer, WireFault, WireRequest
from sekisho.dialects.bedrock_converse.citations import WireCitation, read_citation
from sekisho.dialects.bedrock_converse.ending import TokenUsage, read_finish, read_usage

AnswerPart = Text | Thinking | RedactedThinking | ToolCall


class _ToolUse(Struct, rename="camel"):
    tool_use_id: str
    name: str
    input: dict[str, Raw]


class _ReasoningText(Struct):
    text: str
    signature: str | None = None


class _Reasoning(Struct, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _CitedText(Struct):
    text: str = ""


class _Cited(Struct):
    content: list[_CitedText] = []
    citations: list[WireCitation] = []


class _Block(Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Cited | None = None


class _Message(Struct):
    content: list[_Block]


class _Output(Struct):
    message: _Message


class _Response(Struct, rename="camel"):
    output: _Output
    stop_reason: str
    usage: TokenUsage
    additional_model_response_fields: object = None


_decode = msgspec.json.Decoder(_Response).decode
_encode = msgspec.json.Encoder().encode


def read_answer(answer: WireAnswer, request: WireRequest) -> ChatAnswer:
    """Read a whole answer to `request`. Blocks of kinds that nobody can have asked for are passed over.

    Raises:
        WireFault: `corrupt` when it is not what Converse sends, `malformed_output` when the model failed.
    """
    try:
        response = _decode(answer.body)
        parts = [part for block in response.output.message.content if (part := _read_block(block, request))]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireFault("corrupt", f"the answer is not one of Converse: {error}") from error
    json_text = None if request.json_tool is None else _find_json(parts, request.json_tool)
    if json_text is not None:
        parts = [_stand_for(json_text) if part is json_text else part for part in parts if not isinstance(part, Text)]
    finish = read_finish(
        response.stop_reason, response.additional_model_response_fields, json_by_tool=json_text is not None
    )
    return ChatAnswer(parts=parts, finish=finish, usage=read_usage(response.usage))


def _find_json(parts: Sequence[AnswerPart], tool: str) -> ToolCall | None:
    """The call of the tool that stands in for a JSON answer."""
    return next((part for part in parts if isinstance(part, ToolCall) and part.name == tool), None)


def _read_block(block: _Block, request: WireRequest) -> AnswerPart | None:
    if block.text is not None:
        return Text(text=block.text)
    if block.tool_use is not None:
        name = request.tool_names.get(block.tool_use.name, block.tool_use.name)
        return ToolCall(id=block.tool_use.tool_use_id, name=name, arguments=_encode(block.tool_use.input).decode())
    if block.reasoning_content is not None:
        return _read_reasoning(block.reasoning_content)
    if block.citations_content is not None:
        cited = block.citations_content
        return Text(
            text="".join(piece.text for piece in cited.content), citations=list(map(read_citation, cited.citations))
        )
    return None


def _read_reasoning(reasoning: _Reasoning) -> Thinking | RedactedThinking | None:
    if reasoning.redacted_content is not None:
        return RedactedThinking(data=reasoning.redacted_content)
    if reasoning.reasoning_text is not None:
        return Thinking(text=reasoning.reasoning_text.text, signature=reasoning.reasoning_text.signature)
    return None


def _stand_for(call: ToolCall) -> Text:
    """The JSON answer: what the model said to the tool that stands in for it."""
    return Text(text=call.arguments)
