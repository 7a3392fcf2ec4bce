"""Writing requests for Converse in tests: each one is held against botocore's service model."""

from typing import Any

import msgspec
from msgspec import Raw

from sekisho.core.chat import ChatRequest, Message, Part, Text, Tool, ToolCall, ToolResult
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WireRequest, WriteOptions
from sekisho.dialects.bedrock_converse import upstream
from tests.support.service_model import validate

ALL_PLACES = frozenset({"system", "tools", "messages"})
CLAUDE = ModelFacts(
    family="claude",
    max_output_tokens=64000,
    vision=True,
    documents=True,
    json_schema=True,
    thinking="both",
    cache=ALL_PLACES,  # type: ignore[arg-type]  # the set of literals is inferred as one of str
    cache_ttl_1h=True,
)
LLAMA = ModelFacts(family="llama")
SCHEMA = Raw(b'{"type":"object","properties":{"path":{"type":"string"}}}')


def user(*parts: Part | str) -> Message:
    return Message(role="user", parts=[Text(text=part) if isinstance(part, str) else part for part in parts])


def assistant(*parts: Part | str) -> Message:
    return Message(role="assistant", parts=[Text(text=part) if isinstance(part, str) else part for part in parts])


def call(call_id: str, name: str = "read", arguments: str = "{}") -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=arguments)


def result(call_id: str, text: str = "done", *, is_error: bool = False) -> ToolResult:
    return ToolResult(call_id=call_id, parts=[Text(text=text)], is_error=is_error)


def tool(name: str = "read") -> Tool:
    return Tool(name=name, description="Reads", schema=SCHEMA)


def request_of(*messages: Message, **fields: Any) -> ChatRequest:
    return ChatRequest(**({"system": [], "messages": list(messages) or [user("hi")]} | fields))


def write_wire(chat: ChatRequest, facts: ModelFacts = CLAUDE, **options: Any) -> tuple[Any, WireRequest]:
    """The body as JSON values, and the request itself. Fails where the service model would refuse the body."""
    wire = upstream.write_request(chat, facts, WriteOptions(**options))
    body = msgspec.json.decode(wire.body)
    for operation in ("Converse", "ConverseStream"):
        assert validate(operation, {"modelId": "m"} | body) == []
    return body, wire


def write(chat: ChatRequest, facts: ModelFacts = CLAUDE, **options: Any) -> Any:
    """The body as JSON values."""
    return write_wire(chat, facts, **options)[0]
