"""A sliding window of time, in buckets.

Sliding, and not a fixed minute, so that a limit of N per minute never lets 2N through around a minute's turn; and not a
token bucket, which lets through nearly 2N in its first minute. A window is sixty buckets (of a day: 96), whatever the
rate; it is late by at most one bucket, on the strict side.
"""

from itertools import accumulate

from sekisho.core.escrow import Span

MINUTE = Span(60, 1)
DAY = Span(86_400, 900)


class SlidingWindow:
    """Counts what happened in the last span.

    second: the monotonic time, in whole seconds, to which it was last slid. total: what it holds then. After `slide`,
    which is needed once in a second, `total` may be read, and whatever happens be added to it: that is all that most
    calls do here.
    """

    __slots__ = ("_at", "_before", "_bucket", "_older", "_seconds", "second", "total")

    def __init__(self, span: Span = MINUTE) -> None:
        self._seconds, self._bucket = span.seconds, span.bucket
        self._older: list[tuple[int, int]] = []  # few; an empty deque would take 0.7 KB
        self._at = self.second = -1
        self._before = self.total = 0  # before: what of the total is in older buckets

    def slide(self, second: int) -> None:
        """Go on to this second, and forget what is too old by then."""
        bucket = second // self._bucket
        if bucket != self._at:
            if (latest := self.total - self._before) != 0:
                self._older.append((self._at, latest))
                self._before = self.total
            self._at = bucket
        oldest = (second - self._seconds) // self._bucket
        while self._older and self._older[0][0] < oldest:
            amount = self._older.pop(0)[1]
            self.total -= amount
            self._before -= amount
        self.second = second

    def add(self, now: float, amount: int) -> None:
        """Count `amount` at the monotonic time `now` (seconds)."""
        if (second := int(now)) != self.second:
            self.slide(second)
        self.total += amount

    def used(self, now: float) -> int:
        """What the last span holds."""
        if (second := int(now)) != self.second:
            self.slide(second)
        return self.total

    def empty_at(self) -> float:
        """The monotonic time from which the window holds nothing, if nothing more happens; to be slid before."""
        if self.total <= 0:
            return self.second
        last = self._at if self.total != self._before else self._older[-1][0]
        return (last + 1) * self._bucket + self._seconds

    def seconds_until(self, now: float, room: int) -> float:
        """How long until the window holds at most `room`, which is not below 0; 0.0 when it does already."""
        if (used := self.used(now)) <= room:
            return 0.0
        buckets = [*self._older, (self._at, used - self._before)]
        freed = accumulate(amount for _, amount in buckets)
        last = next(bucket for (bucket, _), free in zip(buckets, freed, strict=True) if used - free <= room)
        return max(0.0, (last + 1) * self._bucket + self._seconds - now)
