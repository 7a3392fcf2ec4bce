"""What one call uses, counted while its answer passes."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from sekisho.core.events import Event, TextDelta, ThinkingDelta, ToolCallDelta, UsageReport
from sekisho.core.money import Price
from sekisho.core.target import Target
from sekisho.core.usage import Usage
from sekisho.ledger.estimate import Estimator, Expectation

_TEXTS: Final = (TextDelta, ThinkingDelta)


class Meter(Struct):
    """Counts one call, from the moment an upstream took it.

    The upstream's own report is what counts. Where there is none, because the client or the upstream left early, the
    tokens are estimated from the bytes that went both ways. `owner` and `request_bytes` are set once they are known;
    `price` is that of the upstream that took the call, None when it is unpriced.
    """

    estimator: Estimator
    owner: str = ""
    request_bytes: int = 0
    price: Price | None = None
    _answer_bytes: int = 0
    _expected: tuple[str, Expectation] | None = None
    _target: Target | None = None
    _reported: Usage | None = None
    _cost: int | None = None
    """Of what is reported, once it is reckoned."""

    def expect(self, model: str) -> Expectation:
        """What the call will probably use at a model (by the upstream's name), as far as its size tells."""
        known, self._expected = self._expected, None
        if known is None or known[0] != model:
            known = (model, self.estimator.expect(self.owner, model, self.request_bytes))
        self._expected = known
        return known[1]

    def taken_by(self, target: Target) -> None:
        """An upstream has been sent the request and has not refused it: from here on it costs money."""
        self._target, self.price = target, target.price
        self._answer_bytes = 0
        self._cost = None

    def not_taken(self) -> None:
        """The upstream refused it, or was never reached: this attempt costs nothing."""
        self._target = self.price = None

    def observe(self, events: Sequence[Event]) -> None:
        """Count a part of a streamed answer."""
        for event in events:
            if isinstance(event, _TEXTS):
                self._answer_bytes += len(event.text.encode())
            elif isinstance(event, ToolCallDelta):
                self._answer_bytes += len(event.fragment.encode())
            elif isinstance(event, UsageReport):
                self.report(event.usage)

    def report(self, usage: Usage) -> None:
        """Take the upstream's own count."""
        self._reported, self._cost = usage, None
        if self._target is not None:
            self.estimator.learn(self.owner, self._target.upstream_model, self.request_bytes, usage)

    def report_whole(self, usage: Usage) -> bool:
        """Take the count of a whole answer; whether it is one. Of an upstream that tells none it is all zero."""
        if told := usage.total > 0:
            self.report(usage)
        return told

    def count(self, answer_bytes: int) -> None:
        """Take the size of a whole answer without a count, which is estimated by it."""
        self._answer_bytes = answer_bytes

    @property
    def estimated(self) -> bool:
        """Whether something was used whose count is a guess."""
        return self._target is not None and self._reported is None

    @property
    def usage(self) -> Usage:
        """What the call has used so far."""
        if self._reported is not None:
            return self._reported
        if self._target is None:
            return Usage()
        model = self._target.upstream_model
        return Usage(
            input=self.estimator.input_tokens(model, self.request_bytes),
            output=self.estimator.output_tokens(self._answer_bytes),
        )

    @property
    def cost(self) -> int | None:
        """Nano-dollars; None when the model is unpriced, zero when no upstream took the call."""
        if self._target is None:
            return 0
        price = self.price
        if price is None or self._reported is None:
            return None if price is None else price.cost(self.usage)
        if self._cost is None:
            self._cost = price.cost(self._reported)
        return self._cost
