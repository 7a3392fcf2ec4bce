"""Conversations that go on are written as if nothing of them had been seen before."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from unittest.mock import patch

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.converse import CLAUDE, LLAMA

from sekisho.core.chat import ChatRequest, KnownTurns, Thinking
from sekisho.core.clock import SystemClock
from sekisho.core.errors import CallerError
from sekisho.core.model import ModelFacts
from sekisho.core.wire import Inbound, WireRequest, WriteOptions
from sekisho.dialects import anthropic_messages, bedrock_converse, openai_chat, openai_responses
from sekisho.dialects.bedrock_converse.calling.known import WrittenTurns
from sekisho.dialects.common import beginnings as module
from sekisho.dialects.common.beginnings import Beginnings
from sekisho.dialects.common.members import read_members
from sekisho.dialects.openai_chat.request import read_chat
from sekisho.gateway.thinking import ThinkingKeeper
from sekisho.policy.caching import mark_for_caching

_FACTS: Sequence[ModelFacts] = (CLAUDE, LLAMA, replace(CLAUDE, system=False), replace(CLAUDE, thinking="budget"))
_text = st.sampled_from(
    ["", " ", "a", "b\n", "é\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), '"\\']
)
_name = st.sampled_from([*["read"] * 8, "odd name", "x" * 65])
_id = st.sampled_from(["call_1", "call_2", "call 3", "y" * 65])
_call = st.builds(
    lambda call_id, name, arguments: {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    },
    _id,
    _name,
    st.sampled_from(["", "{}", '{"a": 12345678901234567890123}', "[1", '{"a":1,"a":2}']),
)
_answer = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": _text | st.none()},
    optional={"tool_calls": st.lists(_call, max_size=2), "reasoning_content": st.sampled_from(["", "thought"])},
)
_result = st.fixed_dictionaries({"role": st.just("tool"), "content": _text, "tool_call_id": _id})
_said = st.fixed_dictionaries({"role": st.just("user"), "content": _text}, optional={"unknown": st.just([1])})
_system = st.fixed_dictionaries({"role": st.just("system"), "content": _text})
_marked = st.builds(
    lambda text: {
        "role": "user",
        "content": [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}],
    },
    _text,
)
_messages = st.lists(
    st.one_of(_answer, _result, _said, st.tuples(_answer, _result), st.tuples(_answer, _said), _system, _marked),
    min_size=2,
    max_size=8,
).map(lambda drawn: [message for some in drawn for message in (some if isinstance(some, tuple) else [some])])
_usual = st.lists(
    st.builds(
        lambda number, name, text: [
            {
                "role": "assistant",
                "content": text,
                "tool_calls": [
                    {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": f"call_{number}", "content": text},
        ],
        st.integers(1, 4),
        _name,
        _text,
    ),
    min_size=3,
    max_size=6,
).map(lambda turns: [{"role": "user", "content": "Go on."}, *(message for turn in turns for message in turn)])
_interrupted = st.builds(
    lambda turns, at, system: [*turns[:at], system, *turns[at:]], _usual, st.integers(1, 9), _system
)
_TOOLS = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object", "properties": {}}}}]
_rest = st.fixed_dictionaries({}, optional={"tools": st.just(_TOOLS), "reasoning_effort": st.just("high")})
_upstream = st.sampled_from([*[bedrock_converse] * 6, anthropic_messages, openai_chat, openai_responses])
_keeper = ThinkingKeeper(SystemClock())


def _read(body: bytes, known: Beginnings | None) -> ChatRequest:
    if known is None:
        return read_chat(read_members(body))
    inbound = Inbound(endpoint=openai_chat.client.endpoints[0], body=body, header=lambda _: None)
    with patch.object(module, "_SHORTEST", 0), patch("sekisho.dialects.common.openai_envelope.beginnings", known):
        return openai_chat.client.read_call(inbound).chat


def _write(
    upstream: Any, body: bytes, facts: ModelFacts, cached: bool, reasoned: bool, known: Beginnings | None
) -> WireRequest | str:
    """The request, or the error; `cached` and `reasoned` are whether the gateway adds cache points and reasoning."""
    try:
        chat = _read(body, known)
        if reasoned:
            for at, turn in enumerate(chat.messages[:3]):
                if turn.role == "assistant":
                    chat.messages[at] = replace(turn, parts=[Thinking(text="t", signature="s"), *turn.parts])
        if cached:
            mark_for_caching(chat, facts)
        wire: WireRequest = upstream.upstream.write_request(chat, facts, WriteOptions(model="m"))
    except CallerError as error:
        return str(error)
    assert wire.digest in (None, sha256(wire.body).hexdigest())
    return replace(wire, digest=None)


@given(
    messages=_usual | _interrupted | _messages,
    others=st.lists(_rest, min_size=1, max_size=3),
    cuts=st.lists(st.integers(3, 14), min_size=2, max_size=5),
    ways=st.lists(st.tuples(_upstream, st.sampled_from(_FACTS), st.booleans(), st.booleans()), min_size=1, max_size=3),
)
def test_a_conversation_that_goes_on_is_written_alike(
    messages: list[dict[str, object]],
    others: list[dict[str, object]],
    cuts: list[int],
    ways: list[tuple[Any, ModelFacts, bool, bool]],
) -> None:
    known = Beginnings()
    for number, cut in enumerate(cuts):
        for upstream, facts, cached, reasoned in ways:
            body = msgspec.json.encode({"model": "m", "messages": messages[:cut], **others[number % len(others)]})
            written = _write(upstream, body, facts, cached, reasoned, known)
            assert written == _write(upstream, body, facts, cached, reasoned, None)


def _turns(count: int) -> list[dict[str, object]]:
    said: list[dict[str, object]] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Go on."}]
    for number in range(count):
        call = {"id": f"call_{number}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
        said += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"call_{number}", "content": f"File {number}"},
        ]
    return said


def test_calls_of_a_conversation_share_its_turns_and_no_call_changes_them() -> None:
    known = Beginnings()
    shared: list[KnownTurns] = []
    for count in (4, 4, 5):
        chat = _read(msgspec.json.encode({"model": "m", "messages": _turns(count), "tools": _TOOLS}), known)
        assert chat.known is not None
        assert all(turn is other for turn, other in zip(chat.messages, chat.known, strict=False))
        shared.append(chat.known)
        before = msgspec.to_builtins(list(chat.known))
        mark_for_caching(chat, CLAUDE)
        wire = bedrock_converse.upstream.write_request(chat, CLAUDE, WriteOptions())
        assert wire.digest == sha256(wire.body).hexdigest()
        assert msgspec.to_builtins(list(chat.known)) == before
    assert shared[0] is shared[1]
    assert all(turn is other for turn, other in zip(shared[1], shared[2], strict=False))
    assert len(shared[2]) == len(shared[1]) + 2
    (written,) = (made for made in shared[2].made.values() if isinstance(made, WrittenTurns))
    assert len(written.ends) == len(shared[2])


def test_names_that_no_upstream_takes_are_still_known_after_more_turns() -> None:
    known = Beginnings()
    turns = _turns(4)
    turns[2]["tool_calls"][0]["function"]["name"] = "odd name"  # type: ignore[index]  # it is a call
    for count in (6, 8, 10):
        chat = _read(msgspec.json.encode({"model": "m", "messages": turns[:count], "tools": _TOOLS}), known)
        wire = bedrock_converse.upstream.write_request(chat, CLAUDE, WriteOptions())
        assert list(wire.tool_names.values()) == ["odd name"]
