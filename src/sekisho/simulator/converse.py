"""Converse and ConverseStream: the request read, the answer written."""

from collections.abc import Iterator
from typing import Any

import msgspec

from sekisho.core.usage import Usage
from sekisho.simulator.errors import invalid
from sekisho.simulator.prompt import (
    Answer,
    Block,
    Prompt,
    StreamEvent,
    TextBlock,
    ThinkingBlock,
    pieces_of,
    read_thinking,
)

_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_TEXT_PIECE = 12
_INPUT_PIECE = 20


def read_converse(model: str, body: dict[str, Any]) -> Prompt:
    """A prompt from a body that satisfies the service model. Raises AwsError."""
    inference = body.get("inferenceConfig") or {}
    tool_config = body.get("toolConfig") or {}
    fields = body.get("additionalModelRequestFields") or {}
    if not isinstance(fields, dict):
        raise invalid("The additionalModelRequestFields field must be a JSON object.")
    choice = next(iter((tool_config.get("toolChoice") or {"auto": {}}).items()))
    return Prompt(
        model=model,
        surface="converse",
        system=body.get("system") or [],
        messages=body.get("messages") or [],
        tools=tool_config.get("tools") or [],
        has_tools="toolConfig" in body,
        choice=choice[0],
        choice_name=choice[1].get("name"),
        max_tokens=inference.get("maxTokens"),
        temperature=inference.get("temperature", fields.get("temperature")),
        top_p=inference.get("topP", fields.get("top_p")),
        stop=inference.get("stopSequences") or [],
        thinking=read_thinking(fields),
        schema=_read_schema(body),
        extra=fields,
    )


def _read_schema(body: dict[str, Any]) -> dict[str, Any] | None:
    text_format = (body.get("outputConfig") or {}).get("textFormat")
    if not text_format:
        return None
    try:
        schema = msgspec.json.decode(text_format["structure"]["jsonSchema"]["schema"])
    except msgspec.DecodeError as error:
        raise invalid(f"The schema field in outputConfig.textFormat is not valid JSON: {error}") from None
    if not isinstance(schema, dict):
        raise invalid("The schema field in outputConfig.textFormat must hold a JSON object.")
    return schema


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


def write_converse(body: dict[str, Any], answer: Answer, usage: Usage, latency_ms: int) -> bytes:
    """A whole answer to the request `body`."""
    document = {
        "metrics": {"latencyMs": latency_ms},
        "output": {"message": {"role": "assistant", "content": [_write_block(block) for block in answer.blocks]}},
        "stopReason": answer.stop_reason,
        "usage": write_usage(usage),
        **_echo(body),
        **_asked_fields(body, answer),
    }
    return msgspec.json.encode(document)


def _echo(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("performanceConfig", "serviceTier") if body.get(name)}


def _asked_fields(body: dict[str, Any], answer: Answer) -> dict[str, Any]:
    """What was asked for by JSON pointer; of what models have to tell, the scripted one knows the stop sequence."""
    if "/stop_sequence" not in (body.get("additionalModelResponseFieldPaths") or ()):
        return {}
    return {"additionalModelResponseFields": {"stop_sequence": answer.stop_sequence}}


def _write_block(block: Block) -> dict[str, Any]:
    if isinstance(block, TextBlock):
        return {"text": block.text}
    if isinstance(block, ThinkingBlock):
        signature = {} if block.signature is None else {"signature": block.signature}
        return {"reasoningContent": {"reasoningText": {"text": block.text, **signature}}}
    return {"toolUse": {"toolUseId": block.id, "name": block.name, "input": parse_cut_json(block.raw)}}


def parse_cut_json(raw: str) -> Any:
    """The input of a tool call; an empty object when the call was cut short by the token limit."""
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return {}


def stream_converse(body: dict[str, Any], answer: Answer, usage: Usage, latency_ms: int) -> Iterator[StreamEvent]:
    """The events of a streamed answer, in their order; only a tool's block has a start."""
    produced = 0
    yield _event("messageStart", {"role": "assistant"}, produced)
    for index, block in enumerate(answer.blocks):
        if not isinstance(block, TextBlock | ThinkingBlock):
            start = {"toolUse": {"toolUseId": block.id, "name": block.name}}
            produced += len(block.name.encode())
            yield _event("contentBlockStart", {"contentBlockIndex": index, "start": start}, produced)
        for delta, size in _deltas(block):
            produced += size
            yield _event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta}, produced)
        yield _event("contentBlockStop", {"contentBlockIndex": index}, produced)
    yield _event("messageStop", {"stopReason": answer.stop_reason, **_asked_fields(body, answer)}, produced)
    metadata = {"metrics": {"latencyMs": latency_ms}, "usage": write_usage(usage), **_echo(body)}
    yield _event("metadata", metadata, produced)


def _deltas(block: Block) -> Iterator[tuple[dict[str, Any], int]]:
    if isinstance(block, TextBlock):
        for piece in pieces_of(block.text, _TEXT_PIECE):
            yield {"text": piece}, len(piece.encode())
    elif isinstance(block, ThinkingBlock):
        for piece in pieces_of(block.text, _TEXT_PIECE):
            yield {"reasoningContent": {"text": piece}}, len(piece.encode())
        if block.signature is not None:
            yield {"reasoningContent": {"signature": block.signature}}, 0
    else:
        for piece in pieces_of(block.raw, _INPUT_PIECE):
            yield {"toolUse": {"input": piece}}, len(piece.encode())


def _event(kind: str, payload: dict[str, Any], produced: int) -> StreamEvent:
    data = msgspec.json.encode(payload)
    # Bedrock pads its events against guessing their content by length; readers must ignore the field.
    padded = {**payload, "p": _PADDING[: 1 + len(data) * 7 % len(_PADDING)]}
    return StreamEvent(kind, msgspec.json.encode(padded), produced)
