"""Whatever a client sends, what goes to Converse is something that Converse accepts."""

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from tests.support.converse import ALL_PLACES, CLAUDE, write_wire
from tests.support.converse_client import read_call

from sekisho.core.chat import (
    CacheMark,
    ChatRequest,
    Citation,
    Document,
    Image,
    Message,
    Reasoning,
    RedactedThinking,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from sekisho.core.errors import Unsupported
from sekisho.core.model import ModelFacts

_MARKS = st.none() | st.builds(CacheMark, st.sampled_from(["5m", "1h"]))
_TEXTS = st.sampled_from(["", " ", "\n", "hello", "世界"]) | st.text(max_size=8)
_IDS = st.sampled_from(["a", "b", "call_1", "", "x" * 70, "odd id"])
_NAMES = st.sampled_from(["read", "write", "mcp.fs/read", "", "n" * 70])
_BASE64 = st.sampled_from(["iVBORw0KGgo=", "AAAA", "/9j/"])
_TYPES = st.sampled_from(["image/png", "application/pdf", "text/plain", "application/zip", ""])
_place = st.none() | st.integers(0, 9)
_citation = st.builds(
    Citation,
    kind=st.sampled_from(["char", "page", "block", "web"]),
    cited_text=st.none() | _TEXTS,
    title=st.none() | _TEXTS,
    document=_place,
    start=_place,
    end=_place,
    url=st.none() | _TEXTS,
)
_text = st.builds(Text, text=_TEXTS, cache=_MARKS, citations=st.lists(_citation, max_size=2))
_media = st.builds(Image, media_type=st.none() | _TYPES, data=_BASE64, cache=_MARKS) | st.builds(
    Document,
    name=_TEXTS,
    media_type=st.none() | _TYPES,
    data=_BASE64,
    context=st.none() | _TEXTS,
    cited=st.booleans(),
    cache=_MARKS,
)
_arguments = st.sampled_from(["", "{}", '{"a":1}', "[1]", "{", "null"]) | st.text(max_size=5)
_call = st.builds(ToolCall, id=_IDS, name=_NAMES, arguments=_arguments, cache=_MARKS)
_result = st.builds(
    ToolResult,
    call_id=_IDS,
    parts=st.lists(_text | _media, max_size=2),
    is_error=st.booleans(),
    cache=_MARKS,
)
_thinking = st.builds(Thinking, text=_TEXTS, signature=st.none() | _TEXTS) | st.builds(RedactedThinking, data=_BASE64)
_messages = st.lists(
    st.builds(
        Message,
        role=st.sampled_from(["user", "assistant"]),
        parts=st.lists(_text | _call | _result | _thinking | _media, max_size=4),
    ),
    max_size=6,
)
_schemas = st.sampled_from([b"", b"{}", b'{"type":"object"}', b'{"properties":{}}', b"[]", b"null"]).map(Raw)
_tool = st.builds(
    Tool, name=_NAMES, description=st.none() | _TEXTS, schema=_schemas, strict=st.none() | st.booleans(), cache=_MARKS
)
_number = st.none() | st.floats(-1, 3)
_chats = st.builds(
    ChatRequest,
    system=st.lists(_text, max_size=3),
    messages=_messages,
    tools=st.lists(_tool, max_size=3),
    tool_choice=st.none() | st.builds(ToolChoice, st.sampled_from(["auto", "any", "none", "tool"]), st.none() | _NAMES),
    parallel_tool_calls=st.none() | st.booleans(),
    max_output_tokens=st.none() | st.integers(-1, 10**6),
    temperature=_number,
    top_p=_number,
    top_k=st.none() | st.integers(-1, 500),
    stop=st.lists(_TEXTS, max_size=3),
    reasoning=st.none()
    | st.builds(
        Reasoning,
        st.sampled_from([None, "enabled", "adaptive", "disabled"]),
        st.sampled_from([None, "none", "minimal", "low", "medium", "high", "xhigh", "max"]),
        st.none() | st.integers(0, 10**6),
    ),
    response_format=st.none() | st.builds(ResponseFormat, schema=st.none() | _schemas, description=st.none() | _TEXTS),
    service_tier=st.sampled_from([None, "auto", "flex", "odd"]),
    extras=st.dictionaries(st.sampled_from(["n", "seed", "logprobs", "x"]), st.integers(0, 2), max_size=2),
)
_facts = st.builds(
    ModelFacts,
    family=st.sampled_from(["claude", "nova", "llama", "unknown"]),
    max_output_tokens=st.sampled_from([None, 500, 64000]),
    vision=st.booleans(),
    documents=st.booleans(),
    tools=st.booleans(),
    tool_choice=st.booleans(),
    system=st.booleans(),
    json_schema=st.booleans(),
    stop_sequences=st.booleans(),
    thinking=st.sampled_from(["none", "budget", "adaptive", "both", "effort_field", "nova"]),
    sampling=st.sampled_from(["both", "one", "none"]),
    cache=st.sampled_from([frozenset(), ALL_PLACES]),
    cache_ttl_1h=st.booleans(),
)


@given(_chats, _facts)
def test_every_request_that_may_drop_passes_the_service_model(chat: ChatRequest, facts: ModelFacts) -> None:
    body, wire = write_wire(chat, facts, drop_params=True)
    _check_turns(body)
    _check_tools(body, wire.tool_names)
    _check_thinking(body)


@given(_chats, _facts)
def test_every_request_that_is_not_refused_passes_the_service_model(chat: ChatRequest, facts: ModelFacts) -> None:
    with suppress(Unsupported):
        body, _ = write_wire(chat, facts)
        _check_turns(body)


@given(_chats)
def test_what_our_upstream_writes_our_client_reads_as_the_same(chat: ChatRequest) -> None:
    for message in chat.messages:
        if message.role == "assistant":  # where no client puts results: they would be told as text
            message.parts = [part for part in message.parts if not isinstance(part, ToolResult)]
    # An effort without thinking is read as a wish to think, which is what it is with every other maker's models.
    chat.reasoning = chat.reasoning and Reasoning("adaptive", chat.reasoning.effort)
    if chat.response_format is not None:
        chat.response_format = ResponseFormat(schema=Raw(b'{"type":"object"}'))
    body, _ = write_wire(chat, CLAUDE, drop_params=True)
    again, wire = write_wire(read_call(body).chat, CLAUDE)
    assert again == body
    assert wire.dropped == ()


def _check_turns(body: dict[str, Any]) -> None:
    """What the service demands of turns beyond its model."""
    turns = body["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2) + ["user"] * (len(turns) % 2)
    blocks = [block for turn in turns for block in turn["content"]]
    assert all(block["text"].strip() for block in blocks if "text" in block)
    answered: list[str] = []
    for turn in reversed(turns):
        asked = [block["toolUse"]["toolUseId"] for block in turn["content"] if "toolUse" in block]
        if turn["role"] == "assistant":
            assert asked == answered or sorted(asked) == sorted(answered)
            assert "reasoningContent" not in turn["content"][-1]
        else:
            assert asked == []
        kinds = ["toolResult" in block for block in turn["content"] if "cachePoint" not in block]
        assert kinds == sorted(kinds, reverse=True)
        answered = [block["toolResult"]["toolUseId"] for block in turn["content"] if "toolResult" in block]
    assert answered == []
    every_id = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
    assert len(every_id) == len(set(every_id))
    names = [block["document"]["name"] for block in _deep(blocks) if "document" in block]
    assert len(names) == len(set(names))
    points = [block for block in blocks + body.get("system", []) + _tools(body) if "cachePoint" in block]
    assert len(points) <= 4


def _check_tools(body: dict[str, Any], changed: dict[str, str]) -> None:
    names = [block["toolSpec"]["name"] for block in _tools(body) if "toolSpec" in block]
    assert len(names) == len(set(names))
    blocks = [block for turn in body["messages"] for block in turn["content"]]
    used = {block["toolUse"]["name"] for block in blocks if "toolUse" in block}
    assert names or not used
    assert all(wire != name for wire, name in changed.items())


def _check_thinking(body: dict[str, Any]) -> None:
    thinking = body.get("additionalModelRequestFields", {}).get("thinking", {})
    if "budget_tokens" in thinking:
        assert 1024 <= thinking["budget_tokens"] < body["inferenceConfig"]["maxTokens"]
    if thinking:
        assert not {"any", "tool"} & set(body.get("toolConfig", {}).get("toolChoice", {}))


def _tools(body: dict[str, Any]) -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] = body.get("toolConfig", {}).get("tools", [])
    return tools


def _deep(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return blocks + [inner for block in blocks if "toolResult" in block for inner in block["toolResult"]["content"]]
