"""How long something may take: one timer for all calls of the process, since timers are dear."""

import asyncio
from types import TracebackType
from typing import Final, Self

_NEVER: Final = float("inf")


class Alarm:
    """Rings for limits whose time is up; `limits` are those that are watched."""

    def __init__(self) -> None:
        self.limits: set[Limit] = set()
        self.next = _NEVER
        """When to look; what is watched no longer is found out about then: mostly another has come by that time."""
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at: float, loop: asyncio.AbstractEventLoop) -> None:
        """Look at the limits at this time, which is sooner than any before."""
        if self._timer is not None:
            self._timer.cancel()
        self.next, self._timer = at, loop.call_at(at, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self.next, self._timer = _NEVER, None
        now = loop.time()
        for limit in [limit for limit in self.limits if limit.at <= now]:
            self.limits.discard(limit)
            limit.ring()
        if self.limits:
            self.set(min(limit.at for limit in self.limits), loop)


class Limit:
    """A block that may take so many seconds: it is cancelled then, and raises TimeoutError.

    `at` is when its time is up, by the loop's clock.
    """

    __slots__ = ("_alarm", "_loop", "_rang", "_task", "at")

    def __init__(self, alarm: Alarm, seconds: float) -> None:
        self._alarm = alarm
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(self._loop)
        self._rang = False
        self.at = self._loop.time() + seconds

    def __enter__(self) -> Self:
        alarm = self._alarm
        alarm.limits.add(self)
        if self.at < alarm.next:
            alarm.set(self.at, self._loop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._alarm.limits.discard(self)
        # Who else has cancelled the task has priority, as with asyncio.timeout.
        if self._rang and self._task is not None and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return self.at - self._loop.time()

    def ring(self) -> None:
        """The time is up."""
        self._rang = True
        if self._task is not None:
            self._task.cancel()
