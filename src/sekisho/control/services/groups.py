"""What the deployments behind one model name can do together, as LiteLLM tells it."""

from collections.abc import Iterable, Sequence
from typing import Any

from sekisho.control.services.context import Services
from sekisho.control.services.models import supported_params
from sekisho.control.services.views import View
from sekisho.core.caller import Caller
from sekisho.core.catalogue import ModelEntry
from sekisho.core.money import dollars_per_token


def describe_groups(services: Services, caller: Caller, name: str | None) -> View:
    """Every model name that the caller may use, or this one."""
    groups: dict[str, list[ModelEntry]] = {}
    for entry in services.catalogue.entries():
        if name in {None, entry.model_name} and services.may_use(caller, entry.model_name):
            groups.setdefault(entry.model_name, []).append(entry)
    return {"data": [_describe(group, entries) for group, entries in groups.items()]}


def _describe(group: str, entries: Sequence[ModelEntry]) -> dict[str, Any]:
    """The longest, the dearest, and what any of them can do: a call goes to one that can."""
    facts = [entry.facts for entry in entries]
    rates = [entry.price.base for entry in entries if entry.price is not None]
    return {
        "model_group": group,
        "providers": sorted({entry.provider for entry in entries}),
        "mode": entries[0].mode,
        "max_input_tokens": _largest(fact.max_input_tokens for fact in facts),
        "max_output_tokens": _largest(fact.max_output_tokens for fact in facts),
        "input_cost_per_token": dollars_per_token(max(rate.input for rate in rates)) if rates else None,
        "output_cost_per_token": dollars_per_token(max(rate.output for rate in rates)) if rates else None,
        "tpm": _sum(entry.params.get("tpm") for entry in entries),
        "rpm": _sum(entry.params.get("rpm") for entry in entries),
        "supports_vision": any(fact.vision for fact in facts),
        "supports_function_calling": any(fact.tools for fact in facts),
        "supports_parallel_function_calling": any(fact.tools for fact in facts),
        "supports_reasoning": any(fact.thinking != "none" for fact in facts),
        "supported_openai_params": sorted({param for fact in facts for param in supported_params(fact)}),
    }


def _largest(numbers: Iterable[int | None]) -> int | None:
    return max((number for number in numbers if number is not None), default=None)


def _sum(numbers: Iterable[object]) -> int | None:
    """What the deployments can take together, as far as it is configured."""
    known = [number for number in numbers if isinstance(number, int)]
    return sum(known) if known else None
