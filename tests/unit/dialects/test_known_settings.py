"""Settings that many requests have are written as if they had been said for the first time."""

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.converse import CLAUDE, LLAMA

from sekisho.core.chat import ChatRequest
from sekisho.core.errors import CallerError
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WireRequest, WriteOptions
from sekisho.dialects import bedrock_converse
from sekisho.dialects.common.members import read_members
from sekisho.dialects.openai_chat.request import read_chat

_FACTS: Sequence[ModelFacts] = (
    CLAUDE,
    replace(CLAUDE, thinking="budget"),
    LLAMA,
    ModelFacts(family="nova", thinking="nova"),
)
_CALL = {"id": "c", "type": "function", "function": {"name": "read", "arguments": "{}"}}
_MESSAGES = (
    [{"role": "user", "content": "Go on."}],
    [
        {"role": "user", "content": "Go on."},
        {"role": "assistant", "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "File"},
    ],
)
_tools = st.sampled_from(
    [
        [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in names]
        for names in (["read"], ["read", "odd name"], ["read", "read"])
    ]
)
_said = st.fixed_dictionaries(
    {},
    optional={
        "max_tokens": st.sampled_from([1, 5000, None]),
        "temperature": st.sampled_from([0.5, 1, 1.5]),
        "top_p": st.just(0.5),
        "top_k": st.just(7),
        "stop": st.sampled_from(["x", ["a", " "]]),
        "reasoning_effort": st.sampled_from(["none", "high"]),
        "tool_choice": st.sampled_from(
            ["auto", "required", "none", {"type": "function", "function": {"name": "odd name"}}]
        ),
        "parallel_tool_calls": st.booleans(),
        "response_format": st.sampled_from([{"type": "json_object"}, {"type": "text"}]),
        "service_tier": st.sampled_from(["priority", "auto", "rare"]),
        "seed": st.just(1),
        "user": st.sampled_from(["a", "b"]),
        "tools": _tools,
    },
)
_options = st.builds(
    WriteOptions, model=st.just("m"), drop_params=st.booleans(), ceiling=st.sampled_from([None, 100, 4000])
)


def _write(chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest | str:
    try:
        return bedrock_converse.upstream.write_request(chat, facts, options)
    except CallerError as error:
        return str(error)


@given(st.lists(st.tuples(_said, st.sampled_from(_MESSAGES), st.sampled_from(_FACTS), _options), max_size=6))
def test_settings_are_written_as_for_the_first_time(
    calls: list[tuple[dict[str, Any], list[dict[str, Any]], ModelFacts, WriteOptions]],
) -> None:
    for said, messages, facts, options in (*calls, *calls):
        chat = read_chat(read_members(msgspec.json.encode({"messages": messages, **said})))
        assert _write(chat, facts, options) == _write(replace(chat, made=None), facts, options)


def test_what_is_made_of_settings_is_bounded() -> None:
    chat = read_chat(read_members(msgspec.json.encode({"messages": _MESSAGES[0], "max_tokens": 4321})))
    assert chat.made is not None
    for ceiling in range(1, 1000):
        _write(chat, CLAUDE, WriteOptions(model="m", ceiling=ceiling))
        assert len(chat.made) < 100
