"""A deadline that is moved with every message, and costs next to nothing when it is."""

import asyncio
from collections.abc import Callable
from typing import Final

NEVER: Final = float("inf")


class Deadline:
    """Calls `act` when the time `at` has come, by the loop's clock.

    Moving it to a later time leaves the timer that runs to find out by itself, since timers are dear.
    """

    __slots__ = ("_act", "_due", "_loop", "_timer", "at")

    def __init__(self, loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
        self.at = NEVER
        self._loop = loop
        self._act = act
        self._timer: asyncio.TimerHandle | None = None
        self._due = NEVER  # when the timer goes off

    def set(self, at: float) -> None:
        """Let it be at this time."""
        self.at = at
        if at < self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(at, self._look)
            self._due = at

    def stop(self) -> None:
        """Let it be never, for good, and keep nothing alive."""
        self.at = NEVER
        self._act = _do_nothing
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._due = NEVER

    def _look(self) -> None:
        self._timer = None
        self._due = NEVER
        if self._loop.time() < self.at:
            self.set(self.at)
        else:
            self.at = NEVER
            self._act()


def _do_nothing() -> None:
    """After the end."""
