"""A sliding window of the last minute, in one-second buckets.

Sliding, and not a fixed minute, so that a limit of N per minute never lets 2N through around a minute's turn. A bucket
of one second keeps a window at sixty integers whatever the rate; the window is late by at most that second, on the
strict side.
"""

from collections import deque

WINDOW_SECONDS = 60


class SlidingWindow:
    """Counts what happened in the last sixty seconds."""

    __slots__ = ("_buckets", "_total")

    def __init__(self) -> None:
        self._buckets: deque[tuple[int, int]] = deque()
        self._total = 0

    def add(self, now: float, amount: int) -> None:
        """Count `amount` at the monotonic time `now` (seconds)."""
        second = int(now)
        if self._buckets and self._buckets[-1][0] == second:
            self._buckets[-1] = (second, self._buckets[-1][1] + amount)
        else:
            self._buckets.append((second, amount))
        self._total += amount

    def used(self, now: float) -> int:
        """What the last sixty seconds hold."""
        oldest = int(now) - WINDOW_SECONDS
        while self._buckets and self._buckets[0][0] < oldest:
            self._total -= self._buckets.popleft()[1]
        return self._total

    def seconds_until(self, now: float, room: int) -> float:
        """How long until the window holds at most `room`; 0.0 when it does already."""
        used = self.used(now)
        for second, amount in self._buckets:
            if used <= room:
                break
            used -= amount
            wait = second + WINDOW_SECONDS + 1 - now
            if used <= room:
                return max(wait, 0.0)
        return 0.0
