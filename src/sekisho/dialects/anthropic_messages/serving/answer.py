"""Writes whole answers and errors as the Messages API has them."""

from collections.abc import Sequence
from typing import Final

import msgspec

from sekisho.core.chat import RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.errors import (
    AccessDenied,
    BodyTimeout,
    BodyTooLarge,
    BudgetExceeded,
    CallerError,
    NotFound,
    RateLimited,
    SekishoError,
    Unauthenticated,
    UpstreamRejected,
    UpstreamThrottled,
)
from sekisho.core.events import ChatAnswer
from sekisho.core.wire import AnswerHead
from sekisho.dialects.anthropic_messages.citations import build_citation
from sekisho.dialects.anthropic_messages.stopping import find_word
from sekisho.dialects.anthropic_messages.usage import build_usage
from sekisho.dialects.common.tools import read_arguments

_ERROR_TYPES: Final[tuple[tuple[type[SekishoError], str], ...]] = (
    (Unauthenticated, "authentication_error"),
    (BodyTooLarge, "request_too_large"),
    (BodyTimeout, "timeout_error"),
    (NotFound, "not_found_error"),
    (CallerError, "invalid_request_error"),
    (AccessDenied, "permission_error"),
    (BudgetExceeded, "billing_error"),
    (RateLimited, "rate_limit_error"),
    (UpstreamThrottled, "rate_limit_error"),
    (UpstreamRejected, "invalid_request_error"),
)
"""The first class that an error belongs to gives its type; the narrow ones stand first."""
_TYPES_BY_STATUS: Final = {503: "overloaded_error", 504: "timeout_error"}


def write_answer(answer: ChatAnswer, head: AnswerHead) -> bytes:
    """A `message` object."""
    return msgspec.json.encode(
        {
            **build_head(head),
            "content": _build_blocks(answer.parts),
            "stop_reason": find_word(answer.finish),
            "stop_sequence": answer.finish.stop_sequence,
            "usage": build_usage(answer.usage),
        }
    )


def write_error(error: SekishoError) -> bytes:
    """An error as the body of a response, and as the data of the event that ends a broken stream."""
    return msgspec.json.encode({"type": "error", "error": {"type": _find_type(error), "message": error.message}})


def write_count(tokens: int) -> bytes:
    """The answer to a question for the number of input tokens."""
    return msgspec.json.encode({"input_tokens": tokens})


def build_head(head: AnswerHead) -> dict[str, object]:
    """What an answer begins with, whole or streamed."""
    return {"id": f"msg_{head.call_id}", "type": "message", "role": "assistant", "model": head.model}


def _find_type(error: SekishoError) -> str:
    for kind, word in _ERROR_TYPES:
        if isinstance(error, kind):
            return word
    return _TYPES_BY_STATUS.get(error.status, "api_error")


def _build_blocks(parts: Sequence[Text | Thinking | RedactedThinking | ToolCall]) -> list[dict[str, object]]:
    return [_build_block(part) for part in parts]


def _build_block(part: Text | Thinking | RedactedThinking | ToolCall) -> dict[str, object]:
    match part:
        case Text():
            block: dict[str, object] = {"type": "text", "text": part.text}
            citations = [told for citation in part.citations if (told := build_citation(citation)) is not None]
            return {**block, "citations": citations} if citations else block
        case Thinking():
            return {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}
        case RedactedThinking():
            return {"type": "redacted_thinking", "data": part.data}
        case ToolCall():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": read_arguments(part.arguments)}
