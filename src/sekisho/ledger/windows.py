"""A sliding window of time, in buckets.

Sliding, and not a fixed minute, so that a limit of N per minute never lets 2N through around a minute's turn; and not a
token bucket, which lets through nearly 2N in its first minute. A window is sixty buckets (of a day: 96), whatever the
rate; it is late by at most one bucket, on the strict side.
"""

from collections import deque

from sekisho.core.escrow import Span

MINUTE = Span(60, 1)
DAY = Span(86_400, 900)


class SlidingWindow:
    """Counts what happened in the last span."""

    __slots__ = ("_buckets", "_span", "_total")

    def __init__(self, span: Span = MINUTE) -> None:
        self._span = span
        self._buckets: deque[tuple[int, int]] = deque()
        self._total = 0

    def add(self, now: float, amount: int) -> None:
        """Count `amount` at the monotonic time `now` (seconds)."""
        bucket = int(now) // self._span.bucket
        if self._buckets and self._buckets[-1][0] == bucket:
            self._buckets[-1] = (bucket, self._buckets[-1][1] + amount)
        else:
            self._buckets.append((bucket, amount))
        self._total += amount

    def used(self, now: float) -> int:
        """What the last span holds."""
        oldest = (int(now) - self._span.seconds) // self._span.bucket
        while self._buckets and self._buckets[0][0] < oldest:
            self._total -= self._buckets.popleft()[1]
        return self._total

    def seconds_until(self, now: float, room: int) -> float:
        """How long until the window holds at most `room`; 0.0 when it does already."""
        used = self.used(now)
        for bucket, amount in self._buckets:
            if used <= room:
                break
            used -= amount
            wait = (bucket + 1) * self._span.bucket + self._span.seconds - now
            if used <= room:
                return max(wait, 0.0)
        return 0.0
