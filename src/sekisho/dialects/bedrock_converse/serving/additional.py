"""`additionalModelRequestFields`: what the makers of models take beside Converse's own fields."""

from typing import Final, Literal

from msgspec import Struct

from sekisho.core.chat import Reasoning, ToolChoice
from sekisho.dialects.bedrock_converse.forms import ADDITIONAL_FIELDS
from sekisho.dialects.common.fields import read_choice, read_flag, read_integer, read_name, read_names, read_object
from sekisho.dialects.common.wishes import read_optional

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
EFFORTS: Final[tuple[Effort, ...]] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_MODES: Final[tuple[Literal["enabled", "adaptive", "disabled"], ...]] = ("enabled", "adaptive", "disabled")
_CHOICES: Final[tuple[Literal["auto", "any", "none", "tool"], ...]] = ("auto", "any", "none", "tool")

BETAS: Final = "anthropic_beta"


class Additional(Struct, kw_only=True):
    """What of these fields the neutral form knows; the rest is in `extras`."""

    reasoning: Reasoning = Reasoning()
    top_k: int | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    extras: dict[str, object] = {}


def read_additional(fields: dict[str, object], path: str) -> Additional:
    """Read Claude's fields (`thinking`, `top_k`, `tool_choice`, betas), and how gpt-oss and Nova are told to think.

    Raises:
        InvalidRequest: One of them is of the wrong type.
    """
    rest = {name: value for name, value in fields.items() if value is not None}
    additional = Additional()
    additional.reasoning = _read_reasoning(rest, path)
    additional.top_k = read_optional(rest.pop("top_k", None), f"{path}.top_k", _read_count)
    choice = rest.pop("tool_choice", None)
    if choice is not None:
        _read_tool_choice(additional, choice, f"{path}.tool_choice")
    betas = read_optional(rest.pop(BETAS, None), f"{path}.{BETAS}", read_names)
    additional.extras = ({BETAS: betas} if betas else {}) | ({ADDITIONAL_FIELDS: rest} if rest else {})
    return additional


def _read_reasoning(rest: dict[str, object], path: str) -> Reasoning:
    effort = read_optional(rest.pop("reasoning_effort", None), f"{path}.reasoning_effort", _read_effort)
    thinking = read_optional(rest.pop("thinking", None), f"{path}.thinking", read_object)
    if thinking is not None:
        mode = read_choice(thinking.get("type"), f"{path}.thinking.type", _MODES)
        at = f"{path}.thinking.budget_tokens"
        budget = read_optional(thinking.get("budget_tokens"), at, _read_count) if mode == "enabled" else None
        return Reasoning(mode, effort, budget)
    at = f"{path}.reasoningConfig"
    nova = read_optional(rest.pop("reasoningConfig", None), at, read_object)
    if nova is not None:
        kind = read_choice(nova.get("type"), f"{at}.type", ("enabled", "disabled"))
        said = read_optional(nova.get("maxReasoningEffort"), f"{at}.maxReasoningEffort", _read_effort)
        return Reasoning("adaptive", said or effort) if kind == "enabled" else Reasoning("disabled")
    return Reasoning(None, effort)


def _read_tool_choice(additional: Additional, value: object, path: str) -> None:
    """Claude's own form of the choice; it stands in place of Converse's and can say more."""
    choice = read_object(value, path)
    kind = read_choice(choice.get("type"), f"{path}.type", _CHOICES)
    name = read_name(choice.get("name"), f"{path}.name") if kind == "tool" else None
    additional.tool_choice = ToolChoice(kind, name)
    at = f"{path}.disable_parallel_tool_use"
    if read_optional(choice.get("disable_parallel_tool_use"), at, read_flag):
        additional.parallel_tool_calls = False


def _read_effort(value: object, path: str) -> Effort:
    return read_choice(value, path, EFFORTS)


def _read_count(value: object, path: str) -> int:
    return read_integer(value, path, minimum=0)
