"""Whatever a client sends, reading it gives a call or an error that names the field."""

import json

from hypothesis import given
from hypothesis import strategies as st
from tests.support.openai_wire import read_whole

from sekisho.core.errors import InvalidRequest
from sekisho.dialects.openai_chat import client

HELLO = [{"role": "user", "content": "hello"}]
JSON_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON_VALUES = st.recursive(
    JSON_LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
# fmt: off
NAMES = st.sampled_from([
    "model", "messages", "tools", "functions", "tool_choice", "function_call", "parallel_tool_calls", "stop",
    "temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "response_format", "reasoning_effort",
    "reasoning", "thinking", "output_config", "service_tier", "stream", "stream_options", "user", "metadata", "tags",
    "fallbacks", "num_retries", "timeout", "drop_params", "extra_body", "litellm_session_id", "n", "seed", "logprobs",
    "logit_bias", "presence_penalty", "modalities", "verbosity", "something_new",
])
MEMBERS = st.sampled_from([
    "role", "content", "tool_calls", "tool_call_id", "thinking_blocks", "reasoning_content", "refusal", "audio",
    "function_call", "name", "cache_control", "type", "text", "image_url", "url", "file", "file_data", "filename",
    "file_id", "function", "arguments", "id", "thinking", "signature", "data", "parameters", "json_schema", "schema",
    "effort", "budget_tokens", "include_usage", "model", "ttl",
])
WORDS = st.sampled_from([
    "user", "assistant", "tool", "function", "system", "text", "image_url", "file", "thinking", "redacted_thinking",
    "refusal", "ephemeral", "json_schema", "enabled", "none", "data:image/png;base64,AAAA", "https://example.org/",
])
# fmt: on
SHAPED_VALUES = st.recursive(
    WORDS | JSON_LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=6),
    max_leaves=12,
)


def expect_call_or_refusal(body: bytes) -> None:
    try:
        call = read_whole(client, body)
    except InvalidRequest as error:
        refused = error
    else:
        assert all(message.parts for message in call.chat.messages)
        return
    assert refused.param
    assert f"`{refused.param}`" in refused.message or refused.param == "request_body"


@given(st.binary())
def test_any_bytes(body: bytes) -> None:
    expect_call_or_refusal(body)


@given(JSON_VALUES)
def test_any_document(document: object) -> None:
    expect_call_or_refusal(json.dumps(document).encode())


@given(st.dictionaries(NAMES, JSON_VALUES | SHAPED_VALUES))
def test_any_values_in_known_fields(fields: dict[str, object]) -> None:
    expect_call_or_refusal(json.dumps({"messages": HELLO, **fields}).encode())


@given(st.lists(st.dictionaries(MEMBERS, SHAPED_VALUES, max_size=6), max_size=4))
def test_any_values_in_messages(messages: list[object]) -> None:
    expect_call_or_refusal(json.dumps({"messages": messages}).encode())


@given(WORDS, SHAPED_VALUES, st.dictionaries(MEMBERS, SHAPED_VALUES, max_size=4))
def test_any_content_of_a_message(role: str, content: object, more: dict[str, object]) -> None:
    expect_call_or_refusal(json.dumps({"messages": [{**more, "role": role, "content": content}]}).encode())
