"""The judges of the matrix find fault with what is not as an API says."""

import base64
import json
from typing import Any

import pytest

from sekisho.dialects.common.eventstream import encode_frame
from tests.matrix.clients import CLIENTS
from tests.matrix.conversation import Malformed

_USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def sse(*events: Any, named: bool = False) -> bytes:
    lines = []
    for event in events:
        data = event if isinstance(event, str) else json.dumps(event)
        lines.append((f"event: {event['type']}\n" if named else "") + f"data: {data}\n\n")
    return "".join(lines).encode()


def frames(*events: tuple[str, Any], wrap: bool = False) -> bytes:
    def encode(kind: str, payload: Any) -> bytes:
        if wrap and kind == "chunk":
            payload = {"bytes": base64.b64encode(json.dumps(payload).encode()).decode()}
        word = "exception" if kind.endswith("Exception") else "event"
        return encode_frame({f":{word}-type": kind, ":message-type": word}, json.dumps(payload).encode())

    return b"".join(encode(kind, payload) for kind, payload in events)


def chat_chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"object": "chat.completion.chunk", "id": "c", "choices": choices}


CHAT = [
    chat_chunk(role="assistant", content="Hi"),
    chat_chunk("stop"),
    {**chat_chunk(), "choices": [], "usage": _USAGE},
    "[DONE]",
]
MESSAGE: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "type": "message",
            "role": "assistant",
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 3, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": {}},
]
CONVERSE: list[tuple[str, Any]] = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("messageStop", {"stopReason": "end_turn"}),
    ("metadata", {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}}),
]
_PART = {"type": "output_text", "text": "Hi"}
_ITEM = {"type": "message", "id": "m", "role": "assistant", "content": [_PART]}
_RESPONSE = {
    "id": "r",
    "object": "response",
    "status": "completed",
    "output": [_ITEM],
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
}


def number(*events: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**event, "sequence_number": at} for at, event in enumerate(events)]


RESPONSE: list[dict[str, Any]] = [
    {"type": "response.created", "response": {"id": "r"}},
    {"type": "response.output_item.added", "output_index": 0, "item": {**_ITEM, "content": []}},
    {"type": "response.output_text.delta", "output_index": 0, "item_id": "m", "delta": "Hi"},
    {"type": "response.output_item.done", "output_index": 0, "item": _ITEM},
    {"type": "response.completed", "response": _RESPONSE},
]
COMPLETION = [
    {"object": "text_completion", "choices": [{"text": "Hi", "finish_reason": "stop"}]},
    {"object": "text_completion", "choices": [], "usage": _USAGE},
    "[DONE]",
]


def stream_of(client: str, keep: slice) -> bytes:
    """A good stream of the client's API, or a part of it."""
    match client:
        case "openai_chat":
            return sse(*CHAT[keep])
        case "anthropic_messages":
            return sse(*MESSAGE[keep], named=True)
        case "openai_responses":
            return sse(*number(*RESPONSE[keep]), named=True)
        case "bedrock_converse":
            return frames(*CONVERSE[keep])
        case "bedrock_invoke":
            return frames(*(("chunk", event) for event in MESSAGE[keep]), wrap=True)
        case _:
            return sse(*COMPLETION[keep])


@pytest.mark.parametrize("client", CLIENTS)
def test_a_good_stream_is_whole_and_one_without_its_end_is_not(client: str) -> None:
    judge = CLIENTS[client]
    good = judge.read_stream(stream_of(client, slice(None)))
    assert (good.whole, good.text, good.finish, good.error) == (True, "Hi", "stop", None)
    assert (good.input_tokens, good.output_tokens) == (3, 2)
    broken = judge.read_stream(stream_of(client, slice(-1)))
    assert (broken.whole, broken.text) == (False, "Hi")


@pytest.mark.parametrize(
    ("client", "stream"),
    [
        ("openai_chat", sse(*CHAT, CHAT[0])),
        ("openai_chat", sse(CHAT[0], {**chat_chunk("stop"), "id": "d"})),
        ("openai_chat", b"id: 3\n" + sse(*CHAT)),
        ("anthropic_messages", sse(*MESSAGE[:1], *MESSAGE[2:], named=True)),
        ("anthropic_messages", sse(*MESSAGE[:2], {"type": "keep_alive"}, *MESSAGE[2:], named=True)),
        ("anthropic_messages", sse(*MESSAGE)),
        ("openai_responses", sse(*RESPONSE, named=True).replace(b'"type"', b'"sequence_number": 0, "type"')),
        ("openai_responses", sse(*number(RESPONSE[0], RESPONSE[2]), named=True)),
        ("openai_responses", sse(*number(*RESPONSE[:3], RESPONSE[4]), named=True)),
        ("openai_responses", sse(*number(RESPONSE[0], {"type": "error", "message": "no"}), named=True)),
        ("bedrock_converse", frames(*CONVERSE, CONVERSE[0])),
        ("bedrock_converse", frames(*CONVERSE[:2], ("keepAlive", {}))),
        ("bedrock_invoke", frames(("modelStreamErrorException", {"message": "no"}), ("chunk", MESSAGE[0]), wrap=True)),
        ("openai_completions", sse(*COMPLETION, COMPLETION[0])),
    ],
)
def test_a_stream_that_breaks_its_rules_is_found_out(client: str, stream: bytes) -> None:
    with pytest.raises(Malformed):
        CLIENTS[client].read_stream(stream)


@pytest.mark.parametrize("client", CLIENTS)
def test_an_error_of_another_api_is_found_out(client: str) -> None:
    with pytest.raises((Malformed, KeyError)):
        CLIENTS[client].read_answer(400, b'{"detail": "no", "type": "exception", "error": {}}')
