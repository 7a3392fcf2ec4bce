"""What a call costs, before it is made or from what it used."""

from collections.abc import Mapping
from typing import Any

import msgspec

from sekisho.control.services.context import Services
from sekisho.control.services.views import View
from sekisho.core.caller import Caller
from sekisho.core.errors import InvalidRequest
from sekisho.core.money import Price, dollars_from_nano
from sekisho.core.usage import Usage
from sekisho.dialects.anthropic_messages.usage import ToldUsage
from sekisho.dialects.anthropic_messages.usage import read_usage as read_anthropic
from sekisho.dialects.common.openai import TokenUsage
from sekisho.dialects.common.openai import read_usage as read_openai
from sekisho.ledger.estimate import Estimator


def calculate_cost(services: Services, caller: Caller, fields: Mapping[str, Any]) -> View:
    """The cost of a call in dollars, by the price that holds now.

    A call that has only `messages` is not made yet: its input is estimated, and its output is not in the cost.

    Raises:
        InvalidRequest: the model is unknown or has no price, or what it would use is not said.
    """
    answer: Mapping[str, Any] = fields.get("completion_response") or {}
    model = fields.get("model") or answer.get("model")
    if not isinstance(model, str):
        raise InvalidRequest("Say which model: in model, or in completion_response.", param="model")
    price = _find_price(services, caller, model)
    told = fields.get("usage") or answer.get("usage")
    if told is not None:
        usage = _read_usage(told)
    elif fields.get("messages") is not None:
        usage = Usage(input=Estimator().input_tokens(model, len(msgspec.json.encode(fields["messages"]))))
    else:
        raise InvalidRequest("Give messages, usage, or a completion_response with its usage.", param="messages")
    return {"cost": dollars_from_nano(price.cost(usage))}


def _find_price(services: Services, caller: Caller, model: str) -> Price:
    """The price of the first deployment of this name, or of this upstream model, that has one."""
    entries = [entry for entry in services.catalogue.entries() if services.may_use(caller, entry.model_name)]
    found = [entry for entry in entries if entry.model_name == model]
    found = found or [entry for entry in entries if entry.upstream_model == model]
    if not found:
        raise InvalidRequest(f"There is no model {model[:80]!r} for you; /models lists them.", param="model")
    for entry in found:
        if entry.price is not None:
            return entry.price
    message = f"Nobody knows the price of {model!r}: set input_cost_per_token and output_cost_per_token for it."
    raise InvalidRequest(message, param="model")


def _read_usage(told: object) -> Usage:
    """Usage as OpenAI or Anthropic tell it; these leave out of their input tokens what the cache read or wrote."""
    try:
        if isinstance(told, dict) and "prompt_tokens" in told:
            return read_openai(msgspec.convert(told, TokenUsage)) or Usage()
        if isinstance(told, dict) and "input_tokens" in told:
            return read_anthropic(msgspec.convert(told, ToldUsage))
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"usage: {error}", param="usage") from None
    raise InvalidRequest("usage must have prompt_tokens (OpenAI) or input_tokens (Anthropic).", param="usage")
