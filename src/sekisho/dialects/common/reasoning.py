"""How much the model should think: the client's wish in the terms of the model's family."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from sekisho.core.chat import Message, Reasoning, ToolCall, ToolResult
from sekisho.core.model import ModelFacts
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.turns import is_signed

Json = dict[str, object]
"""A JSON object that is being written."""

Effort = Literal["low", "medium", "high", "xhigh", "max"]

_MIN_BUDGET = 1024
_BUDGETS: dict[Effort, int] = {"low": 2048, "medium": 8192, "high": 16384, "xhigh": 32000, "max": 32000}
# What an answer gets beside its thinking when neither the client nor the catalogue states a limit.
_ANSWER_TOKENS = 8192


class ReasoningPlan(Struct, frozen=True, kw_only=True):
    """How a request asks for reasoning.

    max_tokens: the output limit that goes with it, None for none.
    fields: for `additionalModelRequestFields`.
    effort: for `outputConfig.effort`.
    claude: whether Claude thinks, which narrows what else a request may say.
    nova_high: whether Nova thinks its hardest, which forbids all of inferenceConfig but stop sequences.
    """

    max_tokens: int | None = None
    fields: Json = {}
    effort: Effort | None = None
    claude: bool = False
    nova_high: bool = False


class ReasoningAsk(Struct, frozen=True):
    """What a plan is made from.

    limit: the client's own output limit. turns: as `arrange_turns` left them. ceiling: the gateway's output limit.
    """

    wish: Reasoning
    limit: int | None
    facts: ModelFacts
    turns: list[Message]
    ceiling: int | None = None

    @property
    def max_tokens(self) -> int | None:
        """The output limit where reasoning does not change it."""
        return lower_limit(self.limit or self.facts.max_output_tokens, self.ceiling)

    @property
    def is_cut(self) -> bool:
        """Whether the gateway allows less than the client and the model."""
        return self.max_tokens != (self.limit or self.facts.max_output_tokens)


def lower_limit(limit: int | None, ceiling: int | None) -> int | None:
    """An output limit under the gateway's ceiling; None where there is neither."""
    if limit is None or ceiling is None:
        return ceiling if limit is None else limit
    return min(limit, ceiling)


def cut_thinking(thinking: Json, limit: int) -> Json | None:
    """Claude's own `thinking` under an output limit of the gateway's, which leaves half of it for the answer.

    None when the least budget does not fit.
    """
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int) or budget <= limit // 2:
        return thinking
    return None if limit < 2 * _MIN_BUDGET else {**thinking, "budget_tokens": limit // 2}


def plan_reasoning(
    wish: Reasoning | None,
    limit: int | None,
    facts: ModelFacts,
    turns: list[Message],
    notes: Omissions,
    ceiling: int | None = None,
) -> ReasoningPlan:
    """Decide how the request asks for reasoning, and its output limit.

    Sources: Anthropic's pages on extended and on adaptive thinking, the user guides of Bedrock and Nova 2.
    """
    if wish is None:
        return ReasoningPlan(max_tokens=lower_limit(limit or facts.max_output_tokens, ceiling))
    ask = ReasoningAsk(wish, limit, facts, turns, ceiling)
    if _is_off(ask.wish):
        return _plan_none(ask)
    if ask.wish.mode == "default":
        return _plan_default(ask, notes)
    return _PLANS[facts.thinking](ask, notes)


def _is_off(wish: Reasoning) -> bool:
    if wish.mode is None:
        return wish.budget_tokens is None and wish.effort in (None, "none")
    return wish.mode == "disabled"


def name_wish(wish: Reasoning) -> str:
    """The client's name for what it said of reasoning, as nearly as it is known here."""
    return {None: "reasoning_effort", "default": "output_config.effort"}.get(wish.mode, "thinking")


def _plan_none(ask: ReasoningAsk) -> ReasoningPlan:
    """No thinking. An effort said beside it still counts for Claude, which caps it at high without thinking."""
    effort: Effort | None = None
    if ask.facts.thinking in ("adaptive", "both") and ask.wish.effort not in (None, "none"):
        effort = _cap_at_high(_effort_of(ask.wish))
    return ReasoningPlan(max_tokens=ask.max_tokens, effort=effort)


def _plan_default(ask: ReasoningAsk, notes: Omissions) -> ReasoningPlan:
    """An effort and no more, for models that take one by itself. It is not capped: some models think by default."""
    said = ask.wish.effort not in (None, "none")
    if said and ask.facts.thinking == "effort_field":
        return _plan_effort_field(ask, notes)
    if said and ask.facts.thinking in ("adaptive", "both"):
        return ReasoningPlan(max_tokens=ask.max_tokens, effort=_effort_of(ask.wish))
    if said:
        notes.drop(name_wish(ask.wish))
    return ReasoningPlan(max_tokens=ask.max_tokens)


def _plan_unsupported(ask: ReasoningAsk, notes: Omissions) -> ReasoningPlan:
    notes.drop(name_wish(ask.wish))
    return ReasoningPlan(max_tokens=ask.max_tokens)


def _plan_budget(ask: ReasoningAsk, notes: Omissions) -> ReasoningPlan:
    """Claude's thinking with a budget, which must be at least 1024 and leave room under the output limit."""
    budget = max(ask.wish.budget_tokens or _BUDGETS[_effort_of(ask.wish)], _MIN_BUDGET)
    limit = ask.max_tokens or budget + _ANSWER_TOKENS
    least = 2 * _MIN_BUDGET if ask.is_cut else _MIN_BUDGET + 1
    if limit < least or _lacks_signature(ask.turns):
        notes.drop("thinking")
        return ReasoningPlan(max_tokens=limit if ask.max_tokens else None)
    # A budget that the client named for its own limit may take all but the last token; where we chose the budget or
    # the limit, half is left for the answer.
    room = limit - 1 if ask.wish.budget_tokens and not ask.is_cut else max(limit // 2, _MIN_BUDGET)
    fields: Json = {"thinking": {"type": "enabled", "budget_tokens": min(budget, room)}}
    return ReasoningPlan(max_tokens=limit, fields=fields, claude=True)


def _plan_adaptive(ask: ReasoningAsk, notes: Omissions) -> ReasoningPlan:
    """Claude's adaptive thinking. It takes tool turns without signed reasoning, unlike thinking with a budget."""
    said = ask.wish.effort not in (None, "none") or ask.wish.budget_tokens is not None
    effort = _effort_of(ask.wish) if said else None
    fields: Json = {"thinking": {"type": "adaptive"}}
    return ReasoningPlan(max_tokens=ask.max_tokens, fields=fields, effort=effort, claude=True)


def _plan_either(ask: ReasoningAsk, notes: Omissions) -> ReasoningPlan:
    by_budget = ask.wish.mode == "enabled" or (ask.wish.mode is None and ask.wish.budget_tokens is not None)
    return _plan_budget(ask, notes) if by_budget else _plan_adaptive(ask, notes)


def _plan_effort_field(ask: ReasoningAsk, notes: Omissions) -> ReasoningPlan:
    return ReasoningPlan(max_tokens=ask.max_tokens, fields={"reasoning_effort": _cap_at_high(_effort_of(ask.wish))})


def _plan_nova(ask: ReasoningAsk, notes: Omissions) -> ReasoningPlan:
    """Nova 2 takes no output limit with its highest effort: one that the client or we set goes before that effort."""
    effort = _cap_at_high(_effort_of(ask.wish))
    if effort == "high" and (ask.limit is not None or ask.ceiling is not None):
        effort = "medium"
        notes.drop("reasoning_effort")
    fields: Json = {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}
    if effort == "high":
        return ReasoningPlan(fields=fields, nova_high=True)
    return ReasoningPlan(max_tokens=ask.max_tokens, fields=fields)


_PLANS: dict[str, Callable[[ReasoningAsk, Omissions], ReasoningPlan]] = {
    "none": _plan_unsupported,
    "budget": _plan_budget,
    "adaptive": _plan_adaptive,
    "both": _plan_either,
    "effort_field": _plan_effort_field,
    "nova": _plan_nova,
}


def _effort_of(wish: Reasoning) -> Effort:
    """The effort said, or the one whose budget comes nearest to the budget said."""
    if wish.effort == "minimal":
        return "low"
    if wish.effort is not None and wish.effort != "none":
        return wish.effort
    if wish.budget_tokens is None:
        return "medium"
    if wish.budget_tokens <= _BUDGETS["low"]:
        return "low"
    return "medium" if wish.budget_tokens <= _BUDGETS["medium"] else "high"


def _cap_at_high(effort: Effort) -> Effort:
    return "high" if effort in ("xhigh", "max") else effort


def _lacks_signature(turns: list[Message]) -> bool:
    """Whether a tool loop is in progress none of whose turns has signed reasoning.

    Claude then answers 400 to thinking with a budget. One signed turn is enough: without interleaved thinking, Claude
    itself reasons only before the first call of a loop.
    """
    at = len(turns) - 1
    in_loop = False
    while at > 0 and any(isinstance(part, ToolResult) for part in turns[at].parts):
        calling = turns[at - 1].parts
        in_loop = in_loop or any(isinstance(part, ToolCall) for part in calling)
        if any(map(is_signed, calling)):
            return False
        at -= 2
    return in_loop
