"""What a call sets aside before any upstream is asked: of money and tokens, at worst."""

import re
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct, structs

from sekisho.core.caller import Scope
from sekisho.core.chat import ClientCall
from sekisho.core.target import Target
from sekisho.core.usage import Usage
from sekisho.core.wire import Operation
from sekisho.gateway.meter import Meter
from sekisho.gateway.ways import Roads
from sekisho.ledger.asks import Ask, join_prices
from sekisho.ledger.estimate import Estimator
from sekisho.ledger.ledger import Hold

_UNKNOWN_OUTPUT = 16_384
"""The output limit of a model whose own is not known, for callers with a budget."""
_LEAST_OUTPUT = 16
"""Some upstreams take no lower output limit."""
_LONG_LIVED = re.compile(rb'"1h"')  # which searches twice as fast as `in`, and bodies are long
"""Stands in requests that want their prompt cached for an hour."""


class Held(Struct, frozen=True):
    """A call's hold, and what goes with it to the upstreams.

    expected: what is booked if the end of the call is never told. ceiling: the most output tokens to ask for; None
    when the limit of the client or the model stands.
    """

    hold: Hold
    expected: Usage
    ceiling: int | None


def has_budget(scopes: Sequence[Scope], group: str) -> bool:
    """Whether calls to the model group are paid from some budget."""
    return any(scope.budgets or ((own := scope.model_limits.get(group)) and own.budgets) for scope in scopes)


class Forecast(Struct, frozen=True):
    """What a call will use: `ask` at worst, `expected` probably.

    bounded: whether upstreams need not be told of `ask.ceiling`: the client or the model's limits say as much, or no
      budget pays for the call.
    """

    ask: Ask
    expected: Usage
    bounded: bool

    def hold_with(self, hold: Hold) -> Held:
        """What goes to the upstreams once the call is held."""
        ceiling, expected = hold.ceiling, self.expected
        if ceiling is None and not self.bounded:
            ceiling = self.ask.ceiling
        if ceiling is not None and expected.output > ceiling:  # more is not held, and must not be booked either
            expected = structs.replace(expected, output=ceiling)
        return Held(hold, expected, ceiling)


def forecast(
    estimator: Estimator, meter: Meter, roads: Roads, call: ClientCall, operation: Operation, *, paid: bool
) -> Forecast:
    """Forecast a call, whichever target of its roads will serve it. Counting tokens costs nothing.

    `paid` is whether a budget pays for it.
    """
    if operation == "count_tokens":
        return Forecast(Ask(input=0, output=0, ceiling=0), Usage(), bounded=True)
    targets = [target for road in roads.all for target in road.targets]
    first, prices = targets[0].upstream_model, [target.price for target in targets if target.price is not None]
    price = join_prices(prices) if prices else None
    models = {target.upstream_model for target in targets}
    most = max(estimator.most_input(model, meter.request_bytes) for model in models)
    likely = estimator.input_tokens(first, meter.request_bytes)
    if operation == "embeddings":
        return Forecast(Ask(input=most, output=0, ceiling=0, caches="no", price=price), Usage(input=likely), True)
    limit = _limit_output(call, targets)
    ceiling = max(_LEAST_OUTPUT, _UNKNOWN_OUTPUT * call.answers if limit is None else limit)
    output = min(ceiling, max(2, estimator.likely_output(meter.owner, first)) * call.answers)
    caches: Literal["5m", "1h"] = "1h" if paid and _LONG_LIVED.search(call.body) else "5m"
    ask = Ask(input=most, output=output, ceiling=ceiling, caches=caches, price=price)
    return Forecast(ask, Usage(input=likely, output=output), limit is not None or not paid)


def _limit_output(call: ClientCall, targets: Sequence[Target]) -> int | None:
    """The most output tokens that any target may produce, of all answers together; None where no limit is known."""
    wanted, limits = call.max_output_tokens, [target.facts.max_output_tokens for target in targets]
    known = [limit for limit in limits if limit is not None]
    if len(known) < len(limits):
        return wanted * call.answers if wanted else None
    return min(wanted or max(known), max(known)) * call.answers
