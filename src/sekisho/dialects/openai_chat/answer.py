"""Writes whole answers as OpenAI's Chat Completions has them.

Beyond OpenAI's own fields an answer has LiteLLM's `reasoning_content` and `thinking_blocks`, whose signatures a client
must send back in a tool turn, and in `usage` the cache counts under both their names and the `cost` in dollars.
Citations of pages of the web become annotations; there is no form for those of documents, which are left out.
"""

from collections.abc import Sequence

import msgspec

from sekisho.core.chat import Citation, RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.events import ChatAnswer
from sekisho.core.wire import AnswerHead
from sekisho.dialects.common.openai import build_usage

_encode = msgspec.json.Encoder().encode
_AnswerPart = Text | Thinking | RedactedThinking | ToolCall


def write_answer(answer: ChatAnswer, head: AnswerHead, cost: int | None) -> bytes:
    """A `chat.completion` object; `cost` in nano-dollars, None when the model is unpriced."""
    choice = {
        "index": 0,
        "message": _build_message(answer.parts),
        "finish_reason": answer.finish.reason,
        "logprobs": None,
    }
    whole = build_head(head, "chat.completion")
    whole["choices"] = [choice]
    whole["usage"] = build_usage(answer.usage, cost)
    return _encode(whole)


def build_head(head: AnswerHead, kind: str) -> dict[str, object]:
    """What an answer and every chunk of a stream begin with."""
    return {"id": f"chatcmpl-{head.call_id}", "object": kind, "created": head.created, "model": head.model}


def build_annotation(citation: Citation, start: int, end: int) -> dict[str, object]:
    """One entry of `annotations`, for the characters from `start` to `end` of the message's text."""
    place = {"start_index": start, "end_index": end, "title": citation.title or citation.url, "url": citation.url}
    return {"type": "url_citation", "url_citation": place}


def build_thinking_block(part: Thinking | RedactedThinking) -> dict[str, object]:
    """One entry of `thinking_blocks`."""
    if isinstance(part, RedactedThinking):
        return {"type": "redacted_thinking", "data": part.data}
    block: dict[str, object] = {"type": "thinking", "thinking": part.text}
    if part.signature is not None:
        block["signature"] = part.signature
    return block


def _build_message(parts: Sequence[_AnswerPart]) -> dict[str, object]:
    texts, calls, thinking = [], [], []
    for part in parts:
        if type(part) is Text:
            texts.append(part.text)
        elif type(part) is ToolCall:
            calls.append(part)
        else:
            thinking.append(part)
    message: dict[str, object] = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    if thinking:
        message |= _build_thinking(thinking)
    if annotations := _build_annotations(parts):
        message["annotations"] = annotations
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    return message


def _build_thinking(thinking: Sequence[Thinking | RedactedThinking]) -> dict[str, object]:
    told: dict[str, object] = {}
    shown = "".join(part.text for part in thinking if isinstance(part, Thinking))
    if shown:
        told["reasoning_content"] = shown
    # Without anything to be sent back verbatim the blocks would only repeat `reasoning_content`.
    if any(isinstance(part, RedactedThinking) or part.signature is not None for part in thinking):
        told["thinking_blocks"] = [build_thinking_block(part) for part in thinking]
    return told


def _build_annotations(parts: Sequence[_AnswerPart]) -> list[dict[str, object]]:
    annotations: list[dict[str, object]] = []
    start = 0
    for part in parts:
        if type(part) is Text:
            end = start + len(part.text)
            if part.citations:
                annotations += [
                    build_annotation(cited, start, end) for cited in part.citations if cited.url is not None
                ]
            start = end
    return annotations
