"""What was read from the store and is remembered, so that a usual call reads nothing."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable
from typing import Final, Generic, TypeAlias, TypeVar

from msgspec import Struct

from sekisho.core.clock import Clock
from sekisho.core.errors import StoreUnavailable

CAPACITY: Final = 200_000
"""Entries remembered; a key takes about 2 KB."""
FRESH: Final = 3600.0
"""Seconds after which an entry is read again even if nobody told of a change: somebody may have written by hand."""
FRESH_UNKNOWN: Final = 5.0
"""Seconds for which an unknown name is not looked up again, nor any while the database is away."""
_MOST_CHANGES: Final = 10_000
"""Changed rows that are kept in mind; when they are more, everything is doubtful."""

Row: TypeAlias = tuple[str, str]
"""A row of the store: its table and its primary key, as the audit trail names them."""

Name = TypeVar("Name", bound=Hashable)
Value = TypeVar("Value")


class Reading(Struct, Generic[Value], frozen=True):
    """What was read. `seconds`: how long it is fresh. `waits`: whether it no longer counts then, until it is read."""

    value: Value
    seconds: float = FRESH
    waits: bool = False


class _Entry(Struct, Generic[Value], gc=False):
    value: Value
    waits: bool
    generation: int
    fresh_until: float


class Memory(Generic[Name, Value]):
    """Remembers values by name, and reads those that are new or may have changed.

    `doubt` makes what depends on changed rows, or all that is remembered, doubtful at once. While the database is away,
    what is remembered goes on counting.

    Args:
        read: reads a value.
        rows_of: the rows that a value depends on, also those that are not there; None for one that any change touches.
        clock: the source of time.
    """

    def __init__(
        self,
        read: Callable[[Name], Awaitable[Reading[Value]]],
        rows_of: Callable[[Name, Value], Iterable[Row] | None],
        clock: Clock,
    ) -> None:
        self._read = read
        self._rows_of = rows_of
        self._clock = clock
        self._entries: OrderedDict[Name, _Entry[Value]] = OrderedDict()
        self._loading: dict[tuple[Name, int], asyncio.Task[_Entry[Value]]] = {}
        self._generation = 0
        self._oldest = 0
        """What was read in an earlier generation is doubtful, whatever it depends on."""
        self._changed: dict[Row, int] = {}
        """The generation that began with the last change of a row."""

    def doubt(self, rows: Collection[Row] | None = None) -> None:
        """Read what depends on these rows again before it counts; everything without them."""
        self._generation += 1
        if rows is None or len(self._changed) + len(rows) > _MOST_CHANGES:
            self._oldest = self._generation
            self._changed.clear()
        else:
            self._changed.update(dict.fromkeys(rows, self._generation))

    def peek(self, name: Name) -> Value | None:
        """The value of a name where nothing must be read or looked at for it: the usual case. None otherwise."""
        entry = self._entries.get(name)
        if entry is None or entry.generation != self._generation or entry.fresh_until <= self._clock.monotonic():
            return None
        self._entries.move_to_end(name)
        return entry.value

    async def get(self, name: Name) -> Value:
        """The value of a name. Raises StoreUnavailable when it is not remembered and the database is away."""
        entry = self._entries.get(name)
        if entry is None or (entry.generation != self._generation and self._is_touched(name, entry)):
            entry = await asyncio.shield(self._load(name))
        else:
            entry.generation = self._generation
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

    def _is_touched(self, name: Name, entry: _Entry[Value]) -> bool:
        """Whether a change since an entry was read, or last looked at, may concern it."""
        if entry.generation < self._oldest:
            return True
        rows = self._rows_of(name, entry.value)
        return rows is None or any(self._changed.get(row, 0) > entry.generation for row in rows)

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
