"""Bedrock's Converse, as the service model in botocore describes it."""

import json
from typing import Any
from urllib.parse import quote

from tests.matrix.conversation import Answered, Call, Conversation, Outcome, Returned, Said, Sent, expect
from tests.matrix.envelopes import read_frames

_FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}
_CACHE_POINT = {"cachePoint": {"type": "default"}}


def quote_model(model: str) -> str:
    """A model's id in a path, as botocore writes it."""
    return quote(model, safe="")


def build(conversation: Conversation, model: str, *, stream: bool) -> Sent:
    body: dict[str, Any] = {
        "messages": [_write_turn(turn) for turn in conversation.turns],
        "inferenceConfig": {"maxTokens": conversation.max_tokens},
    }
    if conversation.system is not None:
        body["system"] = [{"text": conversation.system}] + ([_CACHE_POINT] if conversation.system_cached else [])
    if conversation.tools:
        specs = [
            {"name": tool.name, "description": "Reads", "inputSchema": {"json": tool.schema}}
            for tool in conversation.tools
        ]
        body["toolConfig"] = {"tools": [{"toolSpec": spec} for spec in specs]}
    if conversation.must_call:
        body["toolConfig"]["toolChoice"] = {"any": {}}
    if conversation.thinks:
        thinking = {"type": "enabled", "budget_tokens": 2048}
        body["additionalModelRequestFields"] = {"thinking": thinking}
    if conversation.stop:
        body["inferenceConfig"]["stopSequences"] = list(conversation.stop)
    if conversation.schema is not None:
        schema = {"name": "weather", "schema": json.dumps(conversation.schema)}
        body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
    return Sent(f"/model/{quote_model(model)}/{'converse-stream' if stream else 'converse'}", {}, body)


def _write_turn(turn: Said | Answered | Returned) -> dict[str, Any]:
    match turn:
        case Answered(native):
            return native[0]
        case Returned(results):
            blocks = [
                {"toolResult": {"toolUseId": call_id, "content": [{"text": text}] if text else []}}
                for call_id, text in results
            ]
            return {"role": "user", "content": blocks}
        case Said(text, image, document, cached):
            parts: list[dict[str, Any]] = [{"text": text}] + ([_CACHE_POINT] if cached else [])
            if document is not None:
                source = {"bytes": document}
                parts.insert(0, {"document": {"format": "pdf", "name": "notes", "source": source}})
            if image is not None:
                parts.insert(0, {"image": {"format": "png", "source": {"bytes": image}}})
            return {"role": "user", "content": parts}


def read_error(document: dict[str, Any]) -> str:
    """The message of an error body, which names its exception for the SDKs."""
    expect(document["__type"].endswith("Exception"), f"an error is of the type {document['__type']}")
    message: str = document["message"]
    return message


def read_answer(status: int, body: bytes) -> Outcome:
    document = json.loads(body)
    if status != 200:
        return Outcome(status, error=read_error(document))
    expect(document["metrics"]["latencyMs"] >= 0, "there are no metrics")
    return _read_message(document["output"]["message"], document["stopReason"], document["usage"])


def _read_message(message: dict[str, Any], stop: str, usage: dict[str, Any]) -> Outcome:
    expect(message["role"] == "assistant", "it is no message of the assistant")
    outcome = Outcome(200, finish=_FINISHES[stop], whole=True)
    for block in message["content"]:
        ((kind, content),) = block.items()
        if kind == "text":
            outcome.text += content
        elif kind == "toolUse":
            outcome.calls.append(Call(content["toolUseId"], content["name"], content["input"]))
        else:
            expect(kind == "reasoningContent", f"a block is a {kind}")
            outcome.thinking += content.get("reasoningText", {}).get("text", "")
    cached = usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
    outcome.input_tokens, outcome.output_tokens = usage["inputTokens"] + cached, usage["outputTokens"]
    expect(usage["totalTokens"] == outcome.input_tokens + outcome.output_tokens, "the total is not the sum")
    outcome.native = [message]
    return outcome


def read_stream(body: bytes) -> Outcome:
    frames = read_frames(body)
    blocks: dict[int, dict[str, Any]] = {}
    role = stop = usage = error = None
    for kind, payload in frames:
        expect(error is None and usage is None, f"a {kind} comes after the end")
        if kind == "messageStart":
            role = payload["role"]
        elif kind == "contentBlockStart":
            _start_block(blocks, payload)
        elif kind == "contentBlockDelta":
            expect(role == "assistant" and stop is None, "a delta is outside the message")
            _add_delta(blocks.setdefault(payload["contentBlockIndex"], {}), payload["delta"])
        elif kind == "contentBlockStop":
            _close_block(blocks[payload["contentBlockIndex"]])
        elif kind == "messageStop":
            stop = payload["stopReason"]
        elif kind == "metadata":
            usage = payload["usage"]
        else:
            expect(kind.endswith("Exception"), f"a frame is of the unknown type {kind}")
            error = payload["message"]
    if error is not None or usage is None or stop is None:
        return Outcome(200, text="".join(block.get("text", "") for block in blocks.values()), error=error)
    return _read_message({"role": role, "content": [blocks[index] for index in sorted(blocks)]}, stop, usage)


def _start_block(blocks: dict[int, dict[str, Any]], payload: dict[str, Any]) -> None:
    expect(payload["contentBlockIndex"] not in blocks, "a block starts twice")
    blocks[payload["contentBlockIndex"]] = {"toolUse": {**payload["start"]["toolUse"], "input": ""}}


def _add_delta(block: dict[str, Any], delta: dict[str, Any]) -> None:
    ((kind, content),) = delta.items()
    if kind == "text":
        block["text"] = block.get("text", "") + content
    elif kind == "toolUse":
        block["toolUse"]["input"] += content["input"]
    else:
        expect(kind == "reasoningContent", f"a delta is a {kind}")
        reasoning = block.setdefault("reasoningContent", {})
        if "redactedContent" in content:
            reasoning["redactedContent"] = content["redactedContent"]
            return
        shown = reasoning.setdefault("reasoningText", {"text": ""})
        shown["text"] += content.get("text", "")
        if "signature" in content:
            shown["signature"] = content["signature"]


def _close_block(block: dict[str, Any]) -> None:
    if "toolUse" in block:
        block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
