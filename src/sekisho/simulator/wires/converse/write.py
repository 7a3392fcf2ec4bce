"""Answers of Converse and ConverseStream."""

from collections.abc import Iterator
from typing import Any

import msgspec

from sekisho.core.usage import Usage
from sekisho.simulator.prompt import (
    Answer,
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

_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def write_usage(usage: Usage) -> dict[str, Any]:
    """Usage as Converse tells it: `inputTokens` leaves out what the cache read and wrote, `totalTokens` does not."""
    document: dict[str, Any] = {
        "inputTokens": usage.input,
        "outputTokens": usage.output,
        "totalTokens": usage.total,
        "cacheReadInputTokens": usage.cache_read,
        "cacheWriteInputTokens": usage.cache_write,
    }
    details = [("5m", usage.cache_write_5m), ("1h", usage.cache_write_1h)]
    if usage.cache_write:
        document["cacheDetails"] = [{"ttl": ttl, "inputTokens": tokens} for ttl, tokens in details if tokens]
    return document


def write_converse(said: Said) -> dict[str, Any]:
    """A whole answer."""
    body, answer = said.prompt.raw, said.answer
    return {
        "metrics": {"latencyMs": said.latency_ms},
        "output": {"message": {"role": "assistant", "content": [_write_block(block) for block in answer.blocks]}},
        "stopReason": answer.stop_reason,
        "usage": write_usage(said.usage),
        **_echo(body),
        **_asked_fields(body, answer),
    }


def _echo(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("performanceConfig", "serviceTier") if body.get(name)}


def _asked_fields(body: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """What was asked for by JSON pointer; of what models have to tell, the scripted one knows the stop sequence."""
    if "/stop_sequence" not in (body.get("additionalModelResponseFieldPaths") or ()):
        return {}
    return {"additionalModelResponseFields": {"stop_sequence": answer.stop_sequence}}


def _write_block(block: Block) -> dict[str, Any]:
    if isinstance(block, TextBlock):
        if not block.sources:
            return {"text": block.text}
        citations = [_write_citation(source) for source in block.sources]
        return {"citationsContent": {"content": [{"text": block.text}], "citations": citations}}
    if isinstance(block, RedactedBlock):
        return {"reasoningContent": {"redactedContent": block.data}}
    if isinstance(block, ThinkingBlock):
        signature = {} if block.signature is None else {"signature": block.signature}
        return {"reasoningContent": {"reasoningText": {"text": block.text, **signature}}}
    return {"toolUse": {"toolUseId": block.id, "name": block.name, "input": parse_cut_json(block.raw)}}


def _write_citation(source: Source) -> dict[str, Any]:
    place = {"documentIndex": source.document, "start": 0, "end": len(source.words)}
    return {"title": source.title, "sourceContent": [{"text": source.words}], "location": {"documentChar": place}}


def stream_converse(said: Said) -> Iterator[StreamEvent]:
    """The events of a streamed answer, in their order; only a tool's block has a start."""
    body, answer = said.prompt.raw, said.answer
    produced = 0
    yield _event("messageStart", {"role": "assistant"}, produced)
    for index, block in enumerate(answer.blocks):
        if isinstance(block, ToolBlock):
            start = {"toolUse": {"toolUseId": block.id, "name": block.name}}
            produced += len(block.name.encode())
            yield _event("contentBlockStart", {"contentBlockIndex": index, "start": start}, produced)
        for delta, size in _deltas(block):
            produced += size
            yield _event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta}, produced)
        yield _event("contentBlockStop", {"contentBlockIndex": index}, produced)
    yield _event("messageStop", {"stopReason": answer.stop_reason, **_asked_fields(body, answer)}, produced)
    metadata = {"metrics": {"latencyMs": said.latency_ms}, "usage": write_usage(said.usage), **_echo(body)}
    yield _event("metadata", metadata, produced)


def _deltas(block: Block) -> Iterator[tuple[dict[str, Any], int]]:
    if isinstance(block, TextBlock):
        for piece in pieces_of(block.text, TEXT_PIECE):
            yield {"text": piece}, len(piece.encode())
        for source in block.sources:
            yield {"citation": _write_citation(source)}, 0
    elif isinstance(block, RedactedBlock):
        yield {"reasoningContent": {"redactedContent": block.data}}, len(block.data)
    elif isinstance(block, ThinkingBlock):
        for piece in pieces_of(block.text, TEXT_PIECE):
            yield {"reasoningContent": {"text": piece}}, len(piece.encode())
        if block.signature is not None:
            yield {"reasoningContent": {"signature": block.signature}}, 0
    else:
        for piece in pieces_of(block.raw, INPUT_PIECE):
            yield {"toolUse": {"input": piece}}, len(piece.encode())


def _event(kind: str, payload: dict[str, Any], produced: int) -> StreamEvent:
    size = len(msgspec.json.encode(payload))
    # Bedrock pads its events against guessing their content by length; readers must ignore the field.
    return StreamEvent(kind, {**payload, "p": _PADDING[: 1 + size * 7 % len(_PADDING)]}, produced)
