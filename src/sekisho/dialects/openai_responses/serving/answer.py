"""Writes whole answers and usage as OpenAI's Responses API has them.

Reasoning goes out in items whose `encrypted_content` is a seal of ours, so that it comes back as it was; its text is
shown as a summary where the client asked for one. Beyond OpenAI's fields `usage` has LiteLLM's `cost` in dollars.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from sekisho.core.chat import Citation, ClientCall, FinishReason, RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.errors import (
    CallerError,
    RateLimited,
    SekishoError,
    UpstreamRejected,
    UpstreamThrottled,
)
from sekisho.core.events import ChatAnswer
from sekisho.core.money import dollars_from_nano
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead
from sekisho.dialects.common.sealed import SealedRedacted, SealedSummary, SealedThinking, seal
from sekisho.dialects.openai_responses.names import COMPACT, Json
from sekisho.dialects.openai_responses.serving.frame import Frame, frame_answer
from sekisho.dialects.openai_responses.serving.unescape import read_free_form

_AnswerPart = Text | Thinking | RedactedThinking | ToolCall
_INCOMPLETE: Final[dict[FinishReason, str]] = {"length": "max_output_tokens", "content_filter": "content_filter"}

_encode = msgspec.json.Encoder().encode


def write_answer(answer: ChatAnswer, head: AnswerHead, call: ClientCall, cost: int | None) -> bytes:
    """A `response` object, or a `response.compaction`; `cost` in nano-dollars, None when unpriced."""
    frame = frame_answer(head, call)
    usage = build_usage(answer.usage, cost)
    if frame.compacting:
        text = "".join(part.text for part in answer.parts if isinstance(part, Text))
        items = [build_compaction(frame, 0, text)]
        if call.path.endswith(COMPACT):
            return _write_compaction(frame, _keep_user_messages(call.members) + items, usage)
    else:
        items = _build_items(frame, answer.parts)
    return _encode(build_response(frame, items, answer.finish.reason, usage))


def build_response(frame: Frame, items: Sequence[Json | Raw], reason: FinishReason, usage: Json) -> Json:
    """The whole answer, complete or cut off."""
    cut = _INCOMPLETE.get(reason)
    return frame.repeated | {
        "status": "completed" if cut is None else "incomplete",
        "incomplete_details": None if cut is None else {"reason": cut},
        "error": None,
        "output": items,
        "usage": usage,
    }


def build_usage(usage: Usage, cost: int | None) -> Json:
    """The usage object. `input_tokens` contains the cached tokens; `cost` is absent when there is no price."""
    fields: Json = {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }
    if cost is not None:
        fields["cost"] = dollars_from_nano(cost)
    return fields


def build_message(frame: Frame, index: int, text: str, annotations: Sequence[Json], status: str = "completed") -> Json:
    """A message of the assistant's."""
    part = {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}
    return {
        "id": frame.item_id("msg", index),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [part],
    }


def build_reasoning(frame: Frame, index: int, part: Thinking | RedactedThinking) -> Json:
    """An item of reasoning that can be sent back."""
    if isinstance(part, RedactedThinking):
        shown, sealed = "", seal(SealedRedacted(part.data))
    else:
        shown, sealed = part.text, seal(SealedThinking(part.text, part.signature))
    return {
        "id": frame.item_id("rs", index),
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": shown}] if shown and frame.shows_reasoning else [],
        "encrypted_content": sealed,
    }


def build_call(frame: Frame, index: int, call: ToolCall, status: str = "completed") -> Json:
    """A call of a function, or of a free-form tool with its text."""
    known = frame.directory.find(call.name)
    item: Json = {
        "type": "custom_tool_call" if known.custom else "function_call",
        "call_id": call.id,
        "name": known.name,
    }
    if known.namespace is not None:
        item["namespace"] = known.namespace
    if known.custom:
        return {"id": frame.item_id("ctc", index), **item, "input": read_free_form(call.arguments)}
    return {"id": frame.item_id("fc", index), **item, "arguments": call.arguments, "status": status}


def build_compaction(frame: Frame, index: int, summary: str) -> Json:
    """The item that stands for a conversation from now on."""
    sealed = seal(SealedSummary(summary))
    return {"id": frame.item_id("cmp", index), "type": "compaction", "encrypted_content": sealed}


def build_annotation(citation: Citation, start: int, end: int) -> Json | None:
    """What a stretch of text rests on, where OpenAI has a form for it; `start` and `end` count characters."""
    if citation.url is not None:
        title = citation.title or citation.url
        return {"type": "url_citation", "start_index": start, "end_index": end, "url": citation.url, "title": title}
    if citation.document is None:
        return None
    name = citation.title or f"document {citation.document}"
    return {"type": "file_citation", "file_id": f"document-{citation.document}", "filename": name, "index": end}


def build_failure(error: SekishoError) -> Json:
    """The error of an answer that failed. Its `code` is one of OpenAI's, for clients go by it."""
    if isinstance(error, RateLimited | UpstreamThrottled):
        code = "rate_limit_exceeded"
    elif isinstance(error, CallerError | UpstreamRejected):
        code = "invalid_prompt"
    else:
        code = "server_error"
    return {"code": code, "message": error.message}


def _build_items(frame: Frame, parts: Sequence[_AnswerPart]) -> list[Json]:
    """The items of an answer; neighbouring texts become one message."""
    items: list[Json] = []
    texts: list[Text] = []
    for part in parts:
        if isinstance(part, Text):
            texts.append(part)
            continue
        if texts:
            items.append(_join_texts(frame, len(items), texts))
            texts = []
        index = len(items)
        items.append(
            build_call(frame, index, part) if isinstance(part, ToolCall) else build_reasoning(frame, index, part)
        )
    if texts:
        items.append(_join_texts(frame, len(items), texts))
    return items


def _join_texts(frame: Frame, index: int, texts: Sequence[Text]) -> Json:
    annotations: list[Json] = []
    end = 0
    for text in texts:
        start, end = end, end + len(text.text)
        built = (build_annotation(citation, start, end) for citation in text.citations)
        annotations += [annotation for annotation in built if annotation is not None]
    return build_message(frame, index, "".join(text.text for text in texts), annotations)


def _write_compaction(frame: Frame, items: Sequence[Json], usage: Json) -> bytes:
    head = {name: frame.repeated[name] for name in ("id", "created_at")}
    return _encode({**head, "object": "response.compaction", "output": items, "usage": usage})


def _keep_user_messages(members: Mapping[str, Raw]) -> list[Json]:
    """The messages of the user, which stay in front of the compaction."""
    items = msgspec.json.decode(members.get("input", Raw(b"null")))
    if isinstance(items, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": items}]}]
    return [{"type": "message", **item} for item in items if item.get("role") == "user"]
