"""The wire formats of the benchmark: what clients send, and what the cheap upstream answers, as data.

To measure another pair, add its formats here and the pair to `cases.PAIRS`.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from benchmarks.bodies import Body
from sekisho.dialects.bedrock_converse.framing import encode_frame

TICK = "tick"
"""Stands once in a whole answer and once in every streamed event, so that the load generator can count both."""

MODEL = "claude-sonnet"
"""The name under which the measured gateways offer the upstream's model."""

_BEDROCK_MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
_ANSWER = f"{TICK}: " + "Every call that passes the checkpoint is inspected, metered, priced and traced. " * 6
_INPUT_TOKENS, _OUTPUT_TOKENS = 250, 120


class ClientWire(Struct, frozen=True, kw_only=True):
    """What clients speak. `fields` are added to a body, `stream_fields` to one that asks for a stream."""

    label: str
    path: str
    fields: Mapping[str, object]
    stream_fields: Mapping[str, object]

    def write(self, body: Body, model: str, *, stream: bool) -> bytes:
        """The request's JSON."""
        fields = self.stream_fields if stream else self.fields
        return msgspec.json.encode({"model": model, **fields, **body})


class UpstreamWire(Struct, frozen=True, kw_only=True):
    """What an upstream speaks. `deployments` are entries for `litellm_params`, without the upstream's address.

    A path is also the address at which the upstream is measured alone; it does not read what it is sent.
    """

    label: str
    path: str
    stream_path: str
    deployments: tuple[Mapping[str, object], ...]
    address_key: str


OPENAI_CHAT = ClientWire(
    label="OpenAI chat",
    path="/v1/chat/completions",
    fields={},
    stream_fields={"stream": True, "stream_options": {"include_usage": True}},
)

BEDROCK_CONVERSE = UpstreamWire(
    label="Bedrock Converse",
    path=f"/model/{_BEDROCK_MODEL}/converse",
    stream_path=f"/model/{_BEDROCK_MODEL}/converse-stream",
    deployments=tuple(
        {
            "model": f"bedrock/converse/{_BEDROCK_MODEL}",
            "aws_region_name": region,
            "aws_access_key_id": "AKIABENCHMARKEXAMPLE",
            "aws_secret_access_key": "no-secret-the-cheap-upstream-checks-no-signature",
        }
        for region in ("us-east-1", "us-east-2", "us-west-1", "us-west-2")
    ),
    address_key="aws_bedrock_runtime_endpoint",
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
