"""Anthropic's own SDK as the judge of what is written in its format, over a transport that answers from memory."""

import re
from typing import Any

import httpx2
import msgspec
from anthropic import Anthropic, AnthropicBedrock
from anthropic.types import Message, MessageCreateParams
from pydantic import TypeAdapter

from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.model import ModelFacts
from sekisho.core.wire import AnswerHead, ChatClient, Inbound, UpstreamDialect, WireRequest, WriteOptions

HEAD = AnswerHead(call_id="0195-call", model="sonnet", created=1_700_000_000)
CLAUDE = ModelFacts(
    family="claude",
    max_output_tokens=64000,
    vision=True,
    documents=True,
    json_schema=True,
    thinking="both",
    cache=frozenset({"system", "tools", "messages"}),
    cache_ttl_1h=True,
)

_check_params = TypeAdapter(MessageCreateParams).validate_python


def read(client: ChatClient, body: Any, path: str | None = None, **headers: str) -> ClientCall:
    """A call of a dialect; `body` is encoded unless it is bytes already, header names have `_` for `-`."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    found = {name.replace("_", "-"): value for name, value in headers.items()}
    endpoint = next(each for each in client.endpoints if path is None or each.path == path)
    return client.read_call(Inbound(endpoint=endpoint, body=raw, header=found.get, model="sonnet"))


def write(
    upstream: UpstreamDialect, chat: ChatRequest, facts: ModelFacts = CLAUDE, **options: Any
) -> tuple[dict[str, Any], WireRequest]:
    """A request as JSON values, and itself. Fails where the types of Anthropic's SDK do not allow the body."""
    wire = upstream.write_request(chat, facts, WriteOptions(model="claude-x", **options))
    body = msgspec.json.decode(wire.body)
    check_body(body)
    return body, wire


def check_body(body: dict[str, Any]) -> None:
    """Raises pydantic's ValidationError where the SDK's types do not allow a body, in Bedrock's envelope or not."""
    rest = {name: value for name, value in body.items() if name not in ("anthropic_version", "anthropic_beta")}
    checked: Any = _check_params({"model": "claude-x", **rest})
    for message in checked["messages"]:
        if not isinstance(message["content"], str):  # pydantic checks iterables only when they are walked
            list(message["content"])
    for name in ("tools", "system"):
        if not isinstance(checked.get(name, ""), str):
            list(checked[name])


def ask_anthropic(content: bytes, *, stream: bool, status: int = 200) -> Message:
    """What Anthropic's client makes of an answer."""
    client = Anthropic(api_key="k", max_retries=0, http_client=_answering(content, "text/event-stream", status))
    return _ask(client, stream=stream)


def ask_bedrock(content: bytes, *, stream: bool, status: int = 200) -> Message:
    """What Anthropic's client for Bedrock makes of an answer."""
    kind = "application/vnd.amazon.eventstream"
    client = AnthropicBedrock(
        api_key="k", aws_region="eu-west-1", max_retries=0, http_client=_answering(content, kind, status)
    )
    return _ask(client, stream=stream)


def _ask(client: Any, *, stream: bool) -> Message:
    question = {"model": "sonnet", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    with client:
        if not stream:
            answer = client.messages.create(**question)
            return Message.model_validate(answer.model_dump(), strict=True)
        with client.messages.stream(**question) as events:
            final: Message = events.get_final_message()
            return final


def _answering(content: bytes, stream_type: str, status: int) -> httpx2.Client:
    def answer(request: httpx2.Request) -> httpx2.Response:
        streamed = b'"stream":true' in re.sub(rb"\s", b"", request.content) or request.url.path.endswith("-stream")
        kind = stream_type if streamed and status == 200 else "application/json"
        return httpx2.Response(status, content=content, headers={"content-type": kind})

    return httpx2.Client(transport=httpx2.MockTransport(answer))
