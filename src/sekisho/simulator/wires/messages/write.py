"""Answers in Claude's Messages format."""

from collections.abc import Iterator
from typing import Any

import msgspec

from sekisho.core.usage import Usage
from sekisho.simulator.prompt import (
    Block,
    RedactedBlock,
    Source,
    TextBlock,
    ThinkingBlock,
    ToolBlock,
    parse_cut_json,
    pieces_of,
)
from sekisho.simulator.wires.base import INPUT_PIECE, TEXT_PIECE, Said, StreamEvent


def write_usage(usage: Usage) -> dict[str, Any]:
    """Usage as Claude tells it."""
    return {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        **_write_output(usage),
    }


def _write_output(usage: Usage) -> dict[str, Any]:
    details = {"output_tokens_details": {"thinking_tokens": usage.reasoning}} if usage.reasoning else {}
    return {"output_tokens": usage.output, **details}


def write_message(said: Said, prefix: str) -> dict[str, Any]:
    """A whole answer; `prefix` begins its id."""
    answer = said.answer
    content = [_write_block(block) for block in answer.blocks]
    stop = {"stop_reason": answer.stop_reason, "stop_sequence": answer.stop_sequence}
    return {**_write_head(said, prefix), "content": content, **stop, "usage": write_usage(said.usage)}


def _write_head(said: Said, prefix: str) -> dict[str, Any]:
    name = said.prompt.model.rpartition("anthropic.")[2]
    return {"id": f"{prefix}{said.id}", "type": "message", "role": "assistant", "model": name}


def _write_block(block: Block) -> dict[str, Any]:
    if isinstance(block, TextBlock):
        cited = {"citations": [_write_citation(source) for source in block.sources]} if block.sources else {}
        return {"type": "text", "text": block.text, **cited}
    if isinstance(block, RedactedBlock):
        return {"type": "redacted_thinking", "data": block.data}
    if isinstance(block, ThinkingBlock):
        return {"type": "thinking", "thinking": block.text, "signature": block.signature or ""}
    return {"type": "tool_use", "id": block.id, "name": block.name, "input": parse_cut_json(block.raw)}


def stream_message(said: Said, prefix: str) -> Iterator[StreamEvent]:
    """The events of a streamed answer."""
    answer, produced = said.answer, 0
    opening = write_usage(msgspec.structs.replace(said.usage, output=1, reasoning=0))
    head = {**_write_head(said, prefix), "content": [], "stop_reason": None, "stop_sequence": None}
    yield _event("message_start", produced, message={**head, "usage": opening})
    for index, block in enumerate(answer.blocks):
        yield _event("content_block_start", produced, index=index, content_block=_write_empty(block))
        for delta, size in _deltas(block):
            produced += size
            yield _event("content_block_delta", produced, index=index, delta=delta)
        yield _event("content_block_stop", produced, index=index)
    stop = {"stop_reason": answer.stop_reason, "stop_sequence": answer.stop_sequence}
    yield _event("message_delta", produced, delta=stop, usage=_write_output(said.usage))
    yield _event("message_stop", produced)


def _event(kind: str, produced: int, **fields: Any) -> StreamEvent:
    return StreamEvent(kind, {"type": kind, **fields}, produced)


def _write_citation(source: Source) -> dict[str, Any]:
    return {
        "type": "char_location",
        "cited_text": source.words,
        "document_index": source.document,
        "document_title": source.title or None,
        "start_char_index": 0,
        "end_char_index": len(source.words),
    }


def _write_empty(block: Block) -> dict[str, Any]:
    if isinstance(block, TextBlock):
        return {"type": "text", "text": ""}
    if isinstance(block, ThinkingBlock):
        return {"type": "thinking", "thinking": "", "signature": ""}
    if isinstance(block, RedactedBlock):
        return {"type": "redacted_thinking", "data": block.data}
    return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}


def _deltas(block: Block) -> Iterator[tuple[dict[str, Any], int]]:
    if isinstance(block, TextBlock):
        for piece in pieces_of(block.text, TEXT_PIECE):
            yield {"type": "text_delta", "text": piece}, len(piece.encode())
        for source in block.sources:
            yield {"type": "citations_delta", "citation": _write_citation(source)}, 0
    elif isinstance(block, ThinkingBlock):
        for piece in pieces_of(block.text, TEXT_PIECE):
            yield {"type": "thinking_delta", "thinking": piece}, len(piece.encode())
        if block.signature is not None:
            yield {"type": "signature_delta", "signature": block.signature}, 0
    elif isinstance(block, ToolBlock):
        yield {"type": "input_json_delta", "partial_json": ""}, len(block.name.encode())
        for piece in pieces_of(block.raw, INPUT_PIECE):
            yield {"type": "input_json_delta", "partial_json": piece}, len(piece.encode())
