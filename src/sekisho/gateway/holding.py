"""What a call sets aside before any upstream is asked: of money and tokens, at worst."""

from typing import Literal

from msgspec import Struct, structs

from sekisho.core.chat import ClientCall
from sekisho.core.usage import Usage
from sekisho.core.wire import Operation
from sekisho.gateway.meter import Meter
from sekisho.gateway.ways import Terms
from sekisho.ledger.asks import Ask
from sekisho.ledger.estimate import Estimator
from sekisho.ledger.holds import Hold

_UNKNOWN_OUTPUT = 16_384
"""The output limit of a model whose own is not known, for callers with a budget."""
_LEAST_OUTPUT = 16
"""Some upstreams take no lower output limit."""
_LONG_LIVED = b'"1h"'
"""Stands in requests that want their prompt cached for an hour."""


class Held(Struct, frozen=True):
    """A call's hold, and what goes with it to the upstreams.

    expected: what is booked if the end of the call is never told. ceiling: the most output tokens to ask for; None
    when the limit of the client or the model stands.
    """

    hold: Hold
    expected: Usage
    ceiling: int | None


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


def forecast(estimator: Estimator, meter: Meter, terms: Terms, call: ClientCall, operation: Operation) -> Forecast:
    """Forecast a call that the meter has weighed. Counting tokens costs nothing."""
    if operation == "count_tokens":
        return _NOTHING
    models = terms.models
    likely = meter.expect(models[0])
    most = likely.most_input if len(models) == 1 else estimator.most_input(models, meter.request_bytes)
    if operation == "embeddings":
        ask = Ask(input=most, output=0, ceiling=0, caches="no", price=terms.price)
        return Forecast(ask, Usage(input=likely.input), bounded=True)
    limit, most_output = call.max_output_tokens or terms.most_output, terms.most_output
    if limit is not None:  # of all answers together, by the client and the models
        limit = (limit if most_output is None or limit < most_output else most_output) * call.answers
    ceiling = _UNKNOWN_OUTPUT * call.answers if limit is None else limit
    if ceiling < _LEAST_OUTPUT:
        ceiling = _LEAST_OUTPUT
    output = (likely.output if likely.output > 2 else 2) * call.answers
    if output > ceiling:
        output = ceiling
    long_lived = terms.paid and terms.dear_hours and call.mentions(_LONG_LIVED)
    caches: Literal["5m", "1h"] = "1h" if long_lived else "5m"
    ask = Ask(input=most, output=output, ceiling=ceiling, caches=caches, price=terms.price)
    return Forecast(ask, Usage(input=likely.input, output=output), limit is not None or not terms.paid)


_NOTHING = Forecast(Ask(input=0, output=0, ceiling=0), Usage(), bounded=True)
