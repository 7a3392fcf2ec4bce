import pytest
from msgspec.structs import replace
from tests.support.converse import (
    CLAUDE,
    LLAMA,
    assistant,
    call,
    request_of,
    result,
    tool,
    user,
    write,
    write_wire,
)

from sekisho.core.chat import Reasoning, Thinking
from sekisho.core.model import ModelFacts

BUDGET = replace(CLAUDE, thinking="budget")
ADAPTIVE = replace(CLAUDE, thinking="adaptive")
NOVA = ModelFacts(family="nova", max_output_tokens=10000, thinking="nova")
PLAIN_CLAUDE = replace(CLAUDE, thinking="none", json_schema=False)


class TestReasoning:
    @pytest.mark.parametrize("wish", [None, Reasoning(), Reasoning(effort="none"), Reasoning("disabled")])
    @pytest.mark.parametrize("facts", [BUDGET, ADAPTIVE, CLAUDE, NOVA, LLAMA])
    def test_nothing_is_sent_when_nothing_is_wanted(self, wish: Reasoning | None, facts: ModelFacts) -> None:
        body, wire = write_wire(request_of(reasoning=wish), facts)
        assert "additionalModelRequestFields" not in body
        assert "outputConfig" not in body
        assert wire.dropped == ()

    @pytest.mark.parametrize(
        ("wish", "limit", "budget"),
        [
            (Reasoning(effort="minimal"), None, 2048),
            (Reasoning(effort="medium"), None, 8192),
            (Reasoning(effort="max"), None, 32000),
            (Reasoning("adaptive"), None, 8192),
            (Reasoning("enabled", budget_tokens=5000), None, 5000),
            (Reasoning("enabled", budget_tokens=10), None, 1024),
            (Reasoning("enabled", budget_tokens=5000), 3000, 2999),
            (Reasoning("enabled", budget_tokens=10**9), None, 63999),
            (Reasoning(effort="high"), 8000, 4000),
            (Reasoning(effort="high"), 1500, 1024),
        ],
    )
    def test_a_budget_stays_under_the_output_limit(self, wish: Reasoning, limit: int | None, budget: int) -> None:
        body = write(request_of(reasoning=wish, max_output_tokens=limit), BUDGET)
        thinking = body["additionalModelRequestFields"]["thinking"]
        assert thinking == {"type": "enabled", "budget_tokens": budget}
        assert body["inferenceConfig"]["maxTokens"] == (limit or 64000)

    def test_a_budget_raises_the_output_limit_where_none_is_known(self) -> None:
        facts = replace(BUDGET, max_output_tokens=None)
        assert write(request_of(reasoning=Reasoning(effort="low")), facts)["inferenceConfig"]["maxTokens"] > 2048

    def test_an_output_limit_too_small_to_think_switches_thinking_off(self) -> None:
        body, wire = write_wire(request_of(reasoning=Reasoning(effort="low"), max_output_tokens=1024), BUDGET)
        assert "additionalModelRequestFields" not in body
        assert body["inferenceConfig"] == {"maxTokens": 1024}
        assert wire.dropped == ("thinking",)

    @pytest.mark.parametrize(
        ("wish", "effort"),
        [
            (Reasoning("adaptive"), None),
            (Reasoning("adaptive", effort="minimal"), "low"),
            (Reasoning(effort="xhigh"), "xhigh"),
            (Reasoning("enabled", budget_tokens=1024), "low"),
            (Reasoning("enabled", budget_tokens=8000), "medium"),
            (Reasoning("enabled", budget_tokens=30000), "high"),
        ],
    )
    def test_adaptive_thinking_goes_by_effort(self, wish: Reasoning, effort: str | None) -> None:
        body = write(request_of(reasoning=wish), ADAPTIVE)
        assert body["additionalModelRequestFields"] == {"thinking": {"type": "adaptive"}}
        assert body.get("outputConfig") == (None if effort is None else {"effort": effort})

    def test_a_model_with_both_ways_gets_what_the_client_said(self) -> None:
        enabled = write(request_of(reasoning=Reasoning("enabled", budget_tokens=5000)))
        assert enabled["additionalModelRequestFields"]["thinking"] == {"type": "enabled", "budget_tokens": 5000}
        by_effort = write(request_of(reasoning=Reasoning(effort="high")))
        assert by_effort["additionalModelRequestFields"]["thinking"] == {"type": "adaptive"}
        assert by_effort["outputConfig"] == {"effort": "high"}

    def test_effort_without_thinking_is_capped(self) -> None:
        body = write(request_of(reasoning=Reasoning("disabled", effort="max")))
        assert body["outputConfig"] == {"effort": "high"}
        assert "additionalModelRequestFields" not in body

    def test_the_effort_field_knows_three_levels(self) -> None:
        facts = ModelFacts(family="gpt-oss", thinking="effort_field")
        for effort, sent in (("minimal", "low"), ("medium", "medium"), ("max", "high")):
            body = write(request_of(reasoning=Reasoning(effort=effort)), facts)  # type: ignore[arg-type]  # literals
            assert body["additionalModelRequestFields"] == {"reasoning_effort": sent}

    def test_nova_takes_no_limit_and_no_sampling_with_its_highest_effort(self) -> None:
        body, wire = write_wire(request_of(reasoning=Reasoning(effort="high"), temperature=0.1, top_k=3), NOVA)
        config = {"type": "enabled", "maxReasoningEffort": "high"}
        assert body["additionalModelRequestFields"] == {"reasoningConfig": config}
        assert "inferenceConfig" not in body
        assert wire.dropped == ("temperature", "top_k")

    def test_novas_effort_yields_to_the_clients_limit(self) -> None:
        body, wire = write_wire(request_of(reasoning=Reasoning(effort="high"), max_output_tokens=500), NOVA)
        config = {"type": "enabled", "maxReasoningEffort": "medium"}
        assert body["additionalModelRequestFields"] == {"reasoningConfig": config}
        assert body["inferenceConfig"] == {"maxTokens": 500}
        assert wire.dropped == ("reasoning_effort",)

    @pytest.mark.parametrize(
        ("wish", "field"), [(Reasoning(effort="low"), "reasoning_effort"), (Reasoning("enabled"), "thinking")]
    )
    def test_a_model_that_cannot_think_drops_the_wish(self, wish: Reasoning, field: str) -> None:
        assert write_wire(request_of(reasoning=wish), LLAMA)[1].dropped == (field,)

    def test_sampling_while_claude_thinks(self) -> None:
        chat = request_of(reasoning=Reasoning(effort="low"), temperature=0.2, top_p=0.5, top_k=3)
        body, wire = write_wire(chat)
        assert body["inferenceConfig"] == {"maxTokens": 64000}
        assert set(wire.dropped) == {"temperature", "top_p", "top_k"}
        assert write(replace(chat, top_p=0.96))["inferenceConfig"]["topP"] == 0.96

    def test_a_tool_loop_without_signed_reasoning_switches_a_budget_off(self) -> None:
        wish = Reasoning("enabled", budget_tokens=2000)
        chat = request_of(user("go"), assistant(call("a")), user(result("a")), tools=[tool()], reasoning=wish)
        body, wire = write_wire(chat)
        assert "additionalModelRequestFields" not in body
        assert wire.dropped == ("thinking",)
        adaptive, adaptive_wire = write_wire(chat, ADAPTIVE)
        assert adaptive["additionalModelRequestFields"]["thinking"] == {"type": "adaptive"}
        assert adaptive_wire.dropped == ()

    def test_a_tool_loop_that_began_with_signed_reasoning_goes_on_thinking(self) -> None:
        chat = request_of(
            user("go"),
            assistant(Thinking(text="hm", signature="s"), call("a")),
            user(result("a")),
            assistant(call("b")),
            user(result("b")),
            tools=[tool()],
            reasoning=Reasoning("enabled", budget_tokens=2000),
        )
        assert "thinking" in write(chat)["additionalModelRequestFields"]

    def test_a_tool_loop_that_is_over_does_not_matter(self) -> None:
        chat = request_of(
            user("go"),
            assistant(call("a")),
            user(result("a")),
            assistant("done"),
            user("next"),
            tools=[tool()],
            reasoning=Reasoning("enabled", budget_tokens=2000),
        )
        assert "thinking" in write(chat)["additionalModelRequestFields"]
