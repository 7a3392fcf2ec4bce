"""The models that a caller may use, as OpenAI and as Anthropic list them."""

from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from sekisho.control.services.context import Services
from sekisho.control.services.models import supported_params
from sekisho.control.services.views import View
from sekisho.core.caller import Caller
from sekisho.core.catalogue import ModelEntry
from sekisho.core.errors import InvalidRequest, NotFound
from sekisho.core.model import ModelFacts
from sekisho.core.money import Price, dollars_per_token

PAGE: Final = 1000
"""Models on a page unless the client asks for fewer: Anthropic's most, because not every client asks for the next."""
_CREATED: Final = 1_677_610_602
"""LiteLLM's `created` of every model; nobody knows the true one, and clients only need a number."""
_UNKNOWN_DATE: Final = "1970-01-01T00:00:00Z"
"""What Anthropic's API says of a release date that is not known."""
_ABILITIES: Final = (
    *("vision", "documents", "tools", "tool_choice", "system", "json_schema", "stop_sequences"),
    "cache_ttl_1h",
)
_STRATEGIES: Final = {
    "clear_thinking_20251015": "context-management-2025-06-27",
    "clear_tool_uses_20250919": "context-management-2025-06-27",
    "compact_20260112": "compact-2026-01-12",
}
"""The ways to shorten a context by Anthropic's names, and the values of `anthropic-beta` that they need."""


def list_for_openai(services: Services, caller: Caller) -> View:
    """Every model name that the caller may use."""
    return {"object": "list", "data": [_openai_view(entry) for entry in _usable(services, caller)]}


def list_for_codex(services: Services, caller: Caller) -> View:
    """The same for Codex, whose own list stays empty.

    An entry of Codex's `models` replaces the agent's system prompt, which is its maker's; without `models` Codex asks
    three times and reports an error. So it goes on with what it knows of a model by its name.
    """
    return {**list_for_openai(services, caller), "models": []}


def show_for_openai(services: Services, caller: Caller, name: str) -> View:
    """One model. Raises NotFound, also when the caller may not use it."""
    return _openai_view(_find(services, caller, name))


def list_for_anthropic(
    services: Services, caller: Caller, *, limit: int = PAGE, after: str | None = None, before: str | None = None
) -> View:
    """A page of the models that the caller may use: the first after, or the last before, a model.

    Raises InvalidRequest when that model is not among them.
    """
    entries = _usable(services, caller)
    if before is not None:
        rest = entries[: _position(entries, before, "before_id")]
        page = rest[-limit:]
    else:
        rest = entries if after is None else entries[_position(entries, after, "after_id") + 1 :]
        page = rest[:limit]
    return {
        "data": [_anthropic_view(entry) for entry in page],
        "has_more": len(page) < len(rest),
        "first_id": page[0].model_name if page else None,
        "last_id": page[-1].model_name if page else None,
    }


def show_for_anthropic(services: Services, caller: Caller, name: str) -> View:
    """One model. Raises NotFound, also when the caller may not use it."""
    return _anthropic_view(_find(services, caller, name))


def _usable(services: Services, caller: Caller) -> list[ModelEntry]:
    """One entry for each model name that the caller may use, wildcards left out: nobody can call them."""
    groups: dict[str, list[ModelEntry]] = {}
    for entry in services.catalogue.entries():
        if "*" not in entry.model_name:
            groups.setdefault(entry.model_name, []).append(entry)
    usable = [_merge(group) for name, group in groups.items() if services.may_use(caller, name)]
    for alias, group in services.catalogue.aliases().items():
        if group and services.may_use(caller, group[0].model_name):
            usable.append(replace(_merge(group), model_name=alias))
    return usable


def _merge(group: Sequence[ModelEntry]) -> ModelEntry:
    """What can be relied on whichever deployment answers; the price is that of the first."""
    if len(group) == 1:
        return group[0]
    known = [entry.facts for entry in group]
    limits = {
        name: min((limit for facts in known if (limit := getattr(facts, name)) is not None), default=None)
        for name in ("max_input_tokens", "max_output_tokens")
    }
    abilities = {name: all(getattr(facts, name) for facts in known) for name in _ABILITIES}
    return replace(group[0], facts=replace(known[0], **limits, **abilities))


def _find(services: Services, caller: Caller, name: str) -> ModelEntry:
    for entry in _usable(services, caller):
        if entry.model_name == name:
            return entry
    raise NotFound(f"There is no model '{name[:250]}' that you may use.", param="model", code="model_not_found")


def _position(entries: Sequence[ModelEntry], name: str, param: str) -> int:
    for position, entry in enumerate(entries):
        if entry.model_name == name:
            return position
    raise InvalidRequest(f"{param} names no model that you may use: '{name[:250]}'.", param=param)


def _openai_view(entry: ModelEntry) -> View:
    """OpenAI's four fields, and those in which other gateways and servers tell limits, prices and abilities.

    `context_length`, `architecture`, `top_provider`, `pricing` and `supported_parameters` are OpenRouter's,
    `max_model_len` is vLLM's.
    """
    facts = entry.facts
    return {
        "id": entry.model_name,
        "object": "model",
        "created": _CREATED,
        "owned_by": "openai",
        "name": entry.model_name,
        "context_length": facts.max_input_tokens,
        "max_model_len": facts.max_input_tokens,
        "max_output_tokens": facts.max_output_tokens,
        "top_provider": {
            "context_length": facts.max_input_tokens,
            "max_completion_tokens": facts.max_output_tokens,
            "is_moderated": False,
        },
        "architecture": {
            "input_modalities": ["text", *(["image"] if facts.vision else []), *(["file"] if facts.documents else [])],
            "output_modalities": ["text"],
            "modality": "text+image->text" if facts.vision else "text->text",
        },
        "pricing": _pricing(entry.price),
        "supported_parameters": [
            *supported_params(facts),
            *(["reasoning"] if facts.thinking != "none" else []),
            *(["structured_outputs"] if facts.json_schema else []),
        ],
    }


def _pricing(price: Price | None) -> dict[str, str] | None:
    """Dollars per token as decimal text, for prompts below every tier; None when the price is unknown."""
    if price is None:
        return None
    kinds = {
        "prompt": price.base.input,
        "completion": price.base.output,
        "input_cache_read": price.base.cache_read,
        "input_cache_write": price.base.cache_write_5m,
    }
    return {kind: f"{dollars_per_token(rate):.15f}".rstrip("0").rstrip(".") for kind, rate in kinds.items()}


def _anthropic_view(entry: ModelEntry) -> View:
    return {
        "type": "model",
        "id": entry.model_name,
        "display_name": entry.model_name,
        "created_at": _UNKNOWN_DATE,
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "max_input_tokens": entry.facts.max_input_tokens,
        "max_tokens": entry.facts.max_output_tokens,
        "capabilities": _capabilities(entry.facts),
    }


def _capabilities(facts: ModelFacts) -> dict[str, Any]:
    """What of Anthropic's features works through the gateway; batches and tools that Anthropic runs do not."""
    strategies = {name: _takes_beta(facts, beta) for name, beta in _STRATEGIES.items()}
    adaptive = facts.thinking in ("adaptive", "both")
    effort = adaptive or facts.thinking == "effort_field"
    levels = {level: _supported(effort) for level in ("low", "medium", "high", "xhigh", "max")}
    types = {
        "enabled": facts.thinking not in ("none", "adaptive"),
        "adaptive": adaptive,
        "disabled": True,
        "between_tools": False,
    }
    return {
        "batch": _supported(False),
        "citations": _supported(facts.family == "claude" and facts.documents),
        "code_execution": _supported(False),
        "context_management": {**_supported(any(strategies.values())), **_each(strategies)},
        "effort": {**_supported(effort), **levels},
        "image_input": _supported(facts.vision),
        "pdf_input": _supported(facts.documents),
        "server_tools": {**_supported(False), "code_execution": _supported(False), "web_search": _supported(False)},
        "structured_outputs": _supported(facts.json_schema),
        "thinking": {**_supported(facts.thinking != "none"), "types": _each(types)},
    }


def _takes_beta(facts: ModelFacts, beta: str) -> bool:
    return facts.family == "claude" and (facts.betas is None or beta in facts.betas)


def _supported(value: bool) -> dict[str, bool]:
    return {"supported": value}


def _each(values: dict[str, bool]) -> dict[str, dict[str, bool]]:
    return {name: _supported(value) for name, value in values.items()}
