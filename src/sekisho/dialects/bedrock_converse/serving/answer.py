"""Answers of Converse: whole ones, and the shapes that streams share with them."""

from typing import Final

import msgspec

from sekisho.core.chat import ClientCall, FinishReason, RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.events import ChatAnswer, Finish
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead
from sekisho.dialects.bedrock_converse.citations import write_cited_text
from sekisho.dialects.bedrock_converse.ending import REASONS
from sekisho.dialects.bedrock_converse.forms import Json
from sekisho.dialects.common.tools import read_arguments

_WORDS: Final[dict[FinishReason, str]] = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "content_filtered",
}
_STOP_SEQUENCE: Final = "/stop_sequence"


class _Asked(msgspec.Struct, rename="camel"):
    additional_model_response_field_paths: list[str] | None = None


_decode_asked = msgspec.json.Decoder(_Asked).decode
_encode = msgspec.json.Encoder().encode


def write_answer(answer: ChatAnswer, head: AnswerHead, call: ClientCall) -> bytes:
    """A whole answer as the body of a Converse response."""
    content = [_write_part(part) for part in answer.parts if not (isinstance(part, Text) and not part.text)]
    body: Json = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": find_stop_reason(answer.finish),
        "usage": write_usage(answer.usage),
        "metrics": {"latencyMs": head.elapsed_ms()},
    }
    return _encode(body | write_additional(answer.finish, asks_stop_sequence(call)))


def _write_part(part: Text | Thinking | RedactedThinking | ToolCall) -> Json:
    match part:
        case Text():
            return write_cited_text(part.text, part.citations) if part.citations else {"text": part.text}
        case Thinking(text=text, signature=None):
            return {"reasoningContent": {"reasoningText": {"text": text}}}
        case Thinking(text=text, signature=signature):
            return {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}
        case RedactedThinking(data=data):
            return {"reasoningContent": {"redactedContent": data}}
        case ToolCall():
            use = {"toolUseId": part.id, "name": part.name, "input": read_arguments(part.arguments)}
            return {"toolUse": use}


def find_stop_reason(finish: Finish) -> str:
    """Converse's word for why the model stopped: the upstream's own, if it is one and says the same."""
    if REASONS.get(finish.native) == finish.reason:
        return finish.native
    if finish.reason == "stop" and finish.stop_sequence is not None:
        return "stop_sequence"
    return _WORDS[finish.reason]


def write_usage(usage: Usage) -> Json:
    """Usage as Converse tells it: `inputTokens` leaves out what the cache read and wrote, `totalTokens` does not."""
    told: Json = {
        "inputTokens": usage.input,
        "outputTokens": usage.output,
        "totalTokens": usage.total,
        "cacheReadInputTokens": usage.cache_read,
        "cacheWriteInputTokens": usage.cache_write,
    }
    details = [("1h", usage.cache_write_1h), ("5m", usage.cache_write_5m)]
    if usage.cache_write:
        told["cacheDetails"] = [{"ttl": ttl, "inputTokens": tokens} for ttl, tokens in details if tokens]
    return told


def asks_stop_sequence(call: ClientCall) -> bool:
    """Whether the client asked to be told the stop sequence met: the only additional field known outside Bedrock."""
    if not call.mentions(b"stop_sequence"):  # most calls end here, before the body is decoded again
        return False
    try:
        return _STOP_SEQUENCE in (_decode_asked(call.body).additional_model_response_field_paths or ())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def write_additional(finish: Finish, asked: bool) -> Json:
    """The additional fields of a response, if they were asked for."""
    return {"additionalModelResponseFields": {"stop_sequence": finish.stop_sequence}} if asked else {}
