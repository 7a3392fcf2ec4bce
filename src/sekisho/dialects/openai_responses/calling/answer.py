"""Whole answers of an upstream, and what they have in common with streamed ones."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import Citation, FinishReason, RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.events import ChatAnswer, Finish
from sekisho.core.usage import Usage
from sekisho.core.wire import WireAnswer, WireFault, WireRequest
from sekisho.dialects.common.counts import Count
from sekisho.dialects.common.openai import ErrorObject, read_fault
from sekisho.dialects.common.sealed import SealedReasoning, seal

AnswerPart = Text | Thinking | RedactedThinking | ToolCall

_REASONS: Final[dict[str, FinishReason]] = {"max_output_tokens": "length", "content_filter": "content_filter"}


class Annotation(Struct):
    """Where a text names what it rests on. Kinds other than pages of the web point into OpenAI's own stores."""

    type: str | None = None
    url: str | None = None
    title: str | None = None


class Part(Struct):
    """A part of a message, of reasoning or of its summary."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    annotations: list[Annotation] | None = None


class Message(Struct):
    """What the model says."""

    content: list[Part] | None = None


class Reasoning(Struct):
    """What it thought."""

    id: str | None = None
    summary: list[Part] | None = None
    content: list[Part] | None = None
    encrypted_content: str | None = None


class Call(Struct):
    """A function it calls, or a free-form tool."""

    name: str
    call_id: str
    arguments: str | None = None
    input: str | None = None


class _CachedTokens(Struct):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class _ReasoningTokens(Struct):
    reasoning_tokens: Count | None = None


class TokenUsage(Struct):
    """Usage; `input_tokens` contains the cached."""

    input_tokens: Count
    output_tokens: Count
    input_tokens_details: _CachedTokens | None = None
    output_tokens_details: _ReasoningTokens | None = None


class _Cut(Struct):
    reason: str | None = None


class Response(Struct):
    """An answer, whole or at its end."""

    status: str | None = None
    output: list[Raw] | None = None
    usage: TokenUsage | None = None
    error: ErrorObject | str | None = None
    incomplete_details: _Cut | None = None


class _Kind(Struct):
    type: str


class _Count(Struct):
    input_tokens: Count


_decode_response = msgspec.json.Decoder(Response).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_message = msgspec.json.Decoder(Message).decode
_decode_reasoning = msgspec.json.Decoder(Reasoning).decode
_decode_call = msgspec.json.Decoder(Call).decode
_decode_count = msgspec.json.Decoder(_Count).decode
_encode = msgspec.json.Encoder().encode

Item = Message | Reasoning | Call


def read_answer(answer: WireAnswer, request: WireRequest) -> ChatAnswer:
    """Read a whole answer to `request`. Items of kinds not known are passed over; usage not told is all zero.

    Raises:
        WireFault: `corrupt` when it is not one of the Responses API, else the upstream's own code of an error.
    """
    try:
        response = _decode_response(answer.body)
        if response.error is not None or response.status == "failed":
            raise read_failure(response)
        if response.output is None:
            raise WireFault("corrupt", "the answer has no output")
        items = [item for raw in response.output if (item := read_item(raw)) is not None]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireFault("corrupt", f"the answer is not one of the Responses API: {error}") from error
    parts = [part for item in items for part in _read_parts(item, request)]
    called = any(isinstance(item, Call) for item in items)
    refused = any(part.refusal for item in items if isinstance(item, Message) for part in item.content or ())
    finish = read_finish(response, called=called, refused=refused)
    return ChatAnswer(parts=parts, finish=finish, usage=read_usage(response.usage) or Usage())


def read_count(answer: WireAnswer) -> int:
    """The number of input tokens. Raises WireFault."""
    try:
        return _decode_count(answer.body).input_tokens
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireFault("corrupt", f"the answer tells no number of tokens: {error}") from error


def read_item(raw: Raw) -> Item | None:
    """An item of an answer; None for kinds that nobody but a client of this format can have asked for."""
    match _decode_kind(raw).type:
        case "message":
            return _decode_message(raw)
        case "reasoning":
            return _decode_reasoning(raw)
        case "function_call" | "custom_tool_call":
            return _decode_call(raw)
        case _:
            return None


def read_failure(response: Response | None) -> WireFault:
    """What it means that an answer failed."""
    error = response.error if response is not None else None
    return read_fault(error or "the upstream gave no reason")


def read_finish(response: Response, *, called: bool, refused: bool) -> Finish:
    """Why the model stopped. `called` and `refused` are whether it asked for tools, or would not answer."""
    if response.status == "incomplete":
        native = (response.incomplete_details or _Cut()).reason or "incomplete"
        return Finish(_REASONS.get(native, "length"), native)
    if refused and not called:
        return Finish("content_filter", "refusal")
    return Finish("tool_calls" if called else "stop", response.status or "completed")


def read_usage(told: TokenUsage | None) -> Usage | None:
    """Usage by kind; None where nothing was counted, so that the gateway estimates it."""
    if told is None:
        return None
    details = told.input_tokens_details or _CachedTokens()
    read = min(details.cached_tokens or 0, told.input_tokens)
    written = min(details.cache_write_tokens or 0, told.input_tokens - read)
    reasoning = (told.output_tokens_details or _ReasoningTokens()).reasoning_tokens or 0
    return Usage(
        input=told.input_tokens - read - written,
        output=told.output_tokens,
        cache_read=read,
        cache_write_5m=written,
        reasoning=min(reasoning, told.output_tokens),
    )


def read_citations(annotations: Sequence[Annotation] | None) -> list[Citation]:
    """The pages that a text rests on."""
    return [Citation(kind="web", title=one.title, url=one.url) for one in annotations or () if one.url]


def sign_reasoning(item: Reasoning) -> str | None:
    """The signature with which reasoning of OpenAI's can be sent back through any other format."""
    if not item.encrypted_content:
        return None
    return seal(SealedReasoning(item.id or "", item.encrypted_content))


def read_arguments(call: Call) -> str:
    """The JSON text of a call's arguments."""
    if call.input is not None:
        return _encode({"input": call.input}).decode()
    return call.arguments or "{}"


def _read_parts(item: Item, request: WireRequest) -> list[AnswerPart]:
    match item:
        case Message():
            texts = [(part.text or part.refusal or "", part.annotations) for part in item.content or ()]
            return [Text(text=text, citations=read_citations(cited)) for text, cited in texts if text]
        case Call():
            name = request.tool_names.get(item.name, item.name)
            return [ToolCall(id=item.call_id, name=name, arguments=read_arguments(item))]
        case Reasoning():
            texts_shown = [part.text for part in item.content or item.summary or () if part.text]
            signature = sign_reasoning(item)
            if not texts_shown and signature is None:
                return []
            return [Thinking(text="\n\n".join(texts_shown), signature=signature)]
