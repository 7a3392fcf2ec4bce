"""Whole answers of an upstream, and what they have in common with streamed ones."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import Citation, FinishReason, RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.events import ChatAnswer, Finish
from sekisho.core.usage import Usage
from sekisho.core.wire import WireAnswer, WireFault, WireRequest
from sekisho.dialects.common.openai import ErrorObject, TokenUsage, read_fault, read_usage

AnswerPart = Text | Thinking | RedactedThinking | ToolCall

_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "model_length": "length",
    "content_filter": "content_filter",
}


class Function(Struct):
    """What is called. Arguments are JSON text; some servers send the object itself."""

    name: str | None = None
    arguments: str | dict[str, Raw] | None = None


class ThinkingBlock(Struct):
    """Reasoning with its signature, as other gateways tell it."""

    type: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None


class _UrlCitation(Struct):
    url: str | None = None
    title: str | None = None


class Annotation(Struct):
    """Where a page of the web is cited."""

    type: str | None = None
    url_citation: _UrlCitation | None = None


class ContentPart(Struct):
    """A part of a content that is an array."""

    type: str | None = None
    text: str | None = None


class Said(Struct):
    """What messages and deltas have in common. Reasoning goes by two names, which DeepSeek and OpenRouter gave it."""

    content: str | list[ContentPart] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking_blocks: list[ThinkingBlock] | None = None
    annotations: list[Annotation] | None = None
    function_call: Function | None = None


class _Call(Struct):
    function: Function
    id: str | None = None


class _Message(Said):
    tool_calls: list[_Call] | None = None


class _Choice(Struct):
    message: _Message
    finish_reason: str | None = None
    index: int = 0


class _Response(Struct):
    id: str | None = None
    choices: list[_Choice] | None = None
    usage: TokenUsage | None = None
    error: ErrorObject | str | None = None


_decode = msgspec.json.Decoder(_Response).decode
_encode = msgspec.json.Encoder().encode


def read_answer(answer: WireAnswer, request: WireRequest) -> ChatAnswer:
    """Read a whole answer to `request`: its first choice. Usage that was not told is all zero.

    Raises:
        WireFault: `corrupt` when it is not one of Chat Completions, else the upstream's own code of an error.
    """
    try:
        response = _decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireFault("corrupt", f"the answer is not one of Chat Completions: {error}") from error
    if response.error is not None:
        raise read_fault(response.error)
    if not response.choices:
        raise WireFault("corrupt", "the answer has no choices")
    first, *others = response.choices
    choice = min(response.choices, key=lambda choice: choice.index) if others else first
    parts = _read_parts(choice.message, request, response.id)
    called = bool(choice.message.tool_calls or choice.message.function_call)
    finish = read_finish(choice.finish_reason or "stop", called=called)
    return ChatAnswer(parts=parts, finish=finish, usage=read_usage(response.usage) or Usage())


def read_finish(native: str, *, called: bool) -> Finish:
    """Why the model stopped; a reason not known counts as a plain stop.

    `called` is whether it asked for tools: not all servers say so, nor does OpenAI when a certain tool was demanded.

    Raises:
        WireFault: With `error`, when the server says by it that it failed.
    """
    if native == "error":
        raise WireFault("error", "the upstream broke off the answer")
    reason = _REASONS.get(native, "stop")
    return Finish("tool_calls" if called and reason == "stop" else reason, native)


def read_text(said: Said) -> str:
    """The text of a message or a delta. A refusal is what the model says in place of an answer."""
    content = said.content or ""
    if not isinstance(content, str):
        content = "".join(part.text for part in content if part.text)
    return content + said.refusal if said.refusal else content


def read_citations(said: Said) -> list[Citation]:
    """The pages that a text rests on."""
    cited = [annotation.url_citation for annotation in said.annotations or () if annotation.url_citation is not None]
    return [Citation(kind="web", title=place.title, url=place.url) for place in cited if place.url]


def read_arguments(function: Function) -> str:
    """The JSON text of a call's arguments, or of a part of them."""
    if isinstance(function.arguments, dict):
        return _encode(function.arguments).decode()
    return function.arguments or ""


def make_call_id(answer_id: str | None, number: int) -> str:
    """An id for a tool call that has none: the same each time the answer is read."""
    return "call_" + sha256(f"{answer_id}:{number}".encode()).hexdigest()[:24]


def _read_parts(message: _Message, request: WireRequest, answer_id: str | None) -> list[AnswerPart]:
    parts: list[AnswerPart] = [*_read_thinking(message)]
    if text := read_text(message):
        parts.append(Text(text=text, citations=read_citations(message) if message.annotations else []))
    calls = message.tool_calls or ([_Call(message.function_call)] if message.function_call is not None else [])
    for number, call in enumerate(calls):
        name = call.function.name
        if not name:
            raise WireFault("corrupt", "a tool call has no name")
        parts.append(
            ToolCall(
                id=call.id or make_call_id(answer_id, number),
                name=request.tool_names.get(name, name),
                arguments=read_arguments(call.function) or "{}",
            )
        )
    return parts


def _read_thinking(message: Said) -> Sequence[Thinking | RedactedThinking]:
    """Reasoning from the blocks, which carry signatures, else from the text alone."""
    blocks: list[Thinking | RedactedThinking] = []
    for block in message.thinking_blocks or ():
        if block.data is not None:
            blocks.append(RedactedThinking(data=block.data))
        elif block.thinking is not None:
            blocks.append(Thinking(text=block.thinking, signature=block.signature or None))
    shown = message.reasoning_content or message.reasoning
    return blocks or ([Thinking(text=shown)] if shown else [])
