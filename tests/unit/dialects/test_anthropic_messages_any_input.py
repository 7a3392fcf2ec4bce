"""Whatever a client sends, reading it gives a call or an error that names the field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.anthropic_wire import read

from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.dialects.anthropic_messages import client

HELLO = [{"role": "user", "content": "hello"}]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": [{"type": "unheard_of"}]}]}, "messages[0].content[0].type"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}]},
        "messages[0].content[0].source.type",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "x"}}]}]},
        "messages[0].content[0].cache_control.type",
    ),
    ({"system": [{"type": "image"}]}, "system[0].type"),
    ({"tools": [{"name": "x"}]}, "tools[0].input_schema"),
    ({"tool_choice": {"type": "required"}}, "tool_choice.type"),
    ({"thinking": {"type": "lots"}}, "thinking.type"),
    ({"output_config": {"effort": "huge"}}, "output_config.effort"),
    ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
    ({"temperature": 1.5}, "temperature"),
    ({"stop_sequences": "END"}, "stop_sequences"),
    ({"cache_control": {"type": "ephemeral", "ttl": "2h"}}, "cache_control.ttl"),
]


@pytest.mark.parametrize(("fields", "param"), BAD)
def test_errors_name_the_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        _ = read(client, {"model": "sonnet", "messages": HELLO, **fields}).chat
    assert raised.value.param == param
    assert f"`{param}`" in raised.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 5}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 2**70}, "max_tokens"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id"),
    ],
)
def test_errors_of_the_envelope_name_the_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read(client, {"messages": HELLO, **fields})
    assert raised.value.param == param


def test_nesting_has_an_end() -> None:
    block: Any = {"type": "tool_result", "tool_use_id": "t"}
    for _ in range(300):
        block = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
    with pytest.raises(Unsupported):
        _ = read(client, {"messages": [{"role": "user", "content": [block]}]}).chat


WORDS = """
    user assistant text image document tool_use tool_result thinking redacted_thinking search_result base64 url content
    ephemeral 5m enabled adaptive custom auto any tool json_schema high
"""
MEMBERS = """
    role content type text source data url media_type tool_use_id id name input is_error thinking signature title
    cache_control ttl citations enabled context input_schema schema effort format budget_tokens tool_name
"""
FIELDS = """
    model system max_tokens stream metadata tools tool_choice thinking output_config output_format stop_sequences
    temperature top_k service_tier cache_control context_management unheard_of tags
"""
leaves = st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats(allow_nan=False) | st.text(max_size=6)
words = st.sampled_from(WORDS.split())
members = st.sampled_from(MEMBERS.split())
values = st.recursive(
    leaves | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=5),
    max_leaves=14,
)
blocks = st.fixed_dictionaries({"type": words}, optional={name: values for name in MEMBERS.split() if name != "type"})


def expect_chat_or_refusal(body: Any) -> None:
    refused: InvalidRequest | None = None
    try:
        chat = read(client, body).chat
    except InvalidRequest as error:
        refused = error
    if refused is not None:
        assert refused.param
    else:
        assert all(message.parts for message in chat.messages)


@given(st.dictionaries(st.sampled_from(FIELDS.split()), values, max_size=4))
def test_any_values_in_known_fields(document: dict[str, object]) -> None:
    expect_chat_or_refusal({"messages": HELLO, **document})


@given(st.lists(blocks, max_size=3))
def test_any_blocks(content: list[object]) -> None:
    expect_chat_or_refusal({"messages": [{"role": "user", "content": content}]})
