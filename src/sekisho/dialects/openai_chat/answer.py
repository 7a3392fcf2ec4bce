"""Writes whole answers, usage and errors as OpenAI's Chat Completions has them.

Beyond OpenAI's own fields an answer has LiteLLM's `reasoning_content` and `thinking_blocks`, whose signatures a client
must send back in a tool turn, and in `usage` the cache counts under both their names and the `cost` in dollars.
"""

from collections.abc import Sequence

import msgspec

from sekisho.core.chat import RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.errors import SekishoError
from sekisho.core.events import ChatAnswer
from sekisho.core.money import dollars_from_nano
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead

_AnswerPart = Text | Thinking | RedactedThinking | ToolCall


def write_answer(answer: ChatAnswer, head: AnswerHead, cost: int | None) -> bytes:
    """A `chat.completion` object; `cost` in nano-dollars, None when the model is unpriced."""
    choice = {
        "index": 0,
        "message": _build_message(answer.parts),
        "finish_reason": answer.finish.reason,
        "logprobs": None,
    }
    return msgspec.json.encode(
        {
            **build_head(head, "chat.completion"),
            "choices": [choice],
            "usage": build_usage(answer.usage, cost),
        }
    )


def write_error(error: SekishoError) -> bytes:
    """The JSON body of an error response."""
    return msgspec.json.encode({"error": build_error(error)})


def build_head(head: AnswerHead, kind: str) -> dict[str, object]:
    """What an answer and every chunk of a stream begin with."""
    return {"id": f"chatcmpl-{head.call_id}", "object": kind, "created": head.created, "model": head.model}


def build_error(error: SekishoError) -> dict[str, object]:
    """The error object, the same in responses and in streams. Its `code` is always a string."""
    return {
        "message": error.message,
        "type": error.kind,
        "param": error.param,
        "code": error.code or str(error.status),
    }


def build_usage(usage: Usage, cost: int | None) -> dict[str, object]:
    """The usage object. `prompt_tokens` contains the cached tokens; `cost` is absent when there is no price."""
    fields: dict[str, object] = {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation_input_tokens": usage.cache_write,
    }
    if cost is not None:
        fields["cost"] = dollars_from_nano(cost)
    return fields


def build_thinking_block(part: Thinking | RedactedThinking) -> dict[str, object]:
    """One entry of `thinking_blocks`."""
    if isinstance(part, RedactedThinking):
        return {"type": "redacted_thinking", "data": part.data}
    block: dict[str, object] = {"type": "thinking", "thinking": part.text}
    if part.signature is not None:
        block["signature"] = part.signature
    return block


def _build_message(parts: Sequence[_AnswerPart]) -> dict[str, object]:
    texts = [part.text for part in parts if isinstance(part, Text)]
    calls = [part for part in parts if isinstance(part, ToolCall)]
    message: dict[str, object] = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    thinking = [part for part in parts if isinstance(part, Thinking | RedactedThinking)]
    shown = "".join(part.text for part in thinking if isinstance(part, Thinking))
    if shown:
        message["reasoning_content"] = shown
    # Without anything to be sent back verbatim the blocks would only repeat `reasoning_content`.
    if any(isinstance(part, RedactedThinking) or part.signature is not None for part in thinking):
        message["thinking_blocks"] = [build_thinking_block(part) for part in thinking]
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    return message
