"""An event loop whose time jumps: nothing ever waits, and what happens when is the same in every run."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")

_EPOCH = 1_767_571_200.0
"""Monday, 5 January 2026, 00:00 UTC: a full minute."""
_START = 6_000.0


class _NoWaiting(selectors.SelectSelector):
    """Looks for input without waiting for it; tells for how long it would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.now = _START

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("Everything waits, and there is nothing to wait for.")
        self.now += max(timeout, 0.0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs tasks as the usual loop does. It is also the clock (`core.clock.Clock`) of whatever runs in it."""

    def __init__(self) -> None:
        self._jumping = _NoWaiting()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def monotonic(self) -> float:
        return self.time()

    def now(self) -> float:
        return _EPOCH + self.time() - _START


def run_virtually(make: Callable[[VirtualLoop], Coroutine[Any, Any, _Result]]) -> _Result:
    """What the coroutine returns that `make` makes, given the clock."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(make(loop))
    finally:
        loop.close()
