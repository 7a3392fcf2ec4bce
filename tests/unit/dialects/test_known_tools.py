"""Tools that were seen before are written as if they never had been."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.converse import CLAUDE, LLAMA

from sekisho.core.errors import CallerError
from sekisho.core.model import ModelFacts
from sekisho.core.wire import Inbound, WireRequest, WriteOptions
from sekisho.dialects import bedrock_converse, openai_chat, openai_responses
from sekisho.dialects.common.memo import Memo
from sekisho.policy.caching import mark_for_caching

_FACTS: Sequence[ModelFacts] = (
    CLAUDE,
    LLAMA,
    replace(CLAUDE, json_schema=not CLAUDE.json_schema),
    replace(CLAUDE, cache=frozenset()),
    replace(CLAUDE, cache=frozenset({"tools"}), cache_ttl_1h=True),
)
_function = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["read", "write", "odd name", "x" * 65]),
        "parameters": st.sampled_from([{"type": "object", "properties": {}}, {"properties": {}}, {}, None]),
    },
    optional={"description": st.sampled_from(["Reads", " ", "é"]), "strict": st.booleans()},
)
_mark = st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}])
_chat_tool = st.builds(
    lambda function, others: {"type": "function", "function": function, **others},
    _function,
    st.fixed_dictionaries({}, optional={"cache_control": _mark}),
)
_responses_tool = st.one_of(
    _function.map(lambda function: {"type": "function", **function}),
    st.just({"type": "custom", "name": "patch"}),
    st.just({"type": "web_search"}),
    st.lists(_function.map(lambda function: {"type": "function", **function}), max_size=2).map(
        lambda tools: {"type": "namespace", "name": "files", "description": "Files", "tools": tools}
    ),
)
_ways = st.lists(st.tuples(st.sampled_from(_FACTS), st.booleans(), st.booleans()), min_size=2, max_size=4)
_numbers = count(1)


def _write(
    client: Any, body: bytes, facts: ModelFacts, cached: bool, drop: bool, *, known: bool = True
) -> WireRequest | str:
    """The request of Converse, or the error; `cached` is whether the gateway sets cache points."""
    inbound = Inbound(endpoint=client.endpoints[0], body=body, header=lambda _: None)
    try:
        chat = client.read_call(inbound).chat
        if not known:
            chat.tools = list(chat.tools)
        if cached:
            mark_for_caching(chat, facts)
        return bedrock_converse.upstream.write_request(chat, facts, WriteOptions(model="m", drop_params=drop))
    except CallerError as error:
        return str(error)


def _compare(client: Any, name: str, talk: object, tools: Sequence[object], ways: Any) -> None:
    """Writes a request for each of `ways`, with tools that come back and with tools that come for the first time."""
    encoded = msgspec.json.encode(tools)
    for way in ways:
        # What stands between two tools means nothing, but it makes the text another one.
        new = encoded[:-1] + b"".join(b"\t" if digit == "1" else b" " for digit in f"{next(_numbers):b}") + b"]"
        seen, unseen = (
            b'{"model":"m","%s":%s,"tools":%s}' % (name.encode(), msgspec.json.encode(talk), text)
            for text in (encoded, new)
        )
        assert _write(client, seen, *way) == _write(client, unseen, *way, known=False)


@given(st.lists(_chat_tool, max_size=4), _ways)
def test_tools_of_chat_completions(tools: list[object], ways: Any) -> None:
    called = {"id": "c", "type": "function", "function": {"name": "odd name", "arguments": "{}"}}
    talk = [{"role": "user", "content": "Hello"}, {"role": "assistant", "tool_calls": [called]}]
    _compare(openai_chat.client, "messages", talk, tools, ways)


@given(st.lists(_responses_tool, max_size=4), st.lists(_responses_tool, max_size=1), _ways)
def test_tools_of_responses(tools: list[object], added: list[object], ways: Any) -> None:
    talk = [
        {"type": "additional_tools", "role": "developer", "tools": added},
        {"type": "function_call", "call_id": "c", "namespace": "files", "name": "read", "arguments": "{}"},
        {"role": "user", "content": "Hello"},
    ]
    _compare(openai_responses.client, "input", talk, tools, ways)


class TestMemo:
    def test_what_was_made_is_given_again(self) -> None:
        memo = Memo(lambda text: [text])
        assert memo.find(b"a") is memo.find(b"a")
        assert memo.find(b"b") == [b"b"]

    def test_what_was_used_last_is_kept(self) -> None:
        made: list[bytes] = []

        def make(text: bytes) -> bytes:
            made.append(text)
            return text

        memo = Memo(make, most_entries=2)
        for text in (b"a", b"b", b"a", b"c", b"a", b"b"):
            assert memo.find(text) == text
        assert made == [b"a", b"b", b"c", b"b"]

    def test_its_texts_are_bounded(self) -> None:
        memo = Memo(lambda text: [text])
        kept = [memo.find(bytes([number]) * 100_000) for number in range(20)]
        same = [memo.find(bytes([number]) * 100_000) is kept[number] for number in reversed(range(20))]
        assert same[:10] == [True] * 10
        assert not any(same[10:])

    def test_a_very_long_text_is_not_kept(self) -> None:
        memo = Memo(lambda text: [text])
        assert memo.find(b"a" * 200_000) is not memo.find(b"a" * 200_000)

    def test_that_nothing_was_made_is_not_kept(self) -> None:
        made: list[bytes] = []
        memo: Memo[str] = Memo(made.append)
        assert memo.find(b"a") is memo.find(b"a") is None
        assert made == [b"a", b"a"]
