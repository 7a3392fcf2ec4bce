"""Plain conversations are read to what the reader of all makes of them, also when their beginning is known."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace
from tests.support.converse import CLAUDE, LLAMA

from sekisho.core.chat import ChatRequest, KnownTurns, Message, Text
from sekisho.core.errors import CallerError
from sekisho.core.model import ModelFacts
from sekisho.core.wire import Inbound, WireRequest, WriteOptions
from sekisho.dialects import anthropic_messages, bedrock_converse, openai_chat, openai_responses
from sekisho.dialects.common import beginnings as module
from sekisho.dialects.common.beginnings import Beginnings
from sekisho.dialects.openai_responses.serving.directory import ToolDirectory
from sekisho.dialects.openai_responses.serving.items import Conversation
from sekisho.dialects.openai_responses.serving.plain import read_plain_items

_text = st.sampled_from(["", " ", "a", "b\n", "é", '"\\'])
_part = st.builds(
    lambda kind, text: {"type": kind, "text": text},
    st.sampled_from(["input_text", "output_text", "text", "summary_text"]),
    _text,
)
_content = _text | st.lists(_part, max_size=2)
_id = st.sampled_from(["call_1", "call_2", "call 3", "y" * 65])
_name = st.sampled_from([*["read"] * 8, "odd name", "x" * 65])
_arguments = st.sampled_from(["", "{}", '{"a": 12345678901234567890123}', "[1"])
_message = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"]), "content": _content},
    optional={"type": st.sampled_from(["message", None]), "id": st.just("msg_1"), "status": st.just("completed")},
)
_system = st.fixed_dictionaries({"role": st.sampled_from(["system", "developer"]), "content": _content})
_call = st.fixed_dictionaries(
    {"type": st.just("function_call"), "call_id": _id, "name": _name, "arguments": _arguments}
)
_custom = st.fixed_dictionaries({"type": st.just("custom_tool_call"), "call_id": _id, "name": _name, "input": _text})
_output = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["function_call_output", "custom_tool_call_output"]),
        "call_id": _id,
        "output": _content,
    }
)
_item = _message | _system | _call | _custom | _output
_odd = st.sampled_from(
    [
        {"type": "reasoning", "summary": []},
        {"type": "web_search_call"},
        {"type": "nothing known"},
        {"type": 1},
        {"type": "item_reference", "id": "msg_1"},
        {"role": None},
        {"role": "tool"},
        {"content": None},
        {"content": 1},
        {"content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]},
        {"content": [{"type": "refusal", "refusal": "no"}]},
        {"content": [{"type": "output_text", "text": "a", "annotations": [{"type": "url_citation", "url": "u"}]}]},
        {"content": [{"type": "output_text", "text": "a", "annotations": []}]},
        {"call_id": None},
        {"call_id": ""},
        {"name": ""},
        {"name": None},
        {"namespace": "files"},
        {"namespace": None},
        {"arguments": None},
        {"input": None},
        {"output": None},
        {"unknown": {"a": [1]}},
    ]
)


def _read_all(items: object) -> tuple[list[Text], list[Message]]:
    conversation = Conversation(ToolDirectory())
    conversation.read(items)
    return conversation.system, conversation.turns


@given(st.lists(_item, min_size=1, max_size=6))
def test_a_plain_conversation_is_read_alike(items: list[object]) -> None:
    system, turns = _read_all(items)
    assert read_plain_items(Raw(msgspec.json.encode(items))) == ((system, turns) if turns else None)


@given(st.lists(st.builds(lambda item, odd: {**item, **odd}, _item, _odd | st.just({})), max_size=4))
def test_what_is_not_plain_is_left_to_the_reader_of_all(items: list[object]) -> None:
    plain = read_plain_items(Raw(msgspec.json.encode(items)))
    try:
        whole = _read_all(items)
    except CallerError:
        assert plain is None
    else:
        assert plain in (None, whole)


@pytest.mark.parametrize("items", [b"[]", b"{}", b'"text"', b"null", b"[1]", b'[{"role":"user","content":"\\ud800"}]'])
def test_what_is_no_conversation_is_not_plain(items: bytes) -> None:
    assert read_plain_items(Raw(items)) is None


_usual = st.lists(
    st.builds(
        lambda number, name, text: [
            {"role": "assistant", "content": [{"type": "output_text", "text": text}]},
            {"type": "function_call", "call_id": f"call_{number}", "name": name, "arguments": "{}"},
            {"type": "function_call_output", "call_id": f"call_{number}", "output": text},
        ],
        st.integers(1, 4),
        _name,
        _text,
    ),
    min_size=3,
    max_size=6,
).map(lambda turns: [{"role": "user", "content": "Go on."}, *(item for turn in turns for item in turn)])
_TOOLS = [{"type": "function", "name": "read", "parameters": {"type": "object", "properties": {}}}]
_rest = st.fixed_dictionaries(
    {},
    optional={"tools": st.just(_TOOLS), "reasoning": st.just({"effort": "high"}), "instructions": st.just("Be brief.")},
)
_FACTS: Sequence[ModelFacts] = (CLAUDE, LLAMA)
_upstream = st.sampled_from([*[bedrock_converse] * 4, anthropic_messages, openai_chat])
_path = st.sampled_from(openai_responses.client.endpoints)


def _read(body: bytes, path: Any, known: Beginnings) -> ChatRequest:
    inbound = Inbound(endpoint=path, body=body, header=lambda _: None)
    with patch.object(module, "_SHORTEST", 0), patch("sekisho.dialects.common.openai_envelope.beginnings", known):
        return openai_responses.client.read_call(inbound).chat


def _write(upstream: Any, body: bytes, path: Any, facts: ModelFacts, known: Beginnings) -> WireRequest | str:
    try:
        wire: WireRequest = upstream.upstream.write_request(_read(body, path, known), facts, WriteOptions(model="m"))
    except CallerError as error:
        return str(error)
    assert wire.digest in (None, sha256(wire.body).hexdigest())
    return replace(wire, digest=None)


@given(
    items=_usual | st.lists(_item | _odd, min_size=3, max_size=12),
    others=st.lists(_rest, min_size=1, max_size=3),
    cuts=st.lists(st.integers(1, 19), min_size=2, max_size=5),
    ways=st.lists(st.tuples(_upstream, _path, st.sampled_from(_FACTS)), min_size=1, max_size=3),
)
def test_a_conversation_that_goes_on_is_written_alike(
    items: list[dict[str, object]],
    others: list[dict[str, object]],
    cuts: list[int],
    ways: list[tuple[Any, Any, ModelFacts]],
) -> None:
    known = Beginnings()
    for number, cut in enumerate(cuts):
        for upstream, path, facts in ways:
            body = msgspec.json.encode({"model": "m", "input": items[:cut], **others[number % len(others)]})
            assert _write(upstream, body, path, facts, known) == _write(upstream, body, path, facts, Beginnings())


def _turns(count: int) -> list[dict[str, object]]:
    said: list[dict[str, object]] = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Go."}]
    for number in range(count):
        call_id = f"call_{number}"
        said += [
            {"type": "function_call", "call_id": call_id, "name": "read", "arguments": "{}"},
            {"type": "function_call_output", "call_id": call_id, "output": f"File {number}"},
        ]
    return said


def test_calls_of_a_conversation_share_its_turns_and_no_call_changes_them() -> None:
    known, usual = Beginnings(), openai_responses.client.endpoints[0]
    compact = next(each for each in openai_responses.client.endpoints if each.path.endswith("/compact"))
    shared: list[KnownTurns] = []
    for count in (4, 4, 5):
        body = msgspec.json.encode({"model": "m", "input": _turns(count), "tools": _TOOLS})
        chat = _read(body, usual, known)
        assert chat.known is not None
        assert all(turn is other for turn, other in zip(chat.messages, chat.known, strict=False))
        shared.append(chat.known)
        before = msgspec.to_builtins(list(chat.known))
        _read(body, compact, known)
        assert msgspec.to_builtins(list(chat.known)) == before
    assert shared[0] is shared[1]
    assert len(shared[2]) == len(shared[1]) + 2
