"""Price tables that `tools/make_prices.py` writes, and prices that the configuration sets.

A table is a `prices.json` beside the provider's code. An unknown model is unpriced.
"""

import functools
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from importlib.resources import files

import msgspec
from msgspec import Struct

from sekisho.core.errors import ConfigError
from sekisho.core.money import Price, Rates, Tier, override_rates
from sekisho.core.money import rate_from_dollars_per_token as rate_per_token
from sekisho.core.target import Check

CONFIG_KEYS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
}
"""LiteLLM's names for a price in dollars per token, and ours."""


class PriceRow(Struct, frozen=True, omit_defaults=True):
    """One row of a table. `rates` are nano-dollars per million tokens in the order of `Rates`.

    scope: on Bedrock, the kind of profile prefix that the row is for (see there); `any` elsewhere.
    tiers: pairs of the prompt length above which the tier applies, and its rates.
    """

    model: str
    scope: str
    rates: tuple[int, int, int, int, int]
    tiers: tuple[tuple[int, tuple[int, int, int, int, int]], ...] = ()


class PriceTable(Struct, frozen=True):
    """A whole table: the prices in force on the day `as_of`."""

    version: str
    as_of: str
    rows: tuple[PriceRow, ...]


@functools.cache
def load_prices(package: str) -> Mapping[tuple[str, str], Price]:
    """The prices of a provider's table by model and scope."""
    table = msgspec.json.decode((files(package) / "prices.json").read_bytes(), type=PriceTable)
    return {(row.model, row.scope): _price(table.version, row) for row in table.rows}


def _price(version: str, row: PriceRow) -> Price:
    tiers = tuple(Tier(above, Rates(*rates)) for above, rates in row.tiers)
    return Price(version, Rates(*row.rates), tiers)


def configured_price(
    listed: Price | None, params: Mapping[str, object], model_info: Mapping[str, object], where: str
) -> Price | None:
    """`listed` with the prices that the configuration sets, `litellm_params` before `model_info`.

    A model whose `mode` is `embedding` has no output. Raises ConfigError for what is not a price, and for half a price
    of an unknown model.
    """
    given = {key: params.get(key, model_info.get(key)) for key in CONFIG_KEYS}
    overrides = {CONFIG_KEYS[key]: _read_rate(key, value, where) for key, value in given.items() if value is not None}
    if not overrides:
        return listed
    if listed is not None:
        return Price("config", override_rates(listed.base, overrides))
    if model_info.get("mode") == "embedding":
        overrides.setdefault("output", 0)
    if not overrides.keys() >= {"input", "output"}:
        raise ConfigError(
            "this model's price is not known here, so both input_cost_per_token and output_cost_per_token are needed",
            where=where,
        )
    write_5m = overrides.get("cache_write_5m", overrides["input"])
    base = Rates(overrides["input"], overrides["output"], overrides["input"], write_5m, write_5m)
    return Price("config", override_rates(base, overrides))


def check_price(price: Price | None) -> Sequence[Check]:
    """What there is to say of a deployment's price before anybody depends on it."""
    if price is not None:
        return ()
    advice = "set input_cost_per_token and output_cost_per_token, or model_info.base_model"
    return (Check("price", "warning", "unknown, so that callers with a budget are refused", advice),)


def _read_rate(key: str, value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ConfigError(f"{key} must be a price in dollars per token, not {value!r}", where=where)
    try:
        dollars = Decimal(str(value))
    except InvalidOperation:
        dollars = Decimal(-1)
    if not dollars.is_finite() or dollars < 0:
        raise ConfigError(f"{key} must be a price in dollars per token, not {value!r}", where=where)
    return rate_per_token(dollars)
