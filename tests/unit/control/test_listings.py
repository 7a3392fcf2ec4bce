"""What is listed of a model name that several deployments serve."""

from typing import Any

from sekisho.control.services.context import Services
from sekisho.control.services.listings import list_for_anthropic, list_for_openai
from sekisho.core.caller import Caller
from sekisho.core.catalogue import BrokenModel, DeploymentState, ModelEntry
from sekisho.core.model import ModelFacts

CALLER = Caller(role="internal_user")


def services(*known: ModelFacts) -> Services:
    entries = [
        ModelEntry(
            model_name="spread",
            deployment_id=str(number),
            upstream_model="m",
            provider="p",
            facts=facts,
            price=None,
            params={},
        )
        for number, facts in enumerate(known)
    ]

    class Catalogue:
        def entries(self) -> list[ModelEntry]:
            return entries

        def aliases(self) -> dict[str, list[ModelEntry]]:
            return {"other": entries, "nothing": []}

        def state(self, deployment_id: str) -> DeploymentState | None:
            return None

        def broken(self) -> list[BrokenModel]:
            return []

    unused: Any = None
    return Services(
        store=unused,
        identity=unused,
        clock=unused,
        catalogue=Catalogue(),
        may_use=lambda _caller, _name: True,
        version="0",
        worlds=unused,
        reloader=unused,
        health=unused,
    )


def test_the_smallest_limits_and_the_common_abilities_are_listed() -> None:
    offered = services(
        ModelFacts(max_input_tokens=200_000, max_output_tokens=None, vision=True, documents=True),
        ModelFacts(max_input_tokens=100_000, max_output_tokens=8_000, vision=True),
        ModelFacts(),
    )
    model, alias = list_for_openai(offered, CALLER)["data"]
    assert (model["id"], alias) == ("spread", {**model, "id": "other", "name": "other"})
    assert (model["context_length"], model["max_output_tokens"]) == (100_000, 8_000)
    assert model["architecture"]["input_modalities"] == ["text"]


def test_what_claude_can_do_is_told_by_its_facts() -> None:
    betas = frozenset({"compact-2026-01-12"})
    facts = ModelFacts(family="claude", thinking="adaptive", documents=True, json_schema=True, betas=betas)
    model, _alias = list_for_anthropic(services(facts), CALLER)["data"]
    able = model["capabilities"]
    assert able["context_management"] == {
        "supported": True,
        "clear_thinking_20251015": {"supported": False},
        "clear_tool_uses_20250919": {"supported": False},
        "compact_20260112": {"supported": True},
    }
    assert able["thinking"]["types"] == {
        "enabled": {"supported": False},
        "adaptive": {"supported": True},
        "disabled": {"supported": True},
        "between_tools": {"supported": False},
    }
    assert (able["effort"]["max"], able["citations"], able["structured_outputs"]) == ({"supported": True},) * 3
