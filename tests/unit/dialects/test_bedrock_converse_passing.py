"""What is passed from Converse's clients to Converse itself, and questions for the number of tokens."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.converse import CLAUDE
from tests.support.converse_client import HELLO, read_call
from tests.support.service_model import validate

from sekisho.core.chat import ClientCall
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WireAnswer, WireFault, WireRequest, WriteOptions
from sekisho.dialects.bedrock_converse import BedrockConverse
from sekisho.dialects.common.sealed import SealedReasoning, seal

upstream = BedrockConverse()
COUNT = "/bedrock/model/{model}/count-tokens"
OPTIONS = WriteOptions()


def passed(call: ClientCall, facts: Any = CLAUDE, **options: Any) -> WireRequest:
    wire = upstream.pass_request(call, facts, WriteOptions(**options))
    assert wire is not None
    assert wire.native
    return wire


def test_every_byte_inside_a_field_is_kept() -> None:
    messages = b'[{ "role":"user", "content":[{"text":"a\\u0062", "brandNew" : 1.50e0}] }]'
    body = b'{"messages":%b, "somethingNew": {"x" :1}}' % messages
    wire = passed(read_call(body))
    assert messages in wire.body
    assert b'{"x" :1}' in wire.body
    assert msgspec.json.decode(wire.body) == msgspec.json.decode(body)
    assert wire.dropped == ()


@given(st.dictionaries(st.text(max_size=5).map("new_".__add__), st.integers() | st.text() | st.lists(st.booleans())))
def test_fields_never_heard_of_are_kept(fields: dict[str, Any]) -> None:
    body = {"messages": HELLO, **fields}
    assert msgspec.json.decode(passed(read_call(body)).body) == body


def test_the_gateways_own_fields_stay_here() -> None:
    mine = {"litellm_session_id": "s", "tags": ["a"], "metadata": {}, "fallbacks": [], "drop_params": True}
    assert msgspec.json.decode(passed(read_call({"messages": HELLO, **mine})).body) == {"messages": HELLO}


def test_cache_points_are_not_passed_to_models_that_are_known_to_take_none() -> None:
    marked = read_call({"messages": HELLO, "system": [{"text": "s"}, {"cachePoint": {"type": "default"}}]})
    llama = ModelFacts(family="llama")
    assert upstream.pass_request(marked, llama, OPTIONS) is None
    assert b"cachePoint" not in upstream.write_request(marked.chat, llama, OPTIONS).body
    passed(read_call({"messages": HELLO}), llama)
    for facts in (CLAUDE, ModelFacts()):
        assert b"cachePoint" in passed(marked, facts).body


@pytest.mark.parametrize("name", ["files.read", "x" * 65, ""])
def test_tool_names_that_converse_refuses_are_translated(name: str) -> None:
    spec = {"toolSpec": {"name": name, "inputSchema": {"json": {}}}}
    call = read_call({"messages": HELLO, "toolConfig": {"tools": [{"cachePoint": {"type": "default"}}, spec]}})
    assert upstream.pass_request(call, CLAUDE, OPTIONS) is None


def test_results_without_content_are_translated() -> None:
    def ask(content: list[Any], tool_input: object) -> ClientCall:
        use = {"toolUse": {"toolUseId": "a", "name": "t", "input": tool_input}}
        result = {"toolResult": {"toolUseId": "a", "content": content}}
        turns = [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
        spec = {"toolSpec": {"name": "t", "inputSchema": {"json": {}}}}
        return read_call({"messages": [*HELLO, *turns], "toolConfig": {"tools": [spec]}})

    assert upstream.pass_request(ask([], {}), CLAUDE, OPTIONS) is None
    passed(ask([{"text": "x"}], {"content": []}))


def test_reasoning_sealed_by_us_is_translated_and_left_out() -> None:
    reasoning = {"reasoningText": {"text": "hm", "signature": seal(SealedReasoning("rs_1", "gAAAA"))}}
    said = {"role": "assistant", "content": [{"reasoningContent": reasoning}, {"text": "done"}]}
    call = read_call({"messages": [*HELLO, said, *HELLO]})
    assert upstream.pass_request(call, CLAUDE, OPTIONS) is None
    body = upstream.write_request(call.chat, CLAUDE, OPTIONS).body
    assert b"signature" not in body
    assert b"done" in body


@pytest.mark.parametrize("facts", [CLAUDE, ModelFacts(family="nova", thinking="nova")])
def test_an_effort_alone_starts_no_thinking(facts: ModelFacts) -> None:
    call = read_call({"messages": HELLO, "outputConfig": {"effort": "high"}})
    wire = upstream.write_request(call.chat, facts, OPTIONS)
    assert "additionalModelRequestFields" not in msgspec.json.decode(wire.body)
    assert wire.dropped == (("output_config.effort",) if facts.family == "nova" else ())


class TestBetas:
    FACTS = replace(CLAUDE, betas=frozenset({"context-1m"}))

    @pytest.mark.parametrize(
        ("fields", "kept", "dropped"),
        [
            ({"anthropic_beta": ["context-1m"]}, {"anthropic_beta": ["context-1m"]}, ()),
            ({"anthropic_beta": ["context-1m", "x"]}, {"anthropic_beta": ["context-1m"]}, ("anthropic_beta",)),
            ({"anthropic_beta": ["x"], "top_k": 1}, {"top_k": 1}, ("anthropic_beta",)),
            ({"anthropic_beta": ["x"]}, None, ("anthropic_beta",)),
            ({"top_k": 1}, {"top_k": 1}, ()),
        ],
    )
    def test_only_what_the_upstream_takes_reaches_it(
        self, fields: dict[str, Any], kept: object, dropped: tuple[str, ...]
    ) -> None:
        call = read_call({"messages": HELLO, "additionalModelRequestFields": fields})
        wire = passed(call, self.FACTS)
        assert msgspec.json.decode(wire.body).get("additionalModelRequestFields") == kept
        assert wire.dropped == dropped

    @pytest.mark.parametrize(
        "beta",
        [
            "compact-2026-01-12",
            "context-management-2025-06-27",
            "dangerous-tool-use-2026-09-03",
            "interleaved-thinking-2025-05-14",
            "mid-conversation-tool-changes-2026-07-01",
            "tool-search-tool-2025-10-19",
        ],
    )
    def test_what_only_invoke_model_takes_does_not_reach_it(self, beta: str) -> None:
        facts = replace(CLAUDE, betas=frozenset({"context-1m", beta}))
        fields = {"anthropic_beta": ["context-1m", beta]}
        wire = passed(read_call({"messages": HELLO, "additionalModelRequestFields": fields}), facts)
        assert msgspec.json.decode(wire.body)["additionalModelRequestFields"] == {"anthropic_beta": ["context-1m"]}
        assert wire.dropped == ("anthropic_beta",)

    def test_an_upstream_that_takes_any_gets_all(self) -> None:
        fields = {"anthropic_beta": ["x"]}
        wire = passed(read_call({"messages": HELLO, "additionalModelRequestFields": fields}))
        assert msgspec.json.decode(wire.body)["additionalModelRequestFields"] == fields

    @pytest.mark.parametrize("fields", [[], {"anthropic_beta": "x"}])
    def test_what_cannot_be_filtered_is_refused(self, fields: object) -> None:
        with pytest.raises(InvalidRequest):
            passed(read_call({"messages": HELLO, "additionalModelRequestFields": fields}), self.FACTS)


class TestMetadata:
    def test_ours_are_added_to_the_clients(self) -> None:
        call = read_call({"messages": HELLO, "requestMetadata": {"project": "x", "key": "forged"}})
        wire = passed(call, metadata={"key": "real", "user": "u!"})
        metadata = msgspec.json.decode(wire.body)["requestMetadata"]
        assert metadata == {"project": "x", "key": "real", "user": "u_"}
        assert validate("Converse", {"modelId": "m", **msgspec.json.decode(wire.body)}) == []

    def test_without_ours_the_clients_stay_as_they_are(self) -> None:
        call = read_call(b'{"messages":[],"requestMetadata":{"a" : "b"}}')
        assert b'{"a" : "b"}' in passed(call).body

    def test_no_more_than_sixteen(self) -> None:
        call = read_call({"messages": HELLO, "requestMetadata": {f"k{number}": "v" for number in range(16)}})
        wire = passed(call, metadata={"ours": "x", "also": "y"})
        metadata = msgspec.json.decode(wire.body)["requestMetadata"]
        assert len(metadata) == 16
        assert metadata["ours"] == "x"
        assert wire.dropped == ("requestMetadata",)


class TestCounting:
    def test_a_clients_own_question_is_passed_on(self) -> None:
        body = b'{"input":{"invokeModel":{"body":"e30="}},"new":[1 ,2],"litellm_x":1}'
        wire = upstream.write_count_request(read_call(body, COUNT), CLAUDE, OPTIONS)
        assert wire.body == b'{"input":{"invokeModel":{"body":"e30="}},"new":[1 ,2]}'
        assert wire.native

    def test_a_request_is_asked_about_as_it_would_be_sent(self) -> None:
        call = read_call(
            {
                "messages": HELLO,
                "system": [{"text": "s"}],
                "inferenceConfig": {"maxTokens": 5},
                "toolConfig": {"tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "object"}}}}]},
                "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
            }
        )
        wire = upstream.write_count_request(call, CLAUDE, OPTIONS)
        body = msgspec.json.decode(wire.body)
        assert validate("CountTokens", {"modelId": "m", **body}) == []
        assert set(body["input"]["converse"]) == {"messages", "system", "toolConfig", "additionalModelRequestFields"}
        assert not wire.native

    def test_what_cannot_be_sent_cannot_be_counted(self) -> None:
        with pytest.raises(Unsupported):
            upstream.write_count_request(read_call({"messages": HELLO, "guardrailConfig": {}}), CLAUDE, OPTIONS)

    def test_the_answer_is_read(self) -> None:
        assert upstream.read_count(WireAnswer({}, b'{"inputTokens":12,"new":1}')) == 12

    @given(st.binary(max_size=20) | st.sampled_from([b"{}", b'{"inputTokens":-1}', b'{"inputTokens":"1"}']))
    def test_lies_are_corrupt(self, body: bytes) -> None:
        with pytest.raises(WireFault, match="corrupt"):
            upstream.read_count(WireAnswer({}, body))
