"""What one call uses, counted while its answer passes."""

from collections.abc import Sequence
from math import ceil
from typing import Final

from msgspec import Struct

from sekisho.core.chat import RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.events import Event, TextDelta, ThinkingDelta, ToolCallDelta, UsageReport
from sekisho.core.money import Price
from sekisho.core.target import Target
from sekisho.core.usage import Usage
from sekisho.ledger.estimate import Estimator, Expectation

AnswerPart = Text | Thinking | RedactedThinking | ToolCall

_TEXTS: Final = (TextDelta, ThinkingDelta)


class Kept(Struct, frozen=True):
    """What is charged besides the last attempt: tokens, nano-dollars, and by which price the latest of it."""

    usage: Usage
    cost: int
    price: Price | None
    estimated: bool


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
    sent: bool = False
    """Whether the request of the stream that was asked for last is on its way: until then it costs nothing to leave."""
    _answer_bytes: int = 0
    _expected: tuple[str, Expectation] | None = None
    _target: Target | None = None
    _reported: Usage | None = None
    _cost: int | None = None
    """Of what is reported, once it is reckoned."""
    _kept: "Kept | None" = None

    def expect(self, model: str) -> Expectation:
        """What the call will probably use at a model (by the upstream's name), as far as its size tells."""
        known = self._expected
        if known is None or known[0] != model:
            known = self._expected = (model, self.estimator.expect(self.owner, model, self.request_bytes))
        return known[1]

    def taken_by(self, target: Target) -> None:
        """An upstream is sent the request and has not refused it: from here on it costs money."""
        self._target, self.price = target, target.price
        self.sent = False
        self._answer_bytes = 0
        self._cost = None

    def mark_sent(self) -> None:
        """The request is on its way."""
        self.sent = True

    def not_taken(self) -> None:
        """The upstream refused it, or was never reached: this attempt costs nothing."""
        self._target = self._cost = None
        self.price = None if self._kept is None else self._kept.price

    def keep(self, usage: Usage, share: float) -> None:
        """Charge what a part of the call has used at the upstream that took it, besides whatever follows.

        Where that is not told (all zero), it is estimated as this share of the whole.
        """
        before = self._kept or Kept(Usage(), 0, None, estimated=False)
        if estimated := usage.total == 0:
            usage = Usage(input=ceil(self._estimate().input * share))
        cost = before.cost + (self.price.cost(usage) if self.price is not None else 0)
        self._cost = None
        self._kept = Kept(before.usage + usage, cost, self.price, estimated=before.estimated or estimated)

    def observe(self, events: Sequence[Event]) -> None:
        """Count a part of a streamed answer."""
        for event in events:
            if isinstance(event, _TEXTS):
                text = event.text
                self._answer_bytes += len(text) if text.isascii() else len(text.encode())
            elif isinstance(event, ToolCallDelta):
                self._answer_bytes += len(event.fragment.encode())
            elif isinstance(event, UsageReport):
                self.report(event.usage)

    def report(self, usage: Usage) -> None:
        """Take the upstream's own count."""
        self._reported, self._cost = usage, None
        if self._target is not None:
            self.estimator.learn(self.owner, self._target.upstream_model, self.request_bytes, usage)

    def take_whole(self, usage: Usage, parts: Sequence[AnswerPart] = ()) -> None:
        """Take a whole answer: its count, or, of an upstream that tells none (all zero), what it has written."""
        if usage.total > 0:
            self.report(usage)
        else:
            self._answer_bytes = _count_bytes(parts)

    def guess(self, output_tokens: int) -> None:
        """Take this for the output of an answer of which nothing was seen."""
        self._answer_bytes = self.estimator.answer_bytes(output_tokens)

    def sum_up(self) -> tuple[Usage, int | None, bool]:
        """What the call has used and what it costs, and whether something was used whose count is a guess."""
        estimated = self._target is not None and self._reported is None
        if self._kept is not None:
            estimated = estimated or self._kept.estimated
        return self.usage, self.cost, estimated

    @property
    def usage(self) -> Usage:
        """What the call has used so far."""
        last = self._reported or self._estimate()
        return last if self._kept is None else self._kept.usage + last

    def _estimate(self) -> Usage:
        """Of what is not reported."""
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
        if self._cost is not None:
            return self._cost
        kept = 0 if self._kept is None else self._kept.cost
        if self._target is None:
            return kept
        price = self.price
        if price is None or self._reported is None:
            return None if price is None else kept + price.cost(self._estimate())
        self._cost = kept + price.cost(self._reported)
        return self._cost


def _count_bytes(parts: Sequence[AnswerPart]) -> int:
    """The UTF-8 bytes that the model wrote."""
    texts = (part.arguments if isinstance(part, ToolCall) else getattr(part, "text", "") for part in parts)
    return sum(len(text.encode()) for text in texts)
