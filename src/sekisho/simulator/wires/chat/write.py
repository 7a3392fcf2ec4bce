"""Answers of chat completions."""

from collections.abc import Iterator
from typing import Any

from sekisho.simulator.prompt import Answer, TextBlock, ThinkingBlock, ToolBlock, pieces_of
from sekisho.simulator.wires.base import INPUT_PIECE, TEXT_PIECE, Said, StreamEvent
from sekisho.simulator.wires.openai.models import is_own
from sekisho.simulator.wires.openai.usage import chat_usage

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "refusal": "content_filter",
}
DONE = "[DONE]"

Delta = tuple[dict[str, Any], int]
"""What is new in a choice, and how many bytes of the model's output that is."""


def finish_reason(answer: Answer) -> str:
    """OpenAI's word for why the model stopped."""
    return _FINISH.get(answer.stop_reason, "stop")


def write_chat(said: Said) -> dict[str, Any]:
    """A whole answer."""
    blocks = said.answer.blocks
    text = "".join(block.text for block in blocks if isinstance(block, TextBlock))
    message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None, "annotations": []}
    if shown := _shown_reasoning(said):
        message["reasoning_content"] = shown
    calls = [block for block in blocks if isinstance(block, ToolBlock)]
    if calls:
        message["tool_calls"] = [_write_call(said, call, call.raw) for call in calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(said.answer)}
    return {**_head(said, "chat.completion"), "choices": [choice], "usage": chat_usage(said.usage)}


def stream_chat(said: Said) -> Iterator[StreamEvent]:
    """The chunks of a streamed answer; the last one has the usage, if it was asked for."""
    wants_usage = bool((said.prompt.raw.get("stream_options") or {}).get("include_usage"))
    head = _head(said, "chat.completion.chunk") | ({"usage": None} if wants_usage else {})
    produced = 0
    for delta, size in _deltas(said):
        produced += size
        yield _chunk(head, delta, None, produced)
    yield _chunk(head, {}, finish_reason(said.answer), produced)
    if wants_usage:
        yield StreamEvent("chunk", {**head, "choices": [], "usage": chat_usage(said.usage)}, produced)
    yield StreamEvent("done", DONE, produced)


def _head(said: Said, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{said.id}",
        "object": kind,
        "created": said.created,
        "model": said.prompt.model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }


def _chunk(head: dict[str, Any], delta: dict[str, Any], finish: str | None, produced: int) -> StreamEvent:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return StreamEvent("chunk", {**head, "choices": [choice]}, produced)


def _shown_reasoning(said: Said) -> str:
    """The reasoning, which OpenAI's own models keep to themselves."""
    if is_own(said.prompt.model):
        return ""
    return "".join(block.text for block in said.answer.blocks if isinstance(block, ThinkingBlock))


def _write_call(said: Said, call: ToolBlock, raw: str) -> dict[str, Any]:
    if call.name in said.prompt.free_tools:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": raw}}
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": raw}}


def _deltas(said: Said) -> Iterator[Delta]:
    texts = [block.text for block in said.answer.blocks if isinstance(block, TextBlock)]
    yield {"role": "assistant", "content": "" if texts else None, "refusal": None}, 0
    for piece in pieces_of(_shown_reasoning(said), TEXT_PIECE):
        yield {"reasoning_content": piece}, len(piece.encode())
    for piece in pieces_of("".join(texts), TEXT_PIECE):
        yield {"content": piece}, len(piece.encode())
    calls = [block for block in said.answer.blocks if isinstance(block, ToolBlock)]
    for index, call in enumerate(calls):
        yield {"tool_calls": [{"index": index, **_write_call(said, call, "")}]}, len(call.name.encode())
        free = call.name in said.prompt.free_tools
        for piece in pieces_of(call.raw, INPUT_PIECE):
            part = {"custom": {"input": piece}} if free else {"function": {"arguments": piece}}
            yield {"tool_calls": [{"index": index, **part}]}, len(piece.encode())
