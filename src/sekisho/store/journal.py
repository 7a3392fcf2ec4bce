"""The usage journal: calls are recorded without waiting and written in groups."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Final

import msgspec
import sqlalchemy as sa

from sekisho.core.clock import Clock
from sekisho.core.errors import StoreUnavailable
from sekisho.store.database import Database
from sekisho.store.records import UsageRow
from sekisho.store.spend import add_spend
from sekisho.store.usage import insert_usage

_log = logging.getLogger(__name__)

LINGER: Final = 0.1
"""Seconds a group is left open for more rows while nobody waits for it."""
GROUP: Final = 500
"""Rows written in one transaction at most."""
CAPACITY: Final = 100_000
"""Rows kept while the database is away, about 100 MB."""
CLOSING: Final = 10.0
"""Seconds that closing goes on trying to write."""
_BACKOFF: Final = (0.1, 0.2, 0.5, 1.0, 2.0)


class UsageJournal:
    """Writes usage rows, and the spend that follows from them, in the order they were recorded.

    A group is written once: a row that is in the database already (its first attempt ended in doubt) neither doubles
    nor is paid for again. While the database is away rows wait in memory, `capacity` of them; one too many, or one
    left when closing, goes to the log as JSON instead, from where it can be brought back.
    """

    def __init__(self, database: Database, clock: Clock, *, linger: float = LINGER, capacity: int = CAPACITY) -> None:
        self._database = database
        self._clock = clock
        self._linger = linger
        self._capacity = capacity
        self._rows: deque[UsageRow] = deque()
        self._recorded = 0
        self._durable = 0
        self._failures = 0
        self._failed_in_a_row = 0
        self._group = GROUP
        self._work = asyncio.Event()
        self._hurry = asyncio.Event()
        self._progress = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.on_durable: Callable[[Sequence[UsageRow]], None] = _ignore
        """Told of every group once it is durable, in the event loop."""

    @property
    def pending(self) -> int:
        """How many rows are not durable yet."""
        return len(self._rows)

    def start(self) -> None:
        """Begin to write in the background, in the running event loop."""
        self._task = asyncio.create_task(self._run(), name="usage-journal")

    def record(self, row: UsageRow) -> None:
        """Take a row; it is written soon. Never waits and never fails."""
        if len(self._rows) >= self._capacity:
            _log.error("usage journal is full, the database is away; usage row: %s", _json(row))
            return
        self._rows.append(row)
        self._recorded += 1
        self._work.set()

    async def flush(self) -> None:
        """Wait until every row recorded so far is durable.

        Raises:
            StoreUnavailable: an attempt to write failed meanwhile; the rows stay queued.
        """
        target, failures = self._recorded, self._failures
        while self._durable < target:
            self._hurry.set()
            async with self._progress:
                await self._progress.wait_for(lambda: self._durable >= target or self._failures > failures)
            if self._durable < target and self._failures > failures:
                raise StoreUnavailable("The database does not answer; usage is kept and will be written later.")

    async def close(self, timeout_seconds: float = CLOSING) -> None:
        """Write what is left, for at most so long, and stop."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self._rows:
                    with contextlib.suppress(StoreUnavailable):
                        await self.flush()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        for row in self._rows:
            _log.error("the database is away at shutdown; usage row: %s", _json(row))

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._linger):
                    await self._hurry.wait()
            self._work.clear()
            self._hurry.clear()
            while self._rows:
                await self._write_group()

    async def _write_group(self) -> None:
        """Write the oldest rows. When the database is away wait, longer each time; a row it refuses is set aside."""
        group = list(islice(self._rows, self._group))
        try:
            await self._database.transact(partial(_write, self._database, group, self._clock.now()))
        except StoreUnavailable as error:
            await self._back_off(error)
            return
        except Exception:  # noqa: BLE001 -- whatever is wrong with a row, the others must be written
            if len(group) > 1:
                self._group = len(group) // 2
                return
            _log.exception("the database refuses a usage row: %s", _json(group[0]))
        self._group = min(self._group * 2, GROUP)
        self._failed_in_a_row = 0
        for _ in group:
            self._rows.popleft()
        self._durable += len(group)
        try:
            self.on_durable(group)
        except Exception:  # noqa: BLE001 -- a listener's mistake must not end the writing
            _log.exception("a listener of the usage journal failed")
        async with self._progress:
            self._progress.notify_all()

    async def _back_off(self, error: StoreUnavailable) -> None:
        pause = _BACKOFF[min(self._failed_in_a_row, len(_BACKOFF) - 1)]
        self._failed_in_a_row += 1
        self._failures += 1
        message = "usage cannot be written (%s); %d rows wait, next attempt in %.1f s"
        _log.error(message, error.__cause__, len(self._rows), pause)
        async with self._progress:
            self._progress.notify_all()
        await asyncio.sleep(pause)


def _ignore(_rows: Sequence[UsageRow]) -> None:
    """Nobody wants to know."""


def _write(database: Database, rows: Sequence[UsageRow], now: float, connection: sa.Connection) -> None:
    add_spend(connection, insert_usage(database, connection, rows), now)


def _json(row: UsageRow) -> str:
    return msgspec.json.encode(row).decode()
