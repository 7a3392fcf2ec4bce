"""What the models can do and what they cost, as LiteLLM tells it."""

import os
from typing import Any, Final

from msgspec import structs

from sekisho.control.services.context import Services
from sekisho.control.services.views import View, iso
from sekisho.core.caller import Caller
from sekisho.core.catalogue import BrokenModel, ModelEntry
from sekisho.core.model import ModelFacts
from sekisho.core.money import Rates, dollars_per_token
from sekisho.identity.rights import sees_everything

_PARAMS: Final = ("stream", "stream_options", "max_tokens", "max_completion_tokens", "response_format", "user")


def describe_models(services: Services, caller: Caller, deployment_id: str | None) -> View:
    """Every deployment that the caller may use, or the one with this id, with its limits, abilities and prices.

    Whoever may see everything is shown those that cannot be called, too, and what is wrong with them, and of the others
    how they fare in the process that answers.
    """
    everything = sees_everything(caller)
    found = [
        {
            "model_name": entry.model_name,
            "litellm_params": entry.params,
            "model_info": _info(entry) | (_state(services, entry.deployment_id) if everything else {}),
        }
        for entry in services.catalogue.entries()
        if deployment_id in {None, entry.deployment_id} and services.may_use(caller, entry.model_name)
    ]
    if everything:
        found += [
            {"model_name": broken.model_name, "litellm_params": broken.params, "model_info": _broken_info(broken)}
            for broken in services.catalogue.broken()
            if deployment_id in {None, broken.deployment_id}
        ]
    return {"data": found}


def page_models(
    services: Services, caller: Caller, model: str | None, deployment_id: str | None, *, page: int, size: int
) -> View:
    """One page of `describe_models`, of one model name if it is given."""
    found = describe_models(services, caller, deployment_id)["data"]
    wanted = [one for one in found if model in {None, one["model_name"]}]
    return {
        "data": wanted[(page - 1) * size : page * size],
        "total_count": len(wanted),
        "current_page": page,
        "size": size,
        "total_pages": -(-len(wanted) // size),
    }


def _info(entry: ModelEntry) -> dict[str, Any]:
    facts = entry.facts
    return {
        **entry.info,
        "id": entry.deployment_id,
        "db_model": entry.added,
        "key": entry.upstream_model,
        "mode": entry.mode,
        "litellm_provider": entry.provider,
        "max_tokens": facts.max_output_tokens,
        "max_input_tokens": facts.max_input_tokens,
        "max_output_tokens": facts.max_output_tokens,
        **_costs(entry),
        "supports_vision": facts.vision,
        "supports_pdf_input": facts.documents,
        "supports_function_calling": facts.tools,
        "supports_tool_choice": facts.tool_choice,
        "supports_system_messages": facts.system,
        "supports_response_schema": facts.json_schema,
        "supports_prompt_caching": bool(facts.cache),
        "supports_reasoning": facts.thinking != "none",
        "supported_openai_params": supported_params(facts),
    }


def _state(services: Services, deployment_id: str) -> dict[str, Any]:
    """How a deployment fares in this process: each worker knows only of the calls that it has sent itself."""
    state = services.catalogue.state(deployment_id)
    if state is None:
        return {}
    fields = structs.asdict(state)
    for name in ("first_token", "token"):
        if fields[name] is not None:
            fields[f"{name}_ms"] = {key: round(value, 2) for key, value in structs.asdict(fields[name]).items()}
        del fields[name]
    return {"state": {"worker": os.getpid(), **fields, "last_error_at": iso(state.last_error_at)}}


def _broken_info(broken: BrokenModel) -> dict[str, Any]:
    return {**broken.info, "id": broken.deployment_id, "db_model": broken.added, "error": broken.problem}


def _costs(entry: ModelEntry) -> dict[str, float | None]:
    """Dollars per token by kind, and again for each tier of long prompts; null when the price is unknown."""
    if entry.price is None:
        return {"input_cost_per_token": None, "output_cost_per_token": None}
    costs = _rates(entry.price.base, "")
    for tier in entry.price.tiers:
        costs |= _rates(tier.rates, f"_above_{tier.above // 1000}k_tokens")
    return costs


def _rates(rates: Rates, suffix: str) -> dict[str, float | None]:
    return {
        f"input_cost_per_token{suffix}": dollars_per_token(rates.input),
        f"output_cost_per_token{suffix}": dollars_per_token(rates.output),
        f"cache_read_input_token_cost{suffix}": dollars_per_token(rates.cache_read),
        f"cache_creation_input_token_cost{suffix}": dollars_per_token(rates.cache_write_5m),
        f"cache_creation_input_token_cost_above_1hr{suffix}": dollars_per_token(rates.cache_write_1h),
    }


def supported_params(facts: ModelFacts) -> list[str]:
    """The parameters of OpenAI's chat completions that the model takes."""
    params = list(_PARAMS)
    if facts.sampling != "none":
        params += ["temperature", "top_p"]
    if facts.stop_sequences:
        params.append("stop")
    if facts.tools:
        params += ["tools", "parallel_tool_calls"]
    if facts.tool_choice:
        params.append("tool_choice")
    if facts.thinking != "none":
        params += ["reasoning_effort", "thinking"]
    return params
