"""What the models on Amazon Bedrock cost: a generated table, and our own where that one has a gap.

`prices.json` is written by `tools/make_prices.py`; `prices.toml` is kept by hand and wins. A row is found by the model
id without its profile prefix and its version, and by the scope of the prefix. An unknown model is unpriced.
"""

import functools
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from importlib.resources import files

import msgspec
from msgspec import Struct

from sekisho.core.errors import ConfigError
from sekisho.core.money import Price, Rates, Tier, override_rates, rate_from_dollars_per_million
from sekisho.core.money import rate_from_dollars_per_token as rate_per_token

_VERSION_SUFFIX = re.compile(r"(-\d{8})?(-v\d+)?(:\w+)*|@\d{8}", re.ASCII)

_GOVERNMENT = "us-gov"

CONFIG_KEYS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
}
"""LiteLLM's names for a price in dollars per token, and ours."""


class PriceRow(Struct, frozen=True, omit_defaults=True):
    """One row of `prices.json`. `rates` are nano-dollars per million tokens in the order of `Rates`.

    scope: `global`, `regional` (any other prefix, or none) or `any`; in `prices.toml` also a prefix by itself.
    tiers: pairs of the prompt length above which the tier applies, and its rates.
    """

    model: str
    scope: str
    rates: tuple[int, int, int, int, int]
    tiers: tuple[tuple[int, tuple[int, int, int, int, int]], ...] = ()


class PriceTable(Struct, frozen=True):
    """`prices.json`: the prices in force on the day `as_of`."""

    version: str
    as_of: str
    rows: tuple[PriceRow, ...]


class _Gap(Struct, frozen=True, forbid_unknown_fields=True):
    """One row of `prices.toml`, in dollars per million tokens."""

    models: list[str]
    scopes: list[str]
    source: str
    input: str
    output: str
    cache_read: str | None = None
    cache_write_5m: str | None = None
    cache_write_1h: str | None = None


class _Gaps(Struct, frozen=True, forbid_unknown_fields=True):
    """`prices.toml`. `government_factor` is what GovCloud costs of the list price."""

    version: str
    government_factor: str
    government_exceptions: list[str]
    price: list[_Gap]


@functools.cache
def _generated() -> tuple[str, dict[tuple[str, str], PriceRow]]:
    table = msgspec.json.decode((files(__package__) / "prices.json").read_bytes(), type=PriceTable)
    return table.version, {(row.model, row.scope): row for row in table.rows}


@functools.cache
def _own() -> tuple[_Gaps, dict[tuple[str, str], Rates]]:
    gaps = msgspec.convert(tomllib.loads((files(__package__) / "prices.toml").read_text()), _Gaps)
    rates = {(model, scope): _gap_rates(gap) for gap in gaps.price for model in gap.models for scope in gap.scopes}
    return gaps, rates


def _gap_rates(gap: _Gap) -> Rates:
    """Rates of a hand-kept row; kinds of cached input it does not name cost what input costs."""
    write_5m = gap.cache_write_5m or gap.input
    dollars = (gap.input, gap.output, gap.cache_read or gap.input, write_5m, gap.cache_write_1h or write_5m)
    return Rates(*[rate_from_dollars_per_million(each) for each in dollars])


def find_price(core: str | None, scope: str, region: str | None) -> Price | None:
    """The price of a model; None when it is unknown.

    Args:
        core: the model id without profile prefix, None for an opaque id.
        scope: the profile prefix, empty for none.
        region: the region called; a bare id in a GovCloud region has GovCloud's price.
    """
    if core is None:
        return None
    if scope == _GOVERNMENT or (region or "").startswith(f"{_GOVERNMENT}-"):
        return _government_price(core)
    wide = "global" if scope == "global" else "regional"
    return _find(core, tuple(dict.fromkeys((scope, wide, "any"))))


def _find(core: str, scopes: tuple[str, ...]) -> Price | None:
    """The first row that fits, ours before the generated one for each scope."""
    gaps, own = _own()
    version, generated = _generated()
    models = _stems(core)
    for scope in scopes:
        for model in models:
            if (rates := own.get((model, scope))) is not None:
                return Price(gaps.version, rates)
            if (row := generated.get((model, scope))) is not None:
                tiers = tuple(Tier(above, Rates(*rates)) for above, rates in row.tiers)
                return Price(version, Rates(*row.rates), tiers)
    return None


def _government_price(core: str) -> Price | None:
    """GovCloud's own row, or the list price (`global` where there is one) times its factor."""
    gaps, own = _own()
    for model in _stems(core):
        if (rates := own.get((model, _GOVERNMENT))) is not None:
            return Price(gaps.version, rates)
        if model in gaps.government_exceptions:
            return _find(core, ("any",))
    listed = _find(core, ("global", "any", "regional"))
    if listed is None:
        return None
    factor = Decimal(gaps.government_factor)
    tiers = tuple(Tier(tier.above, _scale(tier.rates, factor)) for tier in listed.tiers)
    return Price(gaps.version, _scale(listed.base, factor), tiers)


def _scale(rates: Rates, factor: Decimal) -> Rates:
    return Rates(*[-int(-rate * factor // 1) for rate in msgspec.structs.astuple(rates)])


def _stems(core: str) -> list[str]:
    """The id with ever less of its date and version, which is how the tables name models."""
    return [core[:end] for end in range(len(core), 0, -1) if _VERSION_SUFFIX.fullmatch(core, end)]


def configured_price(
    listed: Price | None, params: Mapping[str, object], model_info: Mapping[str, object], where: str
) -> Price | None:
    """`listed` with the prices that the configuration sets, `litellm_params` before `model_info`.

    Raises ConfigError for what is not a price, and for half a price of an unknown model.
    """
    given = {key: params.get(key, model_info.get(key)) for key in CONFIG_KEYS}
    overrides = {CONFIG_KEYS[key]: _read_rate(key, value, where) for key, value in given.items() if value is not None}
    if not overrides:
        return listed
    if listed is not None:
        return Price("config", override_rates(listed.base, overrides))
    if not overrides.keys() >= {"input", "output"}:
        raise ConfigError(
            "this model's price is not known here, so both input_cost_per_token and output_cost_per_token are needed",
            where=where,
        )
    write_5m = overrides.get("cache_write_5m", overrides["input"])
    base = Rates(overrides["input"], overrides["output"], overrides["input"], write_5m, write_5m)
    return Price("config", override_rates(base, overrides))


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
