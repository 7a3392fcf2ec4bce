"""The output limit that a budget sets reaches every upstream, whatever the client said."""

import json
from typing import Any

import pytest
from tests.support.openai_wire import read_call

from sekisho.core.chat import ChatRequest, Message, Reasoning, Text
from sekisho.core.model import ModelFacts
from sekisho.core.wire import UpstreamDialect, WireRequest, WriteOptions
from sekisho.dialects import (
    anthropic_messages,
    bedrock_converse,
    bedrock_invoke,
    openai_chat,
    openai_completions,
    openai_responses,
    sagemaker_chat,
)

CLAUDE = ModelFacts(family="claude", max_output_tokens=64_000, thinking="budget")
NOVA = ModelFacts(family="nova", max_output_tokens=64_000, thinking="nova")
UNKNOWN = ModelFacts()
HELLO = [{"role": "user", "content": "Hi"}]

WRITERS: list[tuple[UpstreamDialect, str, ModelFacts, tuple[str, ...]]] = [
    (anthropic_messages.upstream, "claude-x", CLAUDE, ("max_tokens",)),
    (bedrock_invoke.upstream, "claude-x", CLAUDE, ("max_tokens",)),
    (bedrock_converse.upstream, "claude-x", CLAUDE, ("inferenceConfig", "maxTokens")),
    (openai_chat.upstream, "qwen3", UNKNOWN, ("max_tokens",)),
    (openai_chat.upstream, "gpt-5.1", UNKNOWN, ("max_completion_tokens",)),
    (sagemaker_chat.upstream, "llama", UNKNOWN, ("max_tokens",)),
    (openai_responses.upstream, "gpt-5.1", UNKNOWN, ("max_output_tokens",)),
]
"""Each upstream with a model, what is known of it, and where its output limit stands."""

PASSERS: list[tuple[Any, UpstreamDialect, str, ModelFacts, dict[str, Any], tuple[str, ...]]] = [
    (anthropic_messages.client, anthropic_messages.upstream, "c", CLAUDE, {"messages": HELLO}, ("max_tokens",)),
    (anthropic_messages.client, bedrock_invoke.upstream, "c", CLAUDE, {"messages": HELLO}, ("max_tokens",)),
    (
        bedrock_converse.client,
        bedrock_converse.upstream,
        "c",
        CLAUDE,
        {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
        ("inferenceConfig", "maxTokens"),
    ),
    (openai_chat.client, openai_chat.upstream, "qwen3", UNKNOWN, {"messages": HELLO}, ("max_tokens",)),
    (openai_chat.client, openai_chat.upstream, "gpt-5.1", UNKNOWN, {"messages": HELLO}, ("max_completion_tokens",)),
    (openai_chat.client, sagemaker_chat.upstream, "llama", UNKNOWN, {"messages": HELLO}, ("max_tokens",)),
    (openai_completions.client, openai_completions.upstream, "code", UNKNOWN, {"prompt": "def"}, ("max_tokens",)),
    (openai_responses.client, openai_responses.upstream, "gpt-5.1", UNKNOWN, {"input": "Hi"}, ("max_output_tokens",)),
]
"""Clients whose bodies are passed on, with a body that names no limit."""


def dig(body: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        body = body.get(name, {})
    return body


def bury(body: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    name, *rest = path
    return {**body, name: bury(body.get(name, {}), tuple(rest), value) if rest else value}


def chat(limit: int | None = None, **more: Any) -> ChatRequest:
    return ChatRequest(
        system=[], messages=[Message(role="user", parts=[Text(text="Hi")])], max_output_tokens=limit, **more
    )


@pytest.mark.parametrize(("wanted", "sent"), [(None, 500), (9000, 500), (100, 100)])
@pytest.mark.parametrize(("upstream", "model", "facts", "path"), WRITERS)
def test_what_is_translated_asks_for_no_more_than_the_ceiling(
    upstream: UpstreamDialect, model: str, facts: ModelFacts, path: tuple[str, ...], wanted: int | None, sent: int
) -> None:
    wire = upstream.write_request(chat(wanted), facts, WriteOptions(model=model, ceiling=500))
    assert dig(json.loads(wire.body), path) == sent


@pytest.mark.parametrize(("wanted", "sent"), [(None, 500), (9000, 500), (100, 100)])
@pytest.mark.parametrize(("client", "upstream", "model", "facts", "body", "path"), PASSERS)
def test_what_is_passed_on_asks_for_no_more_than_the_ceiling(
    client: Any,
    upstream: UpstreamDialect,
    model: str,
    facts: ModelFacts,
    body: dict[str, Any],
    path: tuple[str, ...],
    wanted: int | None,
    sent: int,
) -> None:
    if wanted is not None:
        body = bury(body, path, wanted)
    elif client is anthropic_messages.client:
        return  # Anthropic's clients have to name a limit
    call = read_call(client, json.dumps(body).encode())
    wire = upstream.pass_request(call, facts, WriteOptions(model=model, ceiling=500))
    assert wire is not None
    assert wire.native
    assert dig(json.loads(wire.body), path) == sent
    without = upstream.pass_request(call, facts, WriteOptions(model=model))
    assert without is not None
    assert wanted is None or dig(json.loads(without.body), path) == wanted


def test_both_names_of_the_limit_are_lowered() -> None:
    body = {"messages": HELLO, "max_tokens": 9000, "max_completion_tokens": 300}
    call = read_call(openai_chat.client, json.dumps(body).encode())
    wire = openai_chat.upstream.pass_request(call, UNKNOWN, WriteOptions(model="qwen3", ceiling=500))
    assert wire is not None
    sent = json.loads(wire.body)
    assert (sent["max_tokens"], sent["max_completion_tokens"]) == (300, 300)


def test_a_limit_by_the_other_name_is_said_by_the_one_that_every_server_knows() -> None:
    body = {"messages": HELLO, "max_completion_tokens": 9000}
    call = read_call(openai_chat.client, json.dumps(body).encode())
    wire = openai_chat.upstream.pass_request(call, UNKNOWN, WriteOptions(model="qwen3", ceiling=500))
    assert wire is not None
    sent = json.loads(wire.body)
    assert (sent["max_tokens"], sent["max_completion_tokens"]) == (500, 500)


@pytest.mark.parametrize(
    ("client", "upstream", "body", "answers"),
    [
        (openai_chat.client, openai_chat.upstream, {"messages": HELLO, "n": 4}, 4),
        (openai_completions.client, openai_completions.upstream, {"prompt": "a", "n": 2, "best_of": 5}, 5),
        (openai_completions.client, openai_completions.upstream, {"prompt": ["a", "b"], "n": 2}, 4),
        (openai_completions.client, openai_completions.upstream, {"prompt": [[1, 2], [3]]}, 2),
        (openai_completions.client, openai_completions.upstream, {"prompt": [1, 2, 3]}, 1),
    ],
)
def test_several_answers_share_the_ceiling(
    client: Any, upstream: UpstreamDialect, body: dict[str, Any], answers: int
) -> None:
    call = read_call(client, json.dumps({"max_tokens": 5000, **body}).encode())
    assert call.answers == answers
    wire = upstream.pass_request(call, UNKNOWN, WriteOptions(model="qwen3", ceiling=1000))
    assert wire is not None
    assert json.loads(wire.body)["max_tokens"] == 1000 // answers


BUDGETED = Reasoning(mode="enabled", budget_tokens=10_000)


@pytest.mark.parametrize(("ceiling", "budget"), [(30_000, 10_000), (6000, 3000), (2048, 1024), (2000, None)])
@pytest.mark.parametrize("upstream", [anthropic_messages.upstream, bedrock_invoke.upstream, bedrock_converse.upstream])
def test_a_thinking_budget_leaves_half_of_the_ceiling_for_the_answer(
    upstream: UpstreamDialect, ceiling: int, budget: int | None
) -> None:
    wire = upstream.write_request(chat(32_000, reasoning=BUDGETED), CLAUDE, WriteOptions(ceiling=ceiling))
    check_thinking(wire, budget)


@pytest.mark.parametrize(("ceiling", "budget"), [(30_000, 10_000), (6000, 3000), (2048, 1024), (2000, None)])
@pytest.mark.parametrize("upstream", [anthropic_messages.upstream, bedrock_invoke.upstream])
def test_a_thinking_budget_that_is_passed_on_leaves_half_of_the_ceiling(
    upstream: UpstreamDialect, ceiling: int, budget: int | None
) -> None:
    thinking = {"type": "enabled", "budget_tokens": 10_000}
    body = {"messages": HELLO, "max_tokens": 32_000, "thinking": thinking}
    call = read_call(anthropic_messages.client, json.dumps(body).encode())
    wire = upstream.pass_request(call, CLAUDE, WriteOptions(model="c", ceiling=ceiling))
    assert wire is not None
    check_thinking(wire, budget)


@pytest.mark.parametrize(("ceiling", "budget"), [(30_000, 10_000), (6000, 3000), (2048, 1024), (2000, None)])
def test_a_thinking_budget_of_converse_leaves_half_of_the_ceiling(ceiling: int, budget: int | None) -> None:
    body = {
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 10_000}, "top_k": 3},
    }
    call = read_call(bedrock_converse.client, json.dumps(body).encode())
    wire = bedrock_converse.upstream.pass_request(call, CLAUDE, WriteOptions(ceiling=ceiling))
    assert wire is not None
    check_thinking(wire, budget)
    assert json.loads(wire.body)["additionalModelRequestFields"]["top_k"] == 3


def check_thinking(wire: WireRequest, budget: int | None) -> None:
    body = json.loads(wire.body)
    thinking = body.get("thinking") or body.get("additionalModelRequestFields", {}).get("thinking")
    assert thinking == (None if budget is None else {"type": "enabled", "budget_tokens": budget})
    assert ("thinking" in wire.dropped) is (budget is None)


def test_what_demands_thinking_goes_with_it() -> None:
    body = {
        "messages": HELLO,
        "max_tokens": 32_000,
        "thinking": {"type": "enabled", "budget_tokens": 10_000},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    }
    call = read_call(anthropic_messages.client, json.dumps(body).encode())
    wire = anthropic_messages.upstream.pass_request(call, CLAUDE, WriteOptions(model="c", ceiling=500))
    assert wire is not None
    assert {"thinking", "context_management"}.isdisjoint(json.loads(wire.body))
    assert wire.dropped == ("thinking", "context_management")


def test_the_highest_effort_of_nova_gives_way() -> None:
    wish = {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}
    body = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}], "additionalModelRequestFields": wish}
    call = read_call(bedrock_converse.client, json.dumps(body).encode())
    passed = bedrock_converse.upstream.pass_request(call, NOVA, WriteOptions(ceiling=500))
    assert passed is not None
    written = bedrock_converse.upstream.write_request(
        chat(reasoning=Reasoning(effort="high")), NOVA, WriteOptions(ceiling=500)
    )
    for wire in (passed, written):
        sent = json.loads(wire.body)
        assert sent["inferenceConfig"]["maxTokens"] == 500
        assert sent["additionalModelRequestFields"]["reasoningConfig"]["maxReasoningEffort"] == "medium"
        assert wire.dropped


def test_a_low_ceiling_stays_what_openai_takes() -> None:
    wire = openai_responses.upstream.write_request(chat(), UNKNOWN, WriteOptions(model="gpt-5.1", ceiling=3))
    assert json.loads(wire.body)["max_output_tokens"] == 16
