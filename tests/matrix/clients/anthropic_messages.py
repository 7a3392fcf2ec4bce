"""Anthropic's Messages, as https://docs.claude.com/en/api/messages and …/streaming describe them."""

import json
from collections.abc import Iterable
from typing import Any

from tests.matrix.conversation import Answered, Call, Conversation, Outcome, Returned, Said, Sent, expect
from tests.matrix.envelopes import read_sse

_FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "refusal": "content_filter",
}
_EVENTS = {
    *("message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"),
    *("message_stop", "ping", "error"),
}
_ERRORS = {
    *("invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error"),
    *("request_too_large", "rate_limit_error", "api_error", "timeout_error", "overloaded_error"),
}


def build(conversation: Conversation, model: str, *, stream: bool) -> Sent:
    body = {"model": model, **write_body(conversation)} | ({"stream": True} if stream else {})
    return Sent("/v1/messages", {"anthropic-version": "2023-06-01"}, body)


def write_body(conversation: Conversation) -> dict[str, Any]:
    """The body without the model and the wish for a stream, which the envelope tells."""
    body: dict[str, Any] = {
        "max_tokens": conversation.max_tokens,
        "messages": [message for turn in conversation.turns for message in _write_turn(turn)],
    }
    if conversation.system is not None:
        mark = conversation.system_cached
        body["system"] = [_write_text(conversation.system, cached=True)] if mark else conversation.system
    if conversation.tools:
        body["tools"] = [
            {"name": tool.name, "description": "Reads", "input_schema": tool.schema} for tool in conversation.tools
        ]
    if conversation.must_call:
        body["tool_choice"] = {"type": "any"}
    if conversation.thinks:
        body["thinking"] = {"type": "enabled", "budget_tokens": 2048}
    if conversation.stop:
        body["stop_sequences"] = list(conversation.stop)
    if conversation.schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": conversation.schema}}
    return body


def _write_text(text: str, *, cached: bool) -> dict[str, Any]:
    return {"type": "text", "text": text} | ({"cache_control": {"type": "ephemeral"}} if cached else {})


def _write_turn(turn: Said | Answered | Returned) -> list[dict[str, Any]]:
    match turn:
        case Answered(native):
            return native
        case Returned(results):
            blocks = [{"type": "tool_result", "tool_use_id": call_id, "content": text} for call_id, text in results]
            return [{"role": "user", "content": blocks}]
        case Said(text) if turn.plain:
            return [{"role": "user", "content": text}]
        case Said(text, image, document, cached):
            parts = [_write_text(text, cached=cached)]
            if document is not None:
                source = {"type": "base64", "media_type": "application/pdf", "data": document}
                parts.insert(0, {"type": "document", "source": source, "title": "notes"})
            if image is not None:
                source = {"type": "base64", "media_type": "image/png", "data": image}
                parts.insert(0, {"type": "image", "source": source})
            return [{"role": "user", "content": parts}]


def read_answer(status: int, body: bytes) -> Outcome:
    document = json.loads(body)
    if status != 200:
        return Outcome(status, error=_read_error(document))
    return read_message(document)


def read_message(message: dict[str, Any]) -> Outcome:
    """A whole message."""
    expect(message["type"] == "message" and message["role"] == "assistant", "it is no message of the assistant")
    outcome = Outcome(200, finish=_FINISHES[message["stop_reason"]])
    for block in message["content"]:
        match block["type"]:
            case "text":
                outcome.text += block["text"]
            case "thinking":
                expect("signature" in block, "thinking has no signature")
                outcome.thinking += block["thinking"]
            case "redacted_thinking":
                expect(block["data"], "hidden thinking has no data")
            case "tool_use":
                outcome.calls.append(Call(block["id"], block["name"], block["input"]))
            case kind:
                expect(condition=False, what=f"a block is of the type {kind}")
    usage = message["usage"]
    cached = (usage.get("cache_read_input_tokens") or 0) + (usage.get("cache_creation_input_tokens") or 0)
    outcome.input_tokens, outcome.output_tokens = usage["input_tokens"] + cached, usage["output_tokens"]
    outcome.native = [{"role": "assistant", "content": message["content"]}]
    outcome.whole = True
    return outcome


def _read_error(document: dict[str, Any]) -> str:
    expect(document["type"] == "error", f"an error is of the type {document['type']}")
    error = document["error"]
    expect(error["type"] in _ERRORS, f"there is no error of the type {error['type']}")
    message: str = error["message"]
    return message


def read_stream(body: bytes) -> Outcome:
    events = []
    for name, data in read_sse(body):
        event = json.loads(data)
        expect(name == event["type"], f"the event {name} holds a {event['type']}")
        events.append(event)
    return gather(events)


def gather(events: Iterable[dict[str, Any]]) -> Outcome:
    """A message from the events of its stream, by the rules of Anthropic's own SDKs."""
    message: dict[str, Any] = {}
    open_block: int | None = None
    stopped = False
    for event in events:
        kind = event["type"]
        expect(kind in _EVENTS, f"an event is of the unknown type {kind}")
        expect(not stopped, f"a {kind} comes after the end")
        if kind == "error":
            return Outcome(200, text=_text_of(message), error=_read_error(event))
        if kind == "message_start":
            expect(not message, "the message starts twice")
            message = event["message"]
            expect(message["content"] == [] and message["stop_reason"] is None, "the message does not start empty")
        elif kind == "content_block_start":
            expect(open_block is None and event["index"] == len(message["content"]), "blocks start out of order")
            open_block = event["index"]
            message["content"].append(dict(event["content_block"]))
        elif kind == "content_block_delta":
            expect(event["index"] == open_block, "a delta is for a block that is not open")
            _add_delta(message["content"][open_block], event["delta"])
        elif kind == "content_block_stop":
            expect(event["index"] == open_block, "a block stops that is not open")
            _close_block(message["content"][open_block])
            open_block = None
        elif kind == "message_delta":
            expect(open_block is None, "the message ends within a block")
            message |= event["delta"]
            message["usage"] |= {name: count for name, count in event["usage"].items() if count is not None}
        elif kind == "message_stop":
            stopped = True
    return read_message(message) if stopped else Outcome(200, text=_text_of(message))


def _text_of(message: dict[str, Any]) -> str:
    return "".join(block.get("text", "") for block in message.get("content", ()))


def _add_delta(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match delta["type"], block["type"]:
        case "text_delta", "text":
            block["text"] += delta["text"]
        case "thinking_delta", "thinking":
            block["thinking"] += delta["thinking"]
        case "signature_delta", "thinking":
            block["signature"] = delta["signature"]
        case "input_json_delta", "tool_use":
            block["json"] = block.get("json", "") + delta["partial_json"]
        case kind, of:
            expect(condition=False, what=f"a {kind} in a block of the type {of}")


def _close_block(block: dict[str, Any]) -> None:
    if (text := block.pop("json", "")) != "":
        block["input"] = json.loads(text)
