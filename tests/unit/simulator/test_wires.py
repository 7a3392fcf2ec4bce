"""Every wire takes any JSON: it reads it or refuses it in its own words, and what it has read it can answer."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.bedrock import CLAUDE

from sekisho.core.usage import Usage
from sekisho.simulator.accounting import count_prompt
from sekisho.simulator.errors import Refusal
from sekisho.simulator.http import Request
from sekisho.simulator.prompt import open_thinking, seal_thinking
from sekisho.simulator.routes import find_route
from sekisho.simulator.script import play
from sekisho.simulator.vectors import make_vector
from sekisho.simulator.wires.base import Counter, Embedder, Said, Wire, names

PATHS: dict[str, dict[str, Any]] = {
    f"/model/{CLAUDE}/converse": {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
    f"/model/{CLAUDE}/invoke": {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": []},
    f"/model/{CLAUDE}/count-tokens": {"input": {"converse": {}}},
    "/model/amazon.titan-embed-text-v2:0/invoke": {"inputText": "hi"},
    "/model/cohere.embed-english-v3/invoke": {"texts": ["hi"], "input_type": "search_query"},
    "/v1/messages": {"model": "claude-opus-4-7", "max_tokens": 9, "messages": [], "tools": []},
    "/anthropic/v1/messages": {"model": CLAUDE, "max_tokens": 9, "messages": [], "tools": []},
    "/v1/messages/count_tokens": {"model": CLAUDE, "messages": []},
    "/v1/chat/completions": {"model": "m", "messages": [], "tools": [], "tool_choice": "auto", "response_format": {}},
    "/v1/responses": {"model": "m", "input": [], "tools": [], "tool_choice": "auto", "text": {}, "reasoning": {}},
    "/v1/responses/input_tokens": {"model": "m", "input": []},
    "/v1/completions": {"model": "m", "prompt": "hi"},
    "/v1/embeddings": {"model": "m", "input": "hi"},
    "/endpoints/e/invocations": {"messages": []},
}
# What bodies are made of, so that the readers get further than the first check.
NAMES = st.sampled_from(
    sorted(
        names("""
    type role content text id name input source data tool_use_id call_id arguments output function custom parameters
    input_schema tool_calls tool_call_id image_url url file file_data summary encrypted_content cache_control ttl
    thinking signature format schema strict tools
""")
    )
)
WORDS = st.sampled_from(
    sorted(
        names("""
    user assistant system tool developer text image document thinking redacted_thinking tool_use tool_result
    function custom namespace message function_call function_call_output reasoning input_text output_text
    input_image input_file image_url file json_schema json_object auto any required none base64 compaction
    item_reference
""")
    )
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 5000), WORDS, st.text(max_size=5))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)

# Blocks, and turns and items made of them, right in what is looked at first.
BLOCKS: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda fields, kind: {**fields, "type": kind}, st.dictionaries(NAMES, VALUES, max_size=4), WORDS
)
ITEMS = st.one_of(
    st.dictionaries(NAMES, VALUES, max_size=5),
    BLOCKS,
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool"]), "content": st.lists(BLOCKS, max_size=3) | VALUES},
        optional={"tool_calls": st.lists(BLOCKS, max_size=2), "tool_call_id": WORDS},
    ),
)


def request_of(path: str, body: bytes) -> Request:
    headers = {"anthropic-version": "2023-06-01"}
    return Request(method="POST", raw_path=path, query="", headers=headers, body=body)


def handle(path: str, body: bytes) -> None:
    """Reads a body and answers it in every way; only a Refusal may come of it, which can be worded."""
    request = request_of(path, body)
    route = find_route(request)
    assert route is not None
    speaker, model = route.speaker, route.model or ""
    try:
        if isinstance(speaker, Embedder):
            assert speaker.embed(request, model).document
        elif isinstance(speaker, Counter):
            assert count_prompt(speaker.read(request, model)) >= 0
        elif isinstance(speaker, Wire):
            prompt = speaker.read(request, model)
            assert count_prompt(prompt) >= 0
            said = Said(id="1", created=1, prompt=prompt, answer=play(prompt), usage=Usage(), latency_ms=1)
            assert msgspec.json.encode(speaker.write(said))
            assert all(speaker.envelope().wrap(event) is not None for event in speaker.stream(said))
    except Refusal as error:
        status, _, document = speaker.write_error(error)
        assert 400 <= status < 500
        assert "message" in json.dumps(document).lower()


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_json_is_read_or_refused(path: str, data: st.DataObject) -> None:
    usual: dict[str, Any] = PATHS[path]
    body = dict(usual)
    for name in data.draw(st.lists(st.sampled_from([*usual, "tools", "system"]), min_size=1, max_size=2)):
        body[name] = data.draw(VALUES)
    for name in ("messages", "input", "tools"):
        if isinstance(body.get(name), list):
            body[name] = data.draw(st.lists(ITEMS, max_size=3))
    handle(path, json.dumps(body).encode())


MESSAGE_BLOCKS: list[dict[str, Any]] = [
    {"type": "tool_use", "id": 1, "name": 5, "input": 3},
    {"type": "tool_use", "id": "a", "name": "b", "input": "x"},
    {"type": "tool_result", "tool_use_id": [1], "content": "x"},
    {"type": "tool_result", "tool_use_id": "a", "content": [5]},
    {"type": "tool_result", "tool_use_id": "a", "content": {"a": 1}},
    {"type": "thinking", "thinking": 5, "signature": []},
    {"type": "redacted_thinking", "data": 5},
    {"type": "text", "text": 5},
    {"type": "text", "text": "x", "cache_control": "yes"},
    {"type": "text", "text": "x", "cache_control": {"ttl": 5}},
    {"type": "image", "source": {"type": []}},
    {"type": "document", "source": {"type": "text"}, "citations": "x"},
]
SCHEMAS: list[Any] = [
    {"required": 5},
    {"type": "object", "properties": 5, "required": ["b"]},
    {"properties": {"b": {"type": "array", "minItems": "x"}}, "required": ["b"]},
    {"properties": {"b": {"anyOf": 5}}, "required": ["b"]},
    {"properties": {"b": {"type": 5}}, "required": ["b"]},
    {"properties": {"b": {"type": "number", "minimum": "x"}}, "required": ["b"]},
    {"$ref": 5},
    {"$ref": "#/$defs/a/b", "$defs": {"a": True}},
    {"$ref": "#"},
    {"enum": {}},
    {"type": "string", "minLength": [], "format": []},
    {"items": [True, {"type": "string"}], "type": "array", "minItems": 1},
]
ASKED = [{"role": "user", "content": "hi"}]
CHAT_FIELDS: list[dict[str, Any]] = [
    {"tool_choice": {"type": "allowed_tools", "allowed_tools": "x"}},
    {"tool_choice": {"type": "function", "function": 5}},
    {"stream": True, "stream_options": {"include_usage": 5}},
]
RESPONSE_FIELDS: list[dict[str, Any]] = [
    {"text": {"format": {"type": "json_schema", "name": 5, "schema": {}}}},
    {"reasoning": {"summary": []}},
    {"tool_choice": 5},
    {"tool_choice": {"type": []}},
    {"tool_choice": {"type": "function", "name": []}},
    {"input": [{"type": [None]}]},
    {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": {"url": 5}}]}]},
    {"input": [{"role": "user", "content": [{"type": "input_file", "file_data": 5}]}]},
    {"input": [{"type": "function_call", "name": "x", "arguments": "{}"}]},
]
MODEL_FIELDS: list[dict[str, Any]] = [
    {"thinking": {"type": "adaptive"}, "top_p": "x"},
    {"thinking": {"type": "enabled", "budget_tokens": "x"}},
    {"anthropic_beta": "x"},
    {"tool_choice": []},
]
FOUND: list[tuple[str, dict[str, Any]]] = [
    *(
        (path, {"messages": [*ASKED, {"role": role, "content": [block]}]})
        for path in ("/v1/messages", f"/model/{CLAUDE}/invoke")
        for role in ("user", "assistant")
        for block in MESSAGE_BLOCKS
    ),
    *(("/v1/messages", {"messages": ASKED, **more}) for more in ({"output_config": {"format": "x"}}, {"thinking": 5})),
    *(
        ("/v1/messages", {"messages": ASKED, "tools": [{"name": "a", "input_schema": schema}], "tool_choice": choice})
        for schema in SCHEMAS
        for choice in ({"type": "any"}, {"type": "auto"})
    ),
    *(
        ("/v1/chat/completions", {"messages": ASKED, "response_format": wish})
        for schema in SCHEMAS
        for strict in (True, False)
        for wish in [{"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": strict}}]
    ),
    *(
        ("/v1/chat/completions", {"messages": ASKED, "tools": [{"type": "custom", "custom": {"name": "x"}}], **more})
        for more in CHAT_FIELDS
    ),
    *(("/v1/responses", {"input": "hi", **more}) for more in RESPONSE_FIELDS),
    *((f"/model/{CLAUDE}/converse", {"additionalModelRequestFields": fields}) for fields in MODEL_FIELDS),
]


@pytest.mark.parametrize("index", range(len(FOUND)))
def test_what_once_went_wrong_is_refused(index: int) -> None:
    path, fields = FOUND[index]
    handle(path, json.dumps({**PATHS[path], **fields}).encode())


@pytest.mark.parametrize("path", PATHS)
@given(body=st.binary(max_size=40))
@example(body=b"[]")
@example(body=b"{}")
def test_any_bytes_are_read_or_refused(path: str, body: bytes) -> None:
    handle(path, body)


@given(st.text())
def test_sealed_reasoning_is_read_again(text: str) -> None:
    assert open_thinking(seal_thinking(text)) == text


@given(st.text())
def test_what_nobody_sealed_is_not_read(text: str) -> None:
    assert open_thinking(text) is None


@given(st.text(), st.integers(1, 64))
def test_a_vector_has_length_one_and_is_its_texts_own(text: str, dimensions: int) -> None:
    vector = make_vector(text, dimensions)
    assert len(vector) == dimensions
    assert sum(number * number for number in vector) == pytest.approx(1)
    assert make_vector(text, dimensions) == vector
