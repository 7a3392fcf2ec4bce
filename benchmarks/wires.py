"""The wire formats of the benchmark: what clients send, and what the cheap upstream answers, as data.

To measure another pair, add its formats here and the pair to `cases.PAIRS`.
"""

import base64
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from benchmarks.bodies import Body
from sekisho.core.model import ModelFacts
from sekisho.core.wire import Endpoint, Inbound, UpstreamDialect, WriteOptions
from sekisho.dialects import anthropic_messages, bedrock_converse, openai_chat, openai_responses
from sekisho.dialects.common.eventstream import encode_frame

TICK = "tick"
"""Stands once in a whole answer and once in every streamed event, so that the load generator can count both."""

MODEL = "claude-sonnet"
"""The name under which the measured gateways offer the upstream's model."""

_OPEN_MODEL = "open-model"

_BEDROCK_MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
_ANSWER = f"{TICK}: " + "Every call that passes the checkpoint is inspected, metered, priced and traced. " * 6
_INPUT_TOKENS, _OUTPUT_TOKENS = 250, 120


class ClientWire(Struct, frozen=True, kw_only=True):
    """What clients speak. In a path `{model}` stands for the model's name.

    `stream_fields` are added to an OpenAI chat body that asks for a stream. Bodies of other formats are translated from
    OpenAI's by the dialect that would send them to an upstream.
    """

    label: str
    path: str
    stream_path: str
    dialect: UpstreamDialect | None = None
    stream_fields: Mapping[str, object] = {}

    def write(self, body: Body, model: str, *, stream: bool) -> bytes:
        """The request's JSON."""
        whole = msgspec.json.encode({"model": model, **(self.stream_fields if stream else {}), **body})
        if self.dialect is None:
            return whole
        endpoint = Endpoint(path=self.path, call_type="benchmark")
        chat = openai_chat.client.read_call(Inbound(endpoint=endpoint, body=whole, header=lambda _: None)).chat
        facts = ModelFacts(family="claude", max_output_tokens=64_000)
        return self.dialect.write_request(chat, facts, WriteOptions(model=model, stream=stream)).body


class UpstreamWire(Struct, frozen=True, kw_only=True):
    """What an upstream speaks. `deployments` are entries for `litellm_params`, without the upstream's address.

    `model` is the name that all of them serve. A path is also the address at which the upstream is measured alone; it
    does not read what it is sent.
    """

    label: str
    model: str
    path: str
    stream_path: str
    deployments: tuple[Mapping[str, object], ...]
    address_key: str


OPENAI_CHAT = ClientWire(
    label="OpenAI chat",
    path="/v1/chat/completions",
    stream_path="/v1/chat/completions",
    stream_fields={"stream": True, "stream_options": {"include_usage": True}},
)

OPENAI_RESPONSES = ClientWire(
    label="OpenAI Responses",
    path="/v1/responses",
    stream_path="/v1/responses",
    dialect=openai_responses.upstream,
)

ANTHROPIC = ClientWire(
    label="Anthropic",
    path="/v1/messages",
    stream_path="/v1/messages",
    dialect=anthropic_messages.upstream,
)

BOTO3_CONVERSE = ClientWire(
    label="boto3 Converse",
    path="/model/{model}/converse",
    stream_path="/model/{model}/converse-stream",
    dialect=bedrock_converse.upstream,
)

_BEDROCK_DEPLOYMENTS: tuple[Mapping[str, object], ...] = tuple(
    {
        "model": f"bedrock/{_BEDROCK_MODEL}",
        "aws_region_name": region,
        "aws_access_key_id": "AKIABENCHMARKEXAMPLE",
        "aws_secret_access_key": "no-secret-the-cheap-upstream-checks-no-signature",
    }
    for region in ("us-east-1", "us-east-2", "us-west-1", "us-west-2")
)

BEDROCK_CONVERSE = UpstreamWire(
    label="Bedrock Converse",
    model=MODEL,
    path=f"/model/{_BEDROCK_MODEL}/converse",
    stream_path=f"/model/{_BEDROCK_MODEL}/converse-stream",
    deployments=_BEDROCK_DEPLOYMENTS,
    address_key="aws_bedrock_runtime_endpoint",
)

BEDROCK_INVOKE = UpstreamWire(
    label="Bedrock Invoke",
    model=MODEL,
    path=f"/model/{_BEDROCK_MODEL}/invoke",
    stream_path=f"/model/{_BEDROCK_MODEL}/invoke-with-response-stream",
    deployments=_BEDROCK_DEPLOYMENTS,
    address_key="aws_bedrock_runtime_endpoint",
)

OPENAI_COMPATIBLE = UpstreamWire(
    label="OpenAI-compatible",
    model=_OPEN_MODEL,
    path="/1/chat/completions",
    stream_path="/1/chat/completions",
    deployments=tuple(
        {
            "model": f"openai/open-model-{number}",
            "api_key": "none",
            "input_cost_per_token": 1e-6,
            "output_cost_per_token": 5e-6,
        }
        for number in range(4)
    ),
    address_key="api_base",
)


def converse_answer() -> bytes:
    """The JSON of a whole answer of Bedrock's Converse."""
    return msgspec.json.encode(
        {
            "metrics": {"latencyMs": 1},
            "output": {"message": {"role": "assistant", "content": [{"text": _ANSWER}]}},
            "stopReason": "end_turn",
            "usage": _converse_usage(),
        }
    )


def converse_events(count: int) -> list[bytes]:
    """A ConverseStream of `count` text deltas; the first and the last carry the frames around them."""
    events = [
        _frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": _delta(number)}, "p": "abcdefgh"})
        for number in range(count)
    ]
    end = (
        _frame("contentBlockStop", {"contentBlockIndex": 0}),
        _frame("messageStop", {"stopReason": "end_turn"}),
        _frame("metadata", {"usage": _converse_usage(), "metrics": {"latencyMs": 1}}),
    )
    events[0] = _frame("messageStart", {"role": "assistant"}) + events[0]
    events[-1] += b"".join(end)
    return events


def openai_answer() -> bytes:
    """The JSON of a whole answer of OpenAI's chat API."""
    message = {"role": "assistant", "content": _ANSWER}
    return msgspec.json.encode(
        {
            **_openai_head("chat.completion"),
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": _openai_usage(),
        }
    )


def openai_events(count: int) -> list[bytes]:
    """A stream of OpenAI's chat API of `count` text deltas; the first and the last carry the chunks around them."""
    events = [_chunk({"content": _delta(number)}) for number in range(count)]
    usage = {**_openai_head("chat.completion.chunk"), "choices": [], "usage": _openai_usage()}
    events[0] = _chunk({"role": "assistant", "content": ""}) + events[0]
    events[-1] += _chunk({}, "stop") + _sse(usage) + b"data: [DONE]\n\n"
    return events


def invoke_answer() -> bytes:
    """The JSON of a whole answer of Claude, as Bedrock's InvokeModel gives it."""
    content = [{"type": "text", "text": _ANSWER}]
    usage = {"input_tokens": _INPUT_TOKENS, "output_tokens": _OUTPUT_TOKENS}
    return msgspec.json.encode({**_message(), "content": content, "stop_reason": "end_turn", "usage": usage})


def invoke_events(count: int) -> list[bytes]:
    """A stream of Claude's by InvokeModel of `count` text deltas; the first and the last carry what is around them."""
    events = [_chunk_frame(_text_delta(number), padding=TICK) for number in range(count)]
    usage = {"input_tokens": _INPUT_TOKENS, "output_tokens": 1}
    start = {"type": "message_start", "message": {**_message(), "content": [], "stop_reason": None, "usage": usage}}
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    end = (
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": _OUTPUT_TOKENS}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": _INPUT_TOKENS}},
    )
    events[0] = _chunk_frame(start) + _chunk_frame(block) + events[0]
    events[-1] += b"".join(_chunk_frame(each) for each in end)
    return events


def _message() -> dict[str, object]:
    return {"id": "msg_benchmark", "type": "message", "role": "assistant", "model": "upstream", "stop_sequence": None}


def _text_delta(number: int) -> object:
    delta = {"type": "text_delta", "text": _delta(number)}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def _chunk_frame(event: object, padding: str = "abcdefgh") -> bytes:
    """The event itself is in base64; the padding, which Bedrock sends too, is where the word can be counted."""
    return _frame("chunk", {"bytes": base64.b64encode(msgspec.json.encode(event)).decode(), "p": padding})


def _delta(number: int) -> str:
    return f" {TICK} {number:04}"


def _frame(kind: str, payload: object) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode_frame(headers, msgspec.json.encode(payload))


def _converse_usage() -> dict[str, int]:
    total = _INPUT_TOKENS + _OUTPUT_TOKENS
    return {"inputTokens": _INPUT_TOKENS, "outputTokens": _OUTPUT_TOKENS, "totalTokens": total}


def _openai_usage() -> dict[str, int]:
    total = _INPUT_TOKENS + _OUTPUT_TOKENS
    return {"prompt_tokens": _INPUT_TOKENS, "completion_tokens": _OUTPUT_TOKENS, "total_tokens": total}


def _openai_head(kind: str) -> dict[str, object]:
    return {"id": "chatcmpl-benchmark", "object": kind, "created": 1_700_000_000, "model": "upstream"}


def _chunk(delta: object, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _sse({**_openai_head("chat.completion.chunk"), "choices": [choice]})


def _sse(value: object) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"
