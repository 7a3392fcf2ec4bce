"""What is known of a model: its limits and abilities, which decide how a request is written for it."""

from typing import Literal

from msgspec import Struct


class ModelFacts(Struct, frozen=True, kw_only=True):
    """Limits and abilities of one model; the defaults are those of an unknown model.

    thinking: how reasoning is asked for: `budget` (Claude's thinking with budget_tokens), `adaptive` (Claude's adaptive
      thinking with an effort), `both`, `effort_field` (a reasoning_effort field, gpt-oss), `nova` (reasoningConfig) or
      `none`.
    cache: where cache points may stand; empty when the model cannot cache explicitly.
    betas: the values of `anthropic-beta` that the upstream takes for this model; None when it takes any.
    anthropic_versions: the versions of Anthropic's API that it takes, the newest last.
    sampling: which of temperature and top_p the model takes: both, at most one of them, or none.
    """

    family: str = "unknown"
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    vision: bool = False
    documents: bool = False
    tools: bool = True
    tool_choice: bool = True
    system: bool = True
    json_schema: bool = False
    stop_sequences: bool = True
    thinking: Literal["none", "budget", "adaptive", "both", "effort_field", "nova"] = "none"
    sampling: Literal["both", "one", "none"] = "both"
    cache: frozenset[Literal["system", "tools", "messages"]] = frozenset()
    cache_min_tokens: int = 1024
    cache_ttl_1h: bool = False
    burndown: int = 1
    betas: frozenset[str] | None = None
    anthropic_versions: tuple[str, ...] = ("2023-06-01",)
