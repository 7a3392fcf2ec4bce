"""What OpenAI's formats say alike of how a model answers: the effort, the tier, the schema of a JSON answer."""

from typing import Final

from sekisho.core.chat import Reasoning, ResponseFormat
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.tiers import USUAL_TIERS

_TIERS: Final = ("flex", "priority", "scale", "fast")
# The budgets up to which Anthropic's clients mean a low and a medium effort; the same as for Claude on Bedrock.
_LOW_BUDGET: Final = 2048
_MEDIUM_BUDGET: Final = 8192


def choose_effort(wish: Reasoning) -> str | None:
    """The effort said, or the one that a budget comes to; None for the model's own default."""
    if wish.mode == "disabled":
        return "none"
    if wish.effort is not None:
        return wish.effort
    if wish.budget_tokens is None:
        return None
    if wish.budget_tokens <= _LOW_BUDGET:
        return "low"
    return "medium" if wish.budget_tokens <= _MEDIUM_BUDGET else "high"


def write_tier(tier: str | None, notes: Omissions, *, own: bool) -> dict[str, object]:
    """How soon the answer is wanted, and at what price; `own` is whether the model is one of OpenAI's."""
    if own and tier in _TIERS:
        return {"service_tier": tier}
    if tier not in USUAL_TIERS:
        notes.drop("service_tier")
    return {}


def write_schema(wanted: ResponseFormat) -> dict[str, object]:
    """The schema of a JSON answer, with its name and what it is for."""
    form: dict[str, object] = {"name": wanted.name, "schema": wanted.schema}
    if wanted.description:
        form["description"] = wanted.description
    if wanted.strict is not None:
        form["strict"] = wanted.strict
    return form
