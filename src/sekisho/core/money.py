"""Money and prices in integers.

An amount is an integer of nano-dollars (10^-9 USD). A rate is an integer of nano-dollars per *million* tokens: some
models cost a fraction of a nano-dollar per token (a cached Nova Micro token costs 8.75), and a rate must be exact.
A call is rounded up once, over the sum of its kinds of token.
"""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

from msgspec import Struct

from sekisho.core.usage import Usage

NANO = 10**9
_MILLION = 10**6


class Rates(Struct, frozen=True):
    """What a million tokens of each kind costs, in nano-dollars."""

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int


class Tier(Struct, frozen=True):
    """Rates that apply to the whole call once its prompt is longer than `above` tokens (all kinds of input)."""

    above: int
    rates: Rates


class Price(Struct, frozen=True):
    """The price of one model at one place. `version` names the table it came from, for the usage row."""

    version: str
    base: Rates
    tiers: tuple[Tier, ...] = ()

    def rates_for(self, prompt_tokens: int) -> Rates:
        """The rates for a prompt of this length; tiers are sorted by `above`, the last one passed wins."""
        rates = self.base
        for tier in self.tiers:
            if prompt_tokens > tier.above:
                rates = tier.rates
        return rates

    def cost(self, usage: Usage) -> int:
        """What `usage` costs, in nano-dollars, rounded up. Reasoning tokens are part of the output tokens."""
        rates = self.rates_for(usage.prompt) if self.tiers else self.base
        total = (
            usage.input * rates.input
            + usage.output * rates.output
            + usage.cache_read * rates.cache_read
            + usage.cache_write_5m * rates.cache_write_5m
            + usage.cache_write_1h * rates.cache_write_1h
        )
        return -(-total // _MILLION)


def nano_from_dollars(dollars: Decimal | float | int | str) -> int:
    """Dollars to nano-dollars, rounded up. A float is taken by its shortest decimal form (0.1 is ten cents)."""
    return int((Decimal(str(dollars)) * NANO).to_integral_value(ROUND_CEILING))


def dollars_from_nano(nano: int) -> float:
    """Nano-dollars to dollars, for JSON answers only: never calculate with the result."""
    return nano / NANO  # of two integers this is the nearest float, without a detour over floats


def rate_from_dollars_per_token(dollars: Decimal | float | int | str) -> int:
    """A price in dollars per token, as LiteLLM's configuration gives it, to a rate."""
    return int((Decimal(str(dollars)) * NANO * _MILLION).to_integral_value(ROUND_CEILING))


def rate_from_dollars_per_million(dollars: Decimal | float | int | str) -> int:
    """A price in dollars per million tokens, as price lists give it, to a rate."""
    return nano_from_dollars(dollars)


def dollars_per_token(rate: int) -> float:
    """A rate to dollars per token, for LiteLLM's model information."""
    return float(Decimal(rate) / NANO / _MILLION)


def override_rates(rates: Rates, overrides: Mapping[str, int]) -> Rates:
    """`rates` with some kinds replaced; keys are field names of `Rates`."""
    return Rates(**{name: overrides.get(name, getattr(rates, name)) for name in Rates.__struct_fields__})
