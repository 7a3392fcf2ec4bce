"""InvokeModel and its stream with Claude's Messages body: the request brought into Converse's form, the answer written.

Rules of the body: https://docs.claude.com/en/api/messages, and for Bedrock the required `anthropic_version`.
"""

import base64
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct

from sekisho.core.usage import Usage
from sekisho.simulator.converse import parse_cut_json
from sekisho.simulator.errors import AwsError, invalid, invalid_for_model
from sekisho.simulator.prompt import (
    Answer,
    Block,
    Prompt,
    StreamEvent,
    TextBlock,
    ThinkingBlock,
    claude_version,
    pieces_of,
    read_thinking,
)

_VERSIONS = ("bedrock-2023-05-31", "2026-10-21")
_NEWEST_VERSION_SINCE = (4, 7)
_TEXT_PIECE = 12
_INPUT_PIECE = 20
# What a tool's result may hold and Converse has no block for; the scripted model does not look inside.
_OPAQUE = ("search_result", "tool_reference", "web_search_tool_result", "server_tool_use")


class _Choice(Struct, frozen=True):
    type: Literal["auto", "any", "tool", "none"] = "auto"
    name: str | None = None


class _Message(Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[dict[str, Any]]


class _Tool(Struct):
    name: str
    input_schema: dict[str, Any] = {}
    description: str | None = None
    cache_control: dict[str, Any] | None = None


class _Body(Struct, kw_only=True):
    """The fields that matter to the scripted model; others are let pass, as the list of betas grows by the month."""

    anthropic_version: str
    max_tokens: int
    messages: list[_Message]
    system: str | list[dict[str, Any]] = []
    tools: list[_Tool] | None = None
    tool_choice: _Choice = _Choice()
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] = []
    output_config: dict[str, Any] = {}
    output_format: dict[str, Any] | None = None


def read_messages(model: str, raw: bytes) -> Prompt:
    """A prompt from a Messages body. Raises AwsError."""
    if claude_version(model) is None:
        raise AwsError("ValidationException", "The simulator speaks InvokeModel with Claude only; use Converse.")
    try:
        fields = msgspec.json.decode(raw, type=dict[str, Any])
        body = msgspec.convert(fields, _Body)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise invalid(f"Malformed input request: {error}, please reformat your input and try again.") from None
    _check_head(model, body, fields)
    output_format = body.output_format or body.output_config.get("format") or {}
    return Prompt(
        model=model,
        surface="messages",
        system=_read_content(body.system, "system"),
        messages=_merge_turns(body.messages),
        tools=[block for tool in body.tools or () for block in _read_tool(tool)],
        has_tools=body.tools is not None,
        choice=body.tool_choice.type,
        choice_name=body.tool_choice.name,
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        stop=body.stop_sequences,
        thinking=read_thinking(fields),
        schema=output_format.get("schema"),
        extra=fields,
    )


def _check_head(model: str, body: _Body, fields: dict[str, Any]) -> None:
    if body.anthropic_version not in _VERSIONS:
        raise invalid(f"anthropic_version: Input should be one of {_VERSIONS}")
    if body.anthropic_version == _VERSIONS[1] and (claude_version(model) or (0, 0)) < _NEWEST_VERSION_SINCE:
        raise invalid(f'anthropic_version: "{body.anthropic_version}" is not supported by this model')
    for name in ("model", "stream"):
        if name in fields:
            raise invalid_for_model(f"{name}: Extra inputs are not permitted")
    if body.max_tokens < 1:
        raise invalid_for_model("max_tokens: Input should be greater than or equal to 1")
    if not body.messages:
        raise invalid_for_model("messages: at least one message is required")


def _merge_turns(messages: list[_Message]) -> list[dict[str, Any]]:
    """Turns in Converse's form; Claude takes consecutive turns of one role as one."""
    merged: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        content = _read_content(message.content, f"messages.{index}.content")
        if merged and merged[-1]["role"] == message.role:
            merged[-1]["content"].extend(content)
        else:
            merged.append({"role": message.role, "content": content})
    return merged


def _cache_point(mark: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [{"cachePoint": {"type": "default", "ttl": mark.get("ttl", "5m")}}] if mark else []


def _read_tool(tool: _Tool) -> list[dict[str, Any]]:
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": tool.input_schema}}
    if tool.description:
        spec["description"] = tool.description
    return [{"toolSpec": spec}, *_cache_point(tool.cache_control)]


def _read_content(content: str | list[dict[str, Any]], path: str) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"text": content}] if content else []
    blocks: list[dict[str, Any]] = []
    for index, block in enumerate(content):
        try:
            blocks.append(_read_block(block, f"{path}.{index}"))
        except KeyError as error:
            raise invalid_for_model(f"{path}.{index}.{error.args[0]}: Field required") from None
        blocks.extend(_cache_point(block.get("cache_control")))
    return blocks


def _read_block(block: dict[str, Any], path: str) -> dict[str, Any]:
    kind = block["type"]
    if kind == "text":
        return {"text": block["text"]}
    if kind in ("image", "document"):
        return {kind: {"source": block["source"]}}
    if kind == "thinking":
        return {"reasoningContent": {"reasoningText": {"text": block["thinking"], "signature": block["signature"]}}}
    if kind == "redacted_thinking":
        return {"reasoningContent": {"redactedContent": block["data"]}}
    if kind == "tool_use":
        return {"toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}}
    if kind == "tool_result":
        result = {
            "toolUseId": block["tool_use_id"],
            "content": _read_content(block.get("content") or [], path),
            "status": "error" if block.get("is_error") else "success",
        }
        return {"toolResult": result}
    if kind in _OPAQUE:
        return {"searchResult": block}
    raise invalid_for_model(f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags")


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
        "output_tokens": usage.output,
    }


def write_message(model: str, answer: Answer, usage: Usage, message_id: str) -> bytes:
    """A whole answer."""
    head = _write_head(model, message_id)
    content = [_write_block(block) for block in answer.blocks]
    stop = {"stop_reason": answer.stop_reason, "stop_sequence": answer.stop_sequence}
    return msgspec.json.encode({**head, "content": content, **stop, "usage": write_usage(usage)})


def _write_head(model: str, message_id: str) -> dict[str, Any]:
    name = model.rpartition("anthropic.")[2]
    return {"id": f"msg_bdrk_{message_id}", "type": "message", "role": "assistant", "model": name}


def _write_block(block: Block) -> dict[str, Any]:
    if isinstance(block, TextBlock):
        return {"type": "text", "text": block.text}
    if isinstance(block, ThinkingBlock):
        return {"type": "thinking", "thinking": block.text, "signature": block.signature or ""}
    return {"type": "tool_use", "id": block.id, "name": block.name, "input": parse_cut_json(block.raw)}


def stream_message(model: str, answer: Answer, usage: Usage, message_id: str, latency_ms: int) -> Iterator[StreamEvent]:
    """The `chunk` events of a streamed answer; the last one carries the metrics of the invocation."""
    produced = 0
    opening = {**write_usage(usage), "output_tokens": 1}
    head = {**_write_head(model, message_id), "content": [], "stop_reason": None, "stop_sequence": None}
    yield _chunk({"type": "message_start", "message": {**head, "usage": opening}}, produced)
    for index, block in enumerate(answer.blocks):
        start = {"type": "content_block_start", "index": index, "content_block": _write_empty(block)}
        yield _chunk(start, produced)
        for delta, size in _deltas(block):
            produced += size
            yield _chunk({"type": "content_block_delta", "index": index, "delta": delta}, produced)
        yield _chunk({"type": "content_block_stop", "index": index}, produced)
    stop = {"stop_reason": answer.stop_reason, "stop_sequence": answer.stop_sequence}
    yield _chunk({"type": "message_delta", "delta": stop, "usage": {"output_tokens": usage.output}}, produced)
    metrics = {
        "inputTokenCount": usage.input,
        "outputTokenCount": usage.output,
        "invocationLatency": latency_ms,
        "firstByteLatency": latency_ms,
        "cacheReadInputTokenCount": usage.cache_read,
        "cacheWriteInputTokenCount": usage.cache_write,
    }
    yield _chunk({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics}, produced)


def _write_empty(block: Block) -> dict[str, Any]:
    if isinstance(block, TextBlock):
        return {"type": "text", "text": ""}
    if isinstance(block, ThinkingBlock):
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}


def _deltas(block: Block) -> Iterator[tuple[dict[str, Any], int]]:
    if isinstance(block, TextBlock):
        for piece in pieces_of(block.text, _TEXT_PIECE):
            yield {"type": "text_delta", "text": piece}, len(piece.encode())
    elif isinstance(block, ThinkingBlock):
        for piece in pieces_of(block.text, _TEXT_PIECE):
            yield {"type": "thinking_delta", "thinking": piece}, len(piece.encode())
        if block.signature is not None:
            yield {"type": "signature_delta", "signature": block.signature}, 0
    else:
        yield {"type": "input_json_delta", "partial_json": ""}, len(block.name.encode())
        for piece in pieces_of(block.raw, _INPUT_PIECE):
            yield {"type": "input_json_delta", "partial_json": piece}, len(piece.encode())


def _chunk(event: dict[str, Any], produced: int) -> StreamEvent:
    data = base64.b64encode(msgspec.json.encode(event)).decode()
    return StreamEvent("chunk", msgspec.json.encode({"bytes": data, "p": "abcdefghijklmnop"}), produced)
