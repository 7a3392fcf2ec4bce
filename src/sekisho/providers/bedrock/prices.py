"""What the models on Amazon Bedrock cost: a generated table, and our own where that one has a gap.

`prices.json` is written by `tools/make_prices.py`; `prices.toml` is kept by hand and wins. A row is found by the model
id without its profile prefix and its version, and by the scope of the prefix: `global`, `regional` (any other prefix,
or none) or `any`; in `prices.toml` also a prefix by itself. An unknown model is unpriced.
"""

import functools
import re
import tomllib
from decimal import Decimal
from importlib.resources import files

import msgspec
from msgspec import Struct

from sekisho.core.money import Price, Rates, Tier, rate_from_dollars_per_million
from sekisho.providers.common.prices import load_prices

_VERSION_SUFFIX = re.compile(r"(-\d{8})?(-v\d+)?(:\w+)*|@\d{8}", re.ASCII)

_GOVERNMENT = "us-gov"


class _Gap(Struct, frozen=True, forbid_unknown_fields=True):
    """One row of `prices.toml`, in dollars per million tokens; models without `output` make vectors."""

    models: list[str]
    scopes: list[str]
    source: str
    input: str
    output: str = "0"
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
    generated = load_prices(__package__)
    models = _stems(core)
    for scope in scopes:
        for model in models:
            if (rates := own.get((model, scope))) is not None:
                return Price(gaps.version, rates)
            if (price := generated.get((model, scope))) is not None:
                return price
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
