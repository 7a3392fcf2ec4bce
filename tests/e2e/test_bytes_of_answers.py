"""Answers of an upstream that speaks the client's format arrive byte for byte, whatever is in them."""

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml
from botocore.eventstream import EventStreamBuffer
from tests.matrix.envelopes import read_sse
from tests.support.gateway import Gateway, run_gateway
from tests.support.servers import serve_app

from sekisho.dialects.common.eventstream import encode_frame

# What decoding and encoding again would change: spaces, forms of numbers, escapes, the order of keys.
ODD = r'{"z" : 1.0e2, "a":-0.0,"u":"\u00e9\/\ud83c\udf8c", "n":12345678901234567890123, "l":[ 1E5,{ } ], "z2":null}'
HELLO = [{"role": "user", "content": "Hello"}]
CHAT = (
    f'{{ "id":"c-1","object" : "chat.completion","created":1,"model":"m","x_odd":{ODD},"choices":[{{"index":0,'
    f'"x_c":{ODD},"message":{{"role":"assistant","content":"\\u00e9","x_m":{ODD}}},"finish_reason":"stop"}}],'
    f'"usage":{{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"x_u":{ODD}}} }}'
)
CHAT_EVENTS = [
    f'{{ "id":"c-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"x_c":{ODD},'
    f'"delta":{{"role":"assistant","content":"\\u00e9","x_d":{ODD}}},"finish_reason":null}}] }}',
    f'{{"id":"c-1","object":"chat.completion.chunk","x_alone":{ODD},"choices":[]}}',
    '{"id":"c-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    '{"id":"c-1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}',
    "[DONE]",
]
COMPLETION = (
    f'{{ "id":"t-1","object":"text_completion","x_odd":{ODD},"choices":[{{"index":0,"text":"\\u00e9","x_c":{ODD},'
    '"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5} }'
)
COMPLETION_EVENTS = [
    f'{{ "id":"t-1","object":"text_completion","x_odd":{ODD},"choices":[{{"index":0,"text":"\\u00e9","x_c":{ODD},'
    '"finish_reason":"stop"}]}',
    '{"id":"t-1","object":"text_completion","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}',
    "[DONE]",
]
MESSAGE = (
    f'{{ "id":"msg_1","type":"message","role":"assistant","model":"m","x_odd":{ODD},"content":[{{"type":"text",'
    f'"text":"\\u00e9","x_b":{ODD}}},{{"type":"x_block","x":{ODD}}}],"stop_reason":"end_turn","stop_sequence":null,'
    f'"usage":{{"input_tokens":3,"output_tokens":2,"x_u":{ODD}}} }}'
)
MESSAGE_EVENTS = [
    f'{{"type":"message_start","message":{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],'
    f'"x_m":{ODD},"stop_reason":null,"stop_sequence":null,"usage":{{"input_tokens":3,"output_tokens":1}}}} }}',
    f'{{"type":"content_block_start","index":0,"content_block":{{"type":"text","text":"","x_b":{ODD}}}}}',
    f'{{ "type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"\\u00e9","x_d":{ODD}}}}}',
    f'{{"type":"content_block_delta","index":0,"delta":{{"type":"x_delta","x":{ODD}}}}}',
    '{"type":"content_block_stop","index":0}',
    f'{{"type":"content_block_start","index":1,"content_block":{{"type":"x_block","x":{ODD}}}}}',
    '{"type":"content_block_stop","index":1}',
    f'{{"type":"message_delta","delta":{{"stop_reason":"end_turn","x_d":{ODD}}},"usage":{{"output_tokens":2}}}}',
    '{"type":"message_stop", "amazon-bedrock-invocationMetrics":{"inputTokenCount":3} }',
]
_RESPONSE = '"id":"r-1","object":"response","created_at":1,"model":"m"'
_ITEM = (
    f'{{ "id":"i-1","type":"message","role":"assistant","status":"completed","x_i":{ODD},"content":'
    f'[{{"type":"output_text","text":"\\u00e9","annotations":[],"x_p":{ODD}}}]}}'
)
_USAGE = f'{{"input_tokens":3,"output_tokens":2,"total_tokens":5,"x_u":{ODD}}}'
RESPONSE = f'{{ {_RESPONSE},"status":"completed","x_odd":{ODD},"output":[{_ITEM}],"usage":{_USAGE} }}'
RESPONSE_EVENTS = [
    f'{{"type":"response.created","sequence_number":0,"response":{{{_RESPONSE},"status":"in_progress","x":{ODD},'
    '"output":[]}}',
    '{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"i-1","type":"message",'
    '"role":"assistant","content":[]}}',
    '{"type":"response.output_text.delta","sequence_number":2,"item_id":"i-1","output_index":0,"content_index":0,'
    f'"delta":"\\u00e9","x_d":{ODD} }}',
    f'{{"type":"response.output_item.done","sequence_number":3,"output_index":0,"item":{_ITEM}}}',
    f'{{"type":"response.completed","sequence_number":4,"response":{RESPONSE}}}',
]
CONVERSE = (
    f'{{ "output":{{"message":{{"role":"assistant","content":[{{"text":"\\u00e9"}}],"x_m":{ODD}}}}},"stopReason":'
    f'"end_turn","x_odd":{ODD},"usage":{{"inputTokens":3,"outputTokens":2,"totalTokens":5}},"metrics":{{"latencyMs":1}}}}'
)
CONVERSE_EVENTS = [
    ("messageStart", f'{{"role":"assistant", "x":{ODD}}}'),
    ("contentBlockDelta", f'{{ "contentBlockIndex":0,"delta":{{"text":"\\u00e9"}},"x_d":{ODD}}}'),
    ("contentBlockStop", '{"contentBlockIndex":0}'),
    ("messageStop", f'{{"stopReason":"end_turn","x_s":{ODD}}}'),
    ("metadata", f'{{"usage":{{"inputTokens":3,"outputTokens":2,"totalTokens":5}},"x_m":{ODD}}}'),
]
EMBEDDINGS = (
    f'{{ "object":"list","x_odd":{ODD},"data":[{{"object":"embedding","index":0,"embedding":[1.0e-2, -0.0],"x":{ODD}}}'
    '],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3} }'
)


def write_sse(events: Sequence[str], *, named: bool = False) -> bytes:
    lines = [(f"event: {json.loads(data)['type']}\n" if named else "") + f"data: {data}\n\n" for data in events]
    return "".join(lines).encode()


def write_frame(kind: str, payload: bytes) -> bytes:
    return encode_frame({":event-type": kind, ":message-type": "event"}, payload)


def write_chunk(event: str) -> bytes:
    return write_frame("chunk", json.dumps({"bytes": base64.b64encode(event.encode()).decode()}).encode())


ANSWERS = {
    "/v1/chat/completions": (CHAT.encode(), write_sse(CHAT_EVENTS)),
    "/v1/completions": (COMPLETION.encode(), write_sse(COMPLETION_EVENTS)),
    "/v1/messages": (MESSAGE.encode(), write_sse(MESSAGE_EVENTS, named=True)),
    "/v1/responses": (RESPONSE.encode(), write_sse(RESPONSE_EVENTS, named=True)),
    "/v1/embeddings": (EMBEDDINGS.encode(), b""),
    "/converse": (CONVERSE.encode(), b""),
    "/converse-stream": (b"", b"".join(write_frame(kind, data.encode()) for kind, data in CONVERSE_EVENTS)),
    "/invoke": (MESSAGE.encode(), b""),
    "/invoke-with-response-stream": (b"", b"".join(map(write_chunk, MESSAGE_EVENTS))),
    "/invocations": (CHAT.encode(), b""),
    "/invocations-response-stream": (
        b"",
        b"".join(write_frame("PayloadPart", write_sse(CHAT_EVENTS)[at : at + 101]) for at in range(0, 2000, 101)),
    ),
}
"""What the upstream answers at a path, or at the end of one: as a whole, and as a stream."""


async def answer_oddly(scope: Any, receive: Any, send: Any) -> None:
    """An upstream that gives the same answers to everybody."""
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    body, more = b"", True
    while more:
        event = await receive()
        body, more = body + event["body"], event["more_body"]
    path = scope["path"]
    whole, stream = ANSWERS.get(path) or ANSWERS["/" + path.rpartition("/")[2]]
    streams = json.loads(body).get("stream") is True or path.endswith("stream")
    kind = b"application/json"
    if streams:
        kind = b"application/vnd.amazon.eventstream" if path.endswith("stream") else b"text/event-stream"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": stream if streams else whole})


@pytest.fixture(scope="module")
def running_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    claude = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "nothing", "aws_region_name": "us-east-1"}
    with serve_app(answer_oddly) as url:
        params = {
            "chat": {"model": "hosted_vllm/m", "api_base": f"{url}/v1"},
            "responses": {"model": "openai/responses/gpt-5.1", "api_base": f"{url}/v1", "api_key": "sk-x"},
            "anthropic": {"model": "anthropic/claude-sonnet-4-5", "api_base": url, "api_key": "sk-x"},
            "embeddings": {"model": "openai/text-embedding-3-small", "api_base": f"{url}/v1", "api_key": "sk-x"},
            "sagemaker": {"model": "sagemaker_chat/m", "sagemaker_base_url": url, **keys},
            "converse": {"model": f"bedrock/converse/{claude}", **keys},
            "invoke": {"model": f"bedrock/invoke/{claude}", **keys},
        }
        config = {"model_list": [{"model_name": name, "litellm_params": value} for name, value in params.items()]}
        home = tmp_path_factory.mktemp("home")
        environment = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": url}
        with run_gateway(home, yaml.safe_dump(config), environment) as gateway:
            yield gateway


def ask(gateway: Gateway, path: str, body: dict[str, Any]) -> bytes:
    answer = gateway.post(path, body)
    assert answer.status == 200, answer.body
    return answer.body


def read_payloads(body: bytes) -> list[tuple[str, str]]:
    """The type of event and the payload's text of every frame; of chunks, what is inside."""
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    frames = []
    for message in buffer:
        payload, kind = message.payload, message.headers[":event-type"]
        if kind == "chunk":
            payload = base64.b64decode(json.loads(payload)["bytes"])
        frames.append((kind, payload.decode()))
    return frames


CHATS = {"messages": HELLO}
USAGE = {"stream_options": {"include_usage": True}}
ANTHROPIC = {"messages": HELLO, "max_tokens": 9}
INVOKE = {**ANTHROPIC, "anthropic_version": "bedrock-2023-05-31"}
CONVERSES = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/chat/completions", {"model": "chat", **CHATS}, CHAT),
        ("/v1/chat/completions", {"model": "sagemaker", **CHATS}, CHAT),
        ("/v1/completions", {"model": "chat", "prompt": "Hello"}, COMPLETION),
        ("/v1/responses", {"model": "responses", "input": "Hello", "store": False}, RESPONSE),
        ("/v1/messages", {"model": "anthropic", **ANTHROPIC}, MESSAGE),
        ("/v1/messages", {"model": "invoke", **ANTHROPIC}, MESSAGE),
        ("/model/anthropic/invoke", INVOKE, MESSAGE),
        ("/model/invoke/invoke", INVOKE, MESSAGE),
        ("/model/converse/converse", CONVERSES, CONVERSE),
        ("/v1/embeddings", {"model": "embeddings", "input": "Hello"}, EMBEDDINGS),
    ],
)
def test_a_whole_answer(running_gateway: Gateway, path: str, body: dict[str, Any], expected: str) -> None:
    assert ask(running_gateway, path, body).decode() == expected


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/chat/completions", {"model": "chat", **CHATS, **USAGE}, CHAT_EVENTS),
        (
            "/v1/chat/completions",
            {"model": "sagemaker", **CHATS, **USAGE},
            CHAT_EVENTS,
        ),
        ("/v1/chat/completions", {"model": "chat", **CHATS}, [*CHAT_EVENTS[:3], "[DONE]"]),
        ("/v1/completions", {"model": "chat", "prompt": "Hello"}, [COMPLETION_EVENTS[0], "[DONE]"]),
        ("/v1/responses", {"model": "responses", "input": "Hello", "store": False}, RESPONSE_EVENTS),
        ("/v1/messages", {"model": "anthropic", **ANTHROPIC}, MESSAGE_EVENTS),
        ("/v1/messages", {"model": "invoke", **ANTHROPIC}, MESSAGE_EVENTS),
    ],
)
def test_a_stream_of_events(running_gateway: Gateway, path: str, body: dict[str, Any], expected: list[str]) -> None:
    answer = ask(running_gateway, path, {**body, "stream": True})
    assert [data for _, data in read_sse(answer)] == expected


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/model/anthropic/invoke-with-response-stream", INVOKE, [("chunk", event) for event in MESSAGE_EVENTS]),
        ("/model/invoke/invoke-with-response-stream", INVOKE, [("chunk", event) for event in MESSAGE_EVENTS]),
        ("/model/converse/converse-stream", CONVERSES, CONVERSE_EVENTS),
    ],
)
def test_a_stream_of_frames(
    running_gateway: Gateway, path: str, body: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert read_payloads(ask(running_gateway, path, body)) == expected
