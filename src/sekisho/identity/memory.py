"""What was read from the store and is remembered, so that a usual call reads nothing."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from msgspec import Struct

from sekisho.core.clock import Clock
from sekisho.core.errors import StoreUnavailable

CAPACITY: Final = 50_000
"""Entries remembered."""
FRESH: Final = 60.0
"""Seconds after which an entry is read again even if nothing was changed."""
FRESH_UNKNOWN: Final = 5.0
"""Seconds for which an unknown name is not looked up again, nor any while the database is away."""

Name = TypeVar("Name", bound=Hashable)
Value = TypeVar("Value")


class Reading(Struct, Generic[Value], frozen=True):
    """What was read. `seconds`: how long it is fresh. `waits`: whether it no longer counts then, until it is read."""

    value: Value
    seconds: float = FRESH
    waits: bool = False


class _Entry(Struct, Generic[Value]):
    value: Value
    waits: bool
    generation: int
    fresh_until: float


class Memory(Generic[Name, Value]):
    """Remembers values by name, and reads those that are new or may have changed.

    `doubt` makes all that is remembered doubtful at once. While the database is away, what is remembered goes on
    counting.
    """

    def __init__(self, read: Callable[[Name], Awaitable[Reading[Value]]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._entries: OrderedDict[Name, _Entry[Value]] = OrderedDict()
        self._loading: dict[tuple[Name, int], asyncio.Task[_Entry[Value]]] = {}
        self._generation = 0

    def doubt(self) -> None:
        """Read everything again before it counts."""
        self._generation += 1

    async def get(self, name: Name) -> Value:
        """The value of a name. Raises StoreUnavailable when it is not remembered and the database is away."""
        entry = self._entries.get(name)
        if entry is None or entry.generation != self._generation:
            entry = await asyncio.shield(self._load(name))
        else:
            self._entries.move_to_end(name)
        if entry.fresh_until <= self._clock.monotonic():
            loading = self._load(name)
            entry = await asyncio.shield(loading) if entry.waits else entry
        return entry.value

    async def close(self) -> None:
        """Stop reading."""
        tasks = list(self._loading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _load(self, name: Name) -> "asyncio.Task[_Entry[Value]]":
        """Read a value, once however many ask for it between two doubts."""
        wanted = (name, self._generation)
        task = self._loading.get(wanted)
        if task is None:
            task = self._loading[wanted] = asyncio.create_task(self._renew(name))
            task.add_done_callback(lambda done: self._loaded(wanted, done))
        return task

    def _loaded(self, wanted: tuple[Name, int], task: "asyncio.Task[_Entry[Value]]") -> None:
        del self._loading[wanted]
        if not task.cancelled():
            task.exception()  # looked at here, because a background refresh has nobody else to look

    async def _renew(self, name: Name) -> _Entry[Value]:
        generation, known = self._generation, self._entries.get(name)
        try:
            reading = await self._read(name)
        except StoreUnavailable:
            if known is None:
                raise
            # A little while without asking again: each attempt may take seconds.
            known.generation, known.fresh_until = generation, self._clock.monotonic() + FRESH_UNKNOWN
            return known
        entry = _Entry(reading.value, reading.waits, generation, self._clock.monotonic() + reading.seconds)
        self._entries[name] = entry
        self._entries.move_to_end(name)
        while len(self._entries) > CAPACITY:
            self._entries.popitem(last=False)
        return entry
