"""Plain conversations are read to what the reader of all conversations makes of them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from sekisho.core.errors import CallerError
from sekisho.dialects.openai_chat.messages import read_messages
from sekisho.dialects.openai_chat.options import read_tools
from sekisho.dialects.openai_chat.plain import read_plain_messages, read_plain_tools

_text = st.sampled_from(["", "a", "b\n", "é"])
_parts = st.lists(st.builds(lambda text: {"type": "text", "text": text}, _text), max_size=2)
_content = _text | _parts
_call = st.builds(
    lambda number, arguments: {
        "id": f"call_{number}",
        "type": "function",
        "function": {"name": "f", "arguments": arguments},
    },
    st.integers(0, 2),
    st.sampled_from(["", "{}", '{"a":1}', None]),
)
_message = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "developer", "user"]), "content": _content}),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": _content | st.none()},
        optional={"tool_calls": st.lists(_call, max_size=2) | st.none(), "name": _text},
    ),
    st.fixed_dictionaries({"role": st.just("tool"), "content": _content, "tool_call_id": st.just("call_1")}),
)
_odd = st.sampled_from(
    [
        {"content": None},
        {"content": 1},
        {"content": [{"type": "image_url", "image_url": "data:image/png;base64,AAAA"}]},
        {"content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
        {"cache_control": {"type": "ephemeral"}},
        {"tool_call_id": ""},
        {"tool_call_id": None},
        {"role": "function", "name": "f"},
        {"role": "nobody"},
        {"refusal": "no"},
        {"audio": {"id": "x"}},
        {"reasoning_content": "thought"},
        {"reasoning_content": ""},
        {"thinking_blocks": [{"type": "thinking", "thinking": "t", "signature": "s"}]},
        {"thinking_blocks": []},
        {"function_call": {"name": "f", "arguments": "{}"}},
        {"tool_calls": [{"id": "x", "function": {"name": ""}}]},
        {"tool_calls": [{"id": "x", "type": "custom", "function": {"name": "f"}}]},
        {"tool_calls": [{"id": "x", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}]},
        {"tool_calls": "none"},
        {"unknown": {"a": [1]}},
    ]
)


@given(st.lists(_message, min_size=1, max_size=6))
def test_a_plain_conversation_is_read_alike(messages: list[object]) -> None:
    assert read_plain_messages(Raw(msgspec.json.encode(messages))) == read_messages(messages)


@given(st.lists(st.builds(lambda message, odd: {**message, **odd}, _message, _odd | st.just({})), max_size=4))
def test_what_is_not_plain_is_left_to_the_reader_of_all(messages: list[object]) -> None:
    plain = read_plain_messages(Raw(msgspec.json.encode(messages)))
    try:
        whole = read_messages(messages)
    except CallerError:
        assert plain is None
    else:
        assert plain in (None, whole)


@pytest.mark.parametrize(
    "messages", [b"[]", b"{}", b'"text"', b"null", b"[1]", b'[{"role":"user","content":"\\ud800"}]']
)
def test_what_is_no_conversation_is_not_plain(messages: bytes) -> None:
    assert read_plain_messages(Raw(messages)) is None


_schema = st.sampled_from([{}, {"type": "object", "properties": {"a": {"type": "string"}}}])
_function = st.fixed_dictionaries(
    {"name": st.sampled_from(["f", "g h"]), "parameters": _schema},
    optional={"description": _text, "strict": st.booleans() | st.none(), "unknown": _text},
)
_tool = st.builds(lambda function: {"type": "function", "function": function}, _function)
_odd_tool = st.sampled_from(
    [
        {},
        {"type": None},
        {"type": "web_search"},
        {"cache_control": {"type": "ephemeral"}},
        {"function": None},
        {"function": "f"},
        {"function": {"name": "f"}},
        {"function": {"name": ""}},
        {"function": {"name": "f", "parameters": None}},
        {"function": {"name": "f", "parameters": []}},
        {"function": {"name": "f", "parameters": {}, "cache_control": {"type": "ephemeral"}}},
        {"function": {"name": "f", "parameters": {}, "strict": "yes"}},
    ]
)


@given(st.lists(st.builds(lambda tool, odd: {**tool, **odd}, _tool, st.just({}) | _odd_tool), max_size=3))
def test_plain_tools_are_read_alike(tools: list[object]) -> None:
    raw = Raw(msgspec.json.encode(tools))
    plain = read_plain_tools(raw)
    try:
        whole = read_tools({"tools": raw})
    except CallerError:
        assert plain is None
    else:
        assert plain in (None, whole)


@given(st.lists(_tool, max_size=3))
def test_the_usual_tools_are_plain(tools: list[object]) -> None:
    assert read_plain_tools(Raw(msgspec.json.encode(tools))) is not None
