"""OpenAI's Responses, as https://platform.openai.com/docs/api-reference/responses and …/responses-streaming tell."""

import json
from typing import Any

from tests.matrix.clients.openai_chat import read_error
from tests.matrix.conversation import Answered, Call, Conversation, Outcome, Returned, Said, Sent, expect
from tests.matrix.envelopes import read_sse

_ENDS = ("response.completed", "response.incomplete", "response.failed")


def build(conversation: Conversation, model: str, *, stream: bool) -> Sent:
    body: dict[str, Any] = {
        "model": model,
        "input": [item for turn in conversation.turns for item in _write_turn(turn)],
        "max_output_tokens": conversation.max_tokens,
        "store": False,
    }
    if conversation.system is not None:
        body["instructions"] = conversation.system
    if conversation.tools:
        body["tools"] = [
            {"type": "function", "name": tool.name, "description": "Reads", "parameters": tool.schema, "strict": False}
            for tool in conversation.tools
        ]
    if conversation.must_call:
        body["tool_choice"] = "required"
    if conversation.thinks:
        body["reasoning"] = {"effort": "medium", "summary": "auto"}
        body["include"] = ["reasoning.encrypted_content"]
    if conversation.schema is not None:
        name = {"type": "json_schema", "name": "weather", "strict": True}
        body["text"] = {"format": {**name, "schema": conversation.schema}}
    return Sent("/v1/responses", {}, body | ({"stream": True} if stream else {}))


def _write_turn(turn: Said | Answered | Returned) -> list[dict[str, Any]]:
    match turn:
        case Answered(native):
            return native
        case Returned(results):
            return [{"type": "function_call_output", "call_id": call_id, "output": text} for call_id, text in results]
        case Said(text, image, document):
            parts: list[dict[str, Any]] = [{"type": "input_text", "text": text}]
            if document is not None:
                url = f"data:application/pdf;base64,{document}"
                parts.insert(0, {"type": "input_file", "filename": "notes.pdf", "file_data": url})
            if image is not None:
                url = f"data:image/png;base64,{image}"
                parts.insert(0, {"type": "input_image", "image_url": url, "detail": "auto"})
            return [{"type": "message", "role": "user", "content": parts}]


def read_answer(status: int, body: bytes) -> Outcome:
    document = json.loads(body)
    if status != 200:
        return Outcome(status, error=read_error(document))
    return _read_response(document)


def _read_response(response: dict[str, Any]) -> Outcome:
    expect(response["object"] == "response", f"the object is {response['object']}")
    outcome = Outcome(200, native=response["output"])
    if response["status"] == "failed":
        outcome.error = response["error"]["message"]
        return outcome
    for item in response["output"]:
        _read_item(outcome, item)
    if response["status"] == "incomplete":
        reason = response["incomplete_details"]["reason"]
        outcome.finish = {"max_output_tokens": "length", "content_filter": "content_filter"}[reason]
    else:
        expect(response["status"] == "completed", f"the status is {response['status']}")
        outcome.finish = "tool_calls" if outcome.calls else "stop"
    usage = response["usage"]
    outcome.input_tokens, outcome.output_tokens = usage["input_tokens"], usage["output_tokens"]
    expect(usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"], "the total is not the sum")
    outcome.whole = True
    return outcome


def _read_item(outcome: Outcome, item: dict[str, Any]) -> None:
    match item["type"]:
        case "message":
            expect(item["role"] == "assistant", "a message is not the assistant's")
            for part in item["content"]:
                expect(part["type"] == "output_text", f"a part is of the type {part['type']}")
                outcome.text += part["text"]
        case "reasoning":
            outcome.thinking += "".join(part["text"] for part in item["summary"])
            outcome.thinking += "".join(part["text"] for part in item.get("content") or ())
        case "function_call":
            outcome.calls.append(Call(item["call_id"], item["name"], json.loads(item["arguments"])))
        case kind:
            expect(condition=False, what=f"an item is of the type {kind}")


def read_stream(body: bytes) -> Outcome:
    ids: set[str] = set()
    streamed = _Streamed()
    end: dict[str, Any] | None = None
    for number, (name, data) in enumerate(read_sse(body)):
        event = json.loads(data)
        kind = event["type"]
        expect(name == kind, f"the event {name} holds a {kind}")
        expect(event["sequence_number"] == number, f"{kind} has number {event['sequence_number']}, not {number}")
        expect(end is None, f"a {kind} comes after the end")
        expect((number == 0) == (kind == "response.created"), f"event {number} is a {kind}")
        expect(kind != "error", "a bare error event is taken for nothing by agents")
        if "response" in event:
            ids.add(event["response"]["id"])
        if kind in _ENDS:
            end = event["response"]
        streamed.add(kind, event)
    expect(len(ids) == 1, f"the id of the response changes: {ids}")
    if end is None or end["status"] == "failed":
        return Outcome(200, text=streamed.text, error=end["error"]["message"] if end else None)
    expect(end["output"] == streamed.items, "the response at the end has other items than the stream")
    outcome = _read_response(end)
    expect(outcome.text == streamed.text, "the text of the deltas is not that of the items")
    return outcome


class _Streamed:
    """What the events before the last one have told."""

    def __init__(self) -> None:
        self.text = ""
        self.items: list[dict[str, Any]] = []
        self._open: dict[int, str] = {}
        self._arguments: dict[int, str] = {}

    def add(self, kind: str, event: dict[str, Any]) -> None:
        at = event.get("output_index")
        if at is None:  # an event of the response as a whole
            return
        if kind == "response.output_item.added":
            expect(at == len(self.items) + len(self._open), "items are added out of order")
            self._open[at] = event["item"]["id"]
        elif kind == "response.output_item.done":
            expect(self._open.pop(at) == event["item"]["id"], "the id of an item changes")
            arguments = event["item"].get("arguments")
            expect(arguments == self._arguments.get(at, arguments), "arguments differ from their deltas")
            self.items.append(event["item"])
        else:
            expect(event["item_id"] == self._open.get(at), f"a {kind} is for an item that is not open")
        if kind == "response.output_text.delta":
            self.text += event["delta"]
        elif kind == "response.function_call_arguments.delta":
            self._arguments[at] = self._arguments.get(at, "") + event["delta"]
