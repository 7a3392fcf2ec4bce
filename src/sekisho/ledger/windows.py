"""A sliding window of time, in buckets.

Sliding, and not a fixed minute, so that a limit of N per minute never lets 2N through around a minute's turn; and not a
token bucket, which lets through nearly 2N in its first minute. A window is sixty buckets (of a day: 96), whatever the
rate; it is late by at most one bucket, on the strict side.
"""

from collections import deque
from itertools import accumulate

from sekisho.core.escrow import Span

MINUTE = Span(60, 1)
DAY = Span(86_400, 900)


class SlidingWindow:
    """Counts what happened in the last span."""

    __slots__ = ("_bucket", "_buckets", "_seconds", "_total")

    def __init__(self, span: Span = MINUTE) -> None:
        self._seconds, self._bucket = span.seconds, span.bucket
        self._buckets: deque[tuple[int, int]] = deque()
        self._total = 0

    def add(self, now: float, amount: int) -> None:
        """Count `amount` at the monotonic time `now` (seconds)."""
        if not amount:
            return
        bucket = int(now) // self._bucket
        if self._buckets and self._buckets[-1][0] == bucket:
            self._buckets[-1] = (bucket, self._buckets[-1][1] + amount)
        else:
            self._buckets.append((bucket, amount))
        self._total += amount

    def used(self, now: float) -> int:
        """What the last span holds."""
        oldest = (int(now) - self._seconds) // self._bucket
        while self._buckets and self._buckets[0][0] < oldest:
            self._total -= self._buckets.popleft()[1]
        return self._total

    def seconds_until(self, now: float, room: int) -> float:
        """How long until the window holds at most `room`; 0.0 when it does already."""
        used = self.used(now)
        if used <= room:
            return 0.0
        if room <= 0:  # the usual question, which need not go through all buckets
            last = self._buckets[-1][0]
        else:
            freed = accumulate(amount for _, amount in self._buckets)
            last = next(bucket for (bucket, _), free in zip(self._buckets, freed, strict=True) if used - free <= room)
        return max((last + 1) * self._bucket + self._seconds - now, 0.0)
