"""What a call may cost at worst, and how that is cut to what a budget has left without starving anybody.

Agents name no output limit, or a huge one. Holding the worst case of that would let two calls exhaust a budget that
would have paid for a hundred. So where the worst case is a large part of what is left, an output ceiling is set: the
upstream is told not to write more, which makes the hold a bound that holds. The ceiling is never less than several
times what the model's calls really use, as long as there is money for it.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from sekisho.core.money import Price, Rates, Tier

SHARE = 4
"""A single call may set aside a quarter of what is left: then six can still run side by side."""
_GENEROUS = 4
"""And never less than four times what such a call is expected to cost."""
_LEAST_TOKENS = 64
"""An answer cut shorter than this is of no use to anybody."""


class Ask(Struct, frozen=True, kw_only=True):
    """What one call wants. Tokens; `input` is an upper estimate, `output` what is expected.

    ceiling: the most output tokens that the client or the model allows.
    caches: for how long the prompt may be written to a cache, which costs more than reading it.
    price: None when the model is unpriced, or when nothing is charged.
    """

    input: int
    output: int
    ceiling: int
    caches: Literal["no", "5m", "1h"] = "5m"
    price: Price | None = None

    def cost(self, output: int) -> int:
        """Nano-dollars of a call with so many output tokens, at worst: all of its input is written to the cache."""
        if (price := self.price) is None:
            return 0
        rates = price.rates_for(self.input) if price.tiers else price.base
        dearest = rates.input
        if self.caches != "no":
            written = rates.cache_write_5m if self.caches == "5m" else rates.cache_write_1h
            dearest = written if written > dearest else dearest
        return -(-(self.input * dearest + output * rates.output) // 1_000_000)

    @property
    def least_output(self) -> int:
        """The lowest ceiling that leaves an answer of use."""
        return min(self.ceiling, max(_LEAST_TOKENS, self.output // 2))

    @property
    def generous_cost(self) -> int:
        """What such calls may need: several times what is expected, but no more than the worst case."""
        return min(self.cost(self.ceiling), _GENEROUS * self.cost(self.output))

    def fit(self, reach: int | None) -> int | None:
        """The output ceiling for a call that can be given `reach` nano-dollars at most (None: no budget applies).

        None when even the least useful answer would cost more.
        """
        if reach is None or self.price is None:
            return self.ceiling
        worst = self.cost(self.ceiling)
        if worst <= reach // SHARE:
            return self.ceiling
        allowed = min(reach, max(reach // SHARE, self.generous_cost))
        if worst <= allowed:
            return self.ceiling
        ceiling = self._affordable(allowed)
        if ceiling >= self.least_output:
            return ceiling
        return self.least_output if self.cost(self.least_output) <= reach else None

    def _affordable(self, amount: int) -> int:
        """The most output tokens that the amount pays for beside the input; below zero when not even that."""
        assert self.price is not None
        rate = self.price.rates_for(self.input).output
        if rate == 0:
            return self.ceiling if self.cost(0) <= amount else -1
        ceiling = (amount - self.cost(0)) * 1_000_000 // rate
        return min(self.ceiling, ceiling)


def join_prices(prices: Sequence[Price]) -> Price:
    """A price that is nowhere below any of `prices`, so that a hold by it pays for each of their models."""
    first = prices[0]
    return first if prices.count(first) == len(prices) else _join(tuple(dict.fromkeys(prices)))


@lru_cache(maxsize=1024)
def _join(prices: tuple[Price, ...]) -> Price:
    bounds = sorted({tier.above for price in prices for tier in price.tiers})
    tiers = [Tier(above, _highest([price.rates_for(above + 1) for price in prices])) for above in bounds]
    version = "+".join(dict.fromkeys(price.version for price in prices))
    return Price(version, _highest([price.base for price in prices]), tuple(tiers))


def _highest(rates: Sequence[Rates]) -> Rates:
    return Rates(*(max(getattr(each, kind) for each in rates) for kind in Rates.__struct_fields__))
