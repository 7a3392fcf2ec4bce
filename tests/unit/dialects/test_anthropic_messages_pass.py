"""A client's own bytes on their way to an upstream of the same format."""

import json
from typing import Any

import pytest
from msgspec import structs
from tests.support.anthropic_wire import CLAUDE, read

from sekisho.core.model import ModelFacts
from sekisho.core.wire import WireAnswer, WireFault, WireRequest, WriteOptions
from sekisho.dialects.anthropic_messages import client
from sekisho.dialects.anthropic_messages.calling.dialect import AnthropicUpstream
from sekisho.dialects.common.sealed import SealedReasoning, seal
from sekisho.dialects.openai_chat import client as openai_client

UPSTREAM = AnthropicUpstream()
HELLO: Any = [{"role": "user", "content": "hello"}]
ADAPTIVE = structs.replace(CLAUDE, thinking="adaptive", sampling="none")
THOUGHTLESS = structs.replace(CLAUDE, thinking="none")
BUDGET = structs.replace(CLAUDE, thinking="budget")


def send(
    fields: dict[str, Any] | bytes, facts: ModelFacts = CLAUDE, *, stream: bool = False, **headers: str
) -> WireRequest | None:
    body = fields if isinstance(fields, bytes) else {"model": "sonnet", "max_tokens": 5000, "messages": HELLO} | fields
    return UPSTREAM.pass_request(read(client, body, **headers), facts, WriteOptions(model="claude-x", stream=stream))


def sent(fields: dict[str, Any], facts: ModelFacts = CLAUDE, **headers: str) -> tuple[dict[str, Any], WireRequest]:
    wire = send(fields, facts, stream=False, **headers)
    assert wire is not None
    assert wire.native
    return json.loads(wire.body), wire


def test_nested_bytes_and_unknown_fields_stay_as_they_came() -> None:
    messages = b'[ {"role":"user","content":[{"type":"text","text":"\\u95a2","unheard_of":1.50}]} ]'
    tools = b'[{"name":"a","input_schema":{"z":1e2,"a":{}},"custom_thing":[ ]}]'
    body = b'{"model":"m","max_tokens":5,"messages":%b,"tools":%b,"unheard_of":{"b":1.0,"a": 2}}' % (messages, tools)
    wire = send(body)
    assert wire is not None
    assert wire.body == body.replace(b'"m"', b'"claude-x"')
    assert (wire.headers, wire.dropped) == ({"anthropic-version": "2023-06-01"}, ())


@pytest.mark.parametrize("stream", [True, False])
def test_a_stream_is_what_the_gateway_asks_for(stream: bool) -> None:
    wire = send({"stream": stream}, stream=stream)
    assert wire is not None
    assert json.loads(wire.body).get("stream", False) is stream


def test_the_gateways_own_fields_end_here() -> None:
    body, _ = sent(
        {
            "drop_params": True, "litellm_session_id": "s", "litellm_metadata": {}, "tags": ["a"], "fallbacks": ["b"],
            "num_retries": 1, "timeout": 5, "metadata": {"user_id": "u", "tags": ["x"], "session_id": "s", "new": 1},
        }
    )  # fmt: skip
    assert body.keys() == {"model", "max_tokens", "messages", "metadata"}
    assert body["metadata"] == {"user_id": "u", "new": 1}
    assert "metadata" not in sent({"metadata": {"tags": ["x"]}})[0]


def test_betas_are_limited_to_those_the_upstream_takes() -> None:
    _, wire = sent({}, anthropic_beta="good-1,bad-2")
    assert wire.headers["anthropic-beta"] == "good-1,bad-2"
    _, wire = sent({}, structs.replace(CLAUDE, betas=frozenset({"good-1"})), anthropic_beta="good-1,bad-2")
    assert wire.headers["anthropic-beta"] == "good-1"
    assert wire.dropped == ("anthropic_beta",)


@pytest.mark.parametrize(
    ("asked", "taken", "expected", "dropped"),
    [
        ("2026-10-21", ("2023-06-01",), "2023-06-01", ()),
        ("2026-10-21", ("2023-06-01", "2026-10-21"), "2026-10-21", ("temperature",)),
        ("2023-06-01", ("2023-06-01", "2026-10-21"), "2023-06-01", ()),
        ("2023-06-01", ("2026-10-21",), "2026-10-21", ("temperature",)),
        ("1999-01-01", ("2023-06-01",), "2023-06-01", ()),
    ],
)
def test_versions_are_mapped_per_model(asked: str, taken: Any, expected: str, dropped: Any) -> None:
    facts = structs.replace(CLAUDE, anthropic_versions=taken)
    body, wire = sent({"temperature": 0.5}, facts, anthropic_version=asked)
    assert (wire.headers["anthropic-version"], wire.dropped) == (expected, dropped)
    assert ("temperature" in body) == (not dropped)


def test_a_limit_over_the_models_is_brought_down() -> None:
    assert sent({"max_tokens": 100_000})[0]["max_tokens"] == 64000
    assert sent({"max_tokens": 100_000}, ModelFacts())[0]["max_tokens"] == 100_000


@pytest.mark.parametrize(
    ("facts", "fields", "expected"),
    [
        # What the model takes is left alone.
        (ADAPTIVE, {"thinking": {"type": "adaptive", "new": 1}, "output_config": {"effort": "max"}},
         {"thinking": {"type": "adaptive", "new": 1}, "output_config": {"effort": "max"}}),
        (BUDGET, {"thinking": {"type": "enabled", "budget_tokens": 2000}},
         {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        (ModelFacts(), {"thinking": {"type": "adaptive"}}, {"thinking": {"type": "adaptive"}}),
        (BUDGET, {"thinking": {"type": "disabled"}}, {"thinking": {"type": "disabled"}}),
        # Claude Code asks an unknown model for a budget, and its newest ones for adaptive thinking.
        (ADAPTIVE, {"thinking": {"type": "enabled", "budget_tokens": 31999, "display": "omitted"}, "max_tokens": 32000},
         {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "high"},
          "max_tokens": 32000}),
        (BUDGET, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low", "new": 1}},
         {"thinking": {"type": "enabled", "budget_tokens": 2048}, "output_config": {"new": 1}}),
        # Qwen Code asks for a budget of all its tokens.
        (BUDGET, {"thinking": {"type": "enabled", "budget_tokens": 32000}, "max_tokens": 32000},
         {"thinking": {"type": "enabled", "budget_tokens": 31999}, "max_tokens": 32000}),
        (THOUGHTLESS, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, {}),
        # An effort alone, for a model that has none.
        (BUDGET, {"output_config": {"effort": "low"}}, {}),
    ],
)  # fmt: skip
def test_thinking_fits_the_model(facts: ModelFacts, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    body, _ = sent(fields, facts)
    assert {**body, "max_tokens": expected.get("max_tokens")} == {
        "model": "claude-x", "messages": HELLO, "max_tokens": None, **expected,
    }  # fmt: skip


def test_thinking_with_a_budget_is_left_out_where_signatures_are_missing() -> None:
    turns = [
        *HELLO,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "a", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
    ]
    body, wire = sent({"messages": turns, "thinking": {"type": "adaptive"}}, BUDGET)
    assert "thinking" not in body
    assert wire.dropped == ("thinking",)


def test_an_effort_is_kept_where_its_flag_is_taken() -> None:
    facts = structs.replace(BUDGET, betas=frozenset({"effort-2025-11-24"}))
    assert sent({"output_config": {"effort": "low"}}, facts, anthropic_beta="effort-2025-11-24")[0]["output_config"]


def test_sampling_that_the_model_refuses_is_taken_out() -> None:
    body, wire = sent({"temperature": 0, "top_p": None, "top_k": 3}, ADAPTIVE)
    assert body.keys() == {"model", "max_tokens", "messages"}
    assert wire.dropped == ("temperature", "top_k")
    one = structs.replace(CLAUDE, sampling="one")
    assert sent({"temperature": 0, "top_p": 0.5}, one)[0].keys() & {"temperature", "top_p"} == {"temperature"}
    assert sent({"top_p": 0.5}, one)[0]["top_p"] == 0.5


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({"tools": [{"name": "mcp.read", "input_schema": {}}]}, CLAUDE),
        ({"tools": [{"name": "x" * 129, "input_schema": {}}]}, CLAUDE),
        (
            {"messages": [*HELLO, {"role": "system", "content": "x"}]},
            structs.replace(CLAUDE, betas=frozenset({"other"})),
        ),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
            structs.replace(CLAUDE, json_schema=False),
        ),
        ({"output_format": {"type": "json_schema", "schema": {}}}, structs.replace(CLAUDE, json_schema=False)),
    ],
)
def test_what_must_be_translated_is_not_passed(fields: dict[str, Any], facts: ModelFacts) -> None:
    assert send(fields, facts) is None


def test_system_turns_pass_where_they_are_taken() -> None:
    turns = [*HELLO, {"role": "system", "content": "x"}]
    flag = "mid-conversation-system-2026-01-01"
    facts = structs.replace(CLAUDE, betas=frozenset({flag}))
    assert sent({"messages": turns})[0]["messages"] == turns
    assert sent({"messages": turns}, facts, anthropic_beta=flag)[0]["messages"] == turns


@pytest.mark.parametrize("fields", [{"messages": 5}, {"tools": [5]}, {"thinking": {"type": "odd"}}, {"metadata": None}])
def test_what_is_wrong_is_for_the_upstream_to_say(fields: dict[str, Any]) -> None:
    body, _ = sent(fields)
    assert body.items() >= fields.items()


def test_counting() -> None:
    fields = {
        "model": "sonnet", "messages": HELLO, "system": "s", "max_tokens": 5, "stream": True, "temperature": 0.5,
        "metadata": {"user_id": "u"}, "thinking": {"type": "adaptive"}, "tags": ["x"],
    }  # fmt: skip
    call = read(client, fields, "/v1/messages/count_tokens", anthropic_beta="b-1")
    wire = UPSTREAM.write_count_request(call, CLAUDE, WriteOptions(model="claude-x"))
    assert json.loads(wire.body).keys() == {"model", "messages", "system", "thinking"}
    assert wire.headers == {"anthropic-version": "2023-06-01", "anthropic-beta": "b-1"}
    assert UPSTREAM.read_count(WireAnswer({}, b'{"input_tokens":7,"new":1}')) == 7


def test_counting_for_other_clients() -> None:
    body = {"model": "m", "messages": [{"role": "system", "content": "s"}, *HELLO], "temperature": 1, "max_tokens": 5}
    wire = UPSTREAM.write_count_request(read(openai_client, body), CLAUDE, WriteOptions(model="claude-x"))
    assert json.loads(wire.body).keys() == {"model", "messages", "system"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"input_tokens":-1}', b'{"input_tokens":"7"}'])
def test_an_answer_without_a_count_is_a_fault(body: bytes) -> None:
    with pytest.raises(WireFault) as raised:
        UPSTREAM.read_count(WireAnswer({}, body))
    assert raised.value.code == "corrupt"


class TestReasoningOfOtherModels:
    @staticmethod
    def turn_with(block: dict[str, Any]) -> dict[str, Any]:
        said = {"role": "assistant", "content": [block, {"type": "text", "text": "done"}]}
        return {"messages": [*HELLO, said, *HELLO]}

    @pytest.mark.parametrize("signature", [seal(SealedReasoning("rs_1", "gAAAA")), "sekisho1.broken", ""])
    def test_is_not_passed_on(self, signature: str) -> None:
        fields = self.turn_with({"type": "thinking", "thinking": "hm", "signature": signature})
        assert send(fields) is None
        call = read(client, {"model": "sonnet", "max_tokens": 5000, **fields})
        body = UPSTREAM.write_request(call.chat, CLAUDE, WriteOptions(model="claude-x")).body
        assert b"signature" not in body
        assert b"done" in body

    @pytest.mark.parametrize(
        "block",
        [
            {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
            {"type": "tool_use", "id": "a", "name": "sign", "input": {"signature": ""}},
        ],
    )
    def test_what_only_looks_like_it_is(self, block: dict[str, Any]) -> None:
        assert send(self.turn_with(block)) is not None


def test_an_effort_alone_starts_no_thinking() -> None:
    for facts in (CLAUDE, ADAPTIVE):
        chat = read(
            client, {"model": "m", "max_tokens": 5000, "messages": HELLO, "output_config": {"effort": "max"}}
        ).chat
        body = json.loads(UPSTREAM.write_request(chat, facts, WriteOptions(model="claude-x")).body)
        assert "thinking" not in body
        assert body["output_config"] == {"effort": "max"}
