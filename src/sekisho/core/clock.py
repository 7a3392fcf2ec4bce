"""One source of time for the whole gateway, so that a test can move it."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where every room asks for the time."""

    def now(self) -> float:
        """Seconds since the epoch, for records and expiry."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step back, for durations, windows and cooldowns."""
        ...


class SystemClock:
    """The clock of the machine: its own functions, since every call asks for the time again and again."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class ManualClock:
    """A clock that moves only when told to; for tests and simulations."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._monotonic = 1_000.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since some fixed point."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both clocks."""
        self._now += seconds
        self._monotonic += seconds

    def step(self, seconds: float) -> None:
        """Move the wall clock alone, as a time correction does."""
        self._now += seconds
