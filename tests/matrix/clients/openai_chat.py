"""OpenAI's chat completions, as https://platform.openai.com/docs/api-reference/chat describes them."""

import json
from typing import Any

from tests.matrix.conversation import Answered, Call, Conversation, Outcome, Returned, Said, Sent, expect
from tests.matrix.envelopes import read_sse

_FINISHES = ("stop", "tool_calls", "length", "content_filter")


def build(conversation: Conversation, model: str, *, stream: bool) -> Sent:
    messages: list[dict[str, Any]] = []
    if conversation.system is not None:
        content = [_write_text(conversation.system, cached=True)] if conversation.system_cached else conversation.system
        messages.append({"role": "system", "content": content})
    for turn in conversation.turns:
        messages += _write_turn(turn)
    body: dict[str, Any] = {"model": model, "messages": messages, "max_completion_tokens": conversation.max_tokens}
    if conversation.tools:
        body["tools"] = [
            {"type": "function", "function": {"name": tool.name, "description": "Reads", "parameters": tool.schema}}
            for tool in conversation.tools
        ]
    if conversation.must_call:
        body["tool_choice"] = "required"
    if conversation.thinks:
        body["reasoning_effort"] = "medium"
    if conversation.stop:
        body["stop"] = list(conversation.stop)
    if conversation.schema is not None:
        schema = {"name": "weather", "schema": conversation.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return Sent("/v1/chat/completions", {}, body)


def _write_text(text: str, *, cached: bool) -> dict[str, Any]:
    # OpenAI has no marks; this is how agents send them through gateways that speak LiteLLM's dialect.
    return {"type": "text", "text": text} | ({"cache_control": {"type": "ephemeral"}} if cached else {})


def _write_turn(turn: Said | Answered | Returned) -> list[dict[str, Any]]:
    match turn:
        case Answered(native):
            return native
        case Returned(results):
            return [{"role": "tool", "tool_call_id": call_id, "content": text} for call_id, text in results]
        case Said(text) if turn.plain:
            return [{"role": "user", "content": text}]
        case Said(text, image, document, cached):
            parts = [_write_text(text, cached=cached)]
            if document is not None:
                file = {"filename": "notes.pdf", "file_data": f"data:application/pdf;base64,{document}"}
                parts.insert(0, {"type": "file", "file": file})
            if image is not None:
                parts.insert(0, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}})
            return [{"role": "user", "content": parts}]


def read_answer(status: int, body: bytes) -> Outcome:
    document = json.loads(body)
    if status != 200:
        return Outcome(status, error=read_error(document))
    expect(document["object"] == "chat.completion", f"the object is {document['object']}")
    (choice,) = document["choices"]
    outcome = _read_message(Outcome(status), choice["message"], choice["finish_reason"])
    _read_usage(outcome, document["usage"])
    outcome.whole = True
    return outcome


def read_error(document: dict[str, Any]) -> str:
    """The message of an error body."""
    error = document["error"]
    expect(error.keys() >= {"message", "type", "param", "code"}, f"an error has the fields {sorted(error)}")
    expect(isinstance(error["message"], str) and error["message"], "an error has no message")
    message: str = error["message"]
    return message


def _read_message(outcome: Outcome, message: dict[str, Any], finish: str | None) -> Outcome:
    outcome.text = message.get("content") or ""
    outcome.thinking = message.get("reasoning_content") or ""
    for call in message.get("tool_calls") or ():
        expect(call["type"] == "function", f"a tool call is a {call['type']}")
        function = call["function"]
        outcome.calls.append(Call(call["id"], function["name"], json.loads(function["arguments"])))
    expect(finish in _FINISHES, f"the finish reason is {finish}")
    outcome.finish = finish
    kept = ("role", "content", "tool_calls", "reasoning_content")
    outcome.native = [{name: message[name] for name in kept if message.get(name) is not None}]
    return outcome


def _read_usage(outcome: Outcome, usage: dict[str, Any]) -> None:
    outcome.input_tokens, outcome.output_tokens = usage["prompt_tokens"], usage["completion_tokens"]
    expect(usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"], "the total is not the sum")


def read_stream(body: bytes) -> Outcome:
    outcome, ids = Outcome(200), set()
    message: dict[str, Any] = {"role": "assistant"}
    finish, has_usage, done = None, False, False
    for name, data in read_sse(body):
        expect(name is None and not done, "chunks have no event names, and nothing comes after [DONE]")
        if data == "[DONE]":
            done = True
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            outcome.error = read_error(chunk)
            continue
        expect(chunk["object"] == "chat.completion.chunk", f"the object is {chunk['object']}")
        ids.add(chunk["id"])
        for choice in chunk["choices"]:
            expect(choice["index"] == 0, "there is one choice")
            _add_delta(message, choice["delta"])
            finish = choice.get("finish_reason") or finish
        if chunk.get("usage"):
            _read_usage(outcome, chunk["usage"])
            has_usage = True
    expect(len(ids) <= 1, f"the id changes: {ids}")
    outcome.whole = done and has_usage and finish is not None
    return _read_message(outcome, message, finish) if outcome.whole else _read_beginning(outcome, message)


def _read_beginning(outcome: Outcome, message: dict[str, Any]) -> Outcome:
    outcome.text = message.get("content") or ""
    return outcome


def _add_delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name in ("content", "reasoning_content"):
        if delta.get(name):
            message[name] = message.get(name, "") + delta[name]
    for piece in delta.get("tool_calls") or ():
        calls = message.setdefault("tool_calls", [])
        if piece["index"] == len(calls):
            expect(piece["id"] and piece["function"]["name"], "a tool call begins without its id or name")
            function = {"name": piece["function"]["name"], "arguments": ""}
            calls.append({"id": piece["id"], "type": "function", "function": function})
        calls[piece["index"]]["function"]["arguments"] += piece["function"].get("arguments") or ""
