"""The usage journal: calls are written to the spool at once, and to the database in groups soon after."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from sekisho.core.errors import StoreUnavailable
from sekisho.store.booking import Bookkeeper, add_up
from sekisho.store.records import UsageRow
from sekisho.store.spool import Entry, Spool

_log = logging.getLogger(__name__)

LINGER: Final = 0.5
"""Seconds a group is left open for more calls while nobody waits for it."""
CAPACITY: Final = 100_000
"""Calls kept in memory while the database is away, about 100 MB; what is beyond them is read from the spool again."""
SYNC_SECONDS: Final = 0.2
"""How much a loss of power may cost."""
CLOSING: Final = 10.0
"""Seconds that closing goes on trying to write."""
_BACKOFF: Final = (0.1, 0.2, 0.5, 1.0, 2.0)


class UsageJournal:
    """Books calls in the order in which they ended, each once.

    What is recorded is in the spool before anything else happens. If this process dies, or the database is still away
    when it closes, another one books it from there (`recovery`).
    """

    def __init__(
        self, bookkeeper: Bookkeeper, worker: str, folder: Path, *, linger: float = LINGER, capacity: int = CAPACITY
    ) -> None:
        self._bookkeeper = bookkeeper
        self._worker = worker
        self._spool = Spool(folder, worker)
        self._linger = linger
        self._capacity = capacity
        self._waiting: deque[Entry] = deque()
        self._backlog: int | None = None
        """From where in the spool on the ends of calls are not in memory; None if all are."""
        self._recorded = 0
        self._durable = 0
        self._rotated_at = 0
        """How many calls had been recorded when the spool's file was begun."""
        self._failures = 0
        self._failed_in_a_row = 0
        self._work = asyncio.Event()
        self._hurry = asyncio.Event()
        self._unsynced = asyncio.Event()
        self._progress = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self.on_durable: Callable[[Mapping[str, int]], None] = _ignore
        """Told of every group once it is durable, in the event loop: what was booked on leased accounts."""

    @property
    def pending(self) -> int:
        """How many calls are not in the database yet."""
        return self._recorded - self._durable

    def start(self) -> None:
        """Begin to write in the background, in the running event loop."""
        self._tasks = [
            asyncio.create_task(self._run(), name="usage-journal"),
            asyncio.create_task(self._sync(), name="usage-journal-sync"),
        ]

    def sent(self, row: UsageRow, booked: Mapping[str, bool]) -> None:
        """Write down a call before its request leaves: `row` is booked if its end is never recorded.

        Args:
            row: what the call is estimated to use.
            booked: the names of the accounts that pay, and whether each is leased by this worker.

        Raises:
            StoreUnavailable: the disk is full, and the request must not leave.
        """
        self._spool.sent(row, booked)
        self._unsynced.set()

    def record(self, row: UsageRow, booked: Mapping[str, bool]) -> None:
        """Write down the end of a call; it is booked soon. Never waits and never fails."""
        entry = Entry(row, booked, done=True)
        place: int | None = None
        try:
            place = self._spool.done(row, booked)
        except StoreUnavailable as error:  # only calls that never left, and cost nothing
            _log.error("the end of call %s is kept in memory only: %s", row.id, error)
        self._recorded += 1
        if self._backlog is None and len(self._waiting) >= self._capacity:
            self._backlog = place
        if self._backlog is None or place is None:
            self._waiting.append(entry)
        self._work.set()
        self._unsynced.set()

    async def flush(self) -> None:
        """Wait until every call recorded so far is in the database.

        Raises:
            StoreUnavailable: an attempt to write failed meanwhile; what is recorded stays in the spool.
        """
        target, failures = self._recorded, self._failures
        while self._durable < target:
            self._hurry.set()
            async with self._progress:
                await self._progress.wait_for(lambda: self._durable >= target or self._failures > failures)
            if self._durable < target and self._failures > failures:
                raise StoreUnavailable("The database does not answer; usage is kept and will be written later.")

    async def close(self, timeout_seconds: float = CLOSING) -> bool:
        """Write what is left, for at most so long, and stop. Returns whether all is written."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self._tasks and self.pending:
                    with contextlib.suppress(StoreUnavailable):
                        await self.flush()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self.pending:
            _log.warning("the database is away at shutdown; %d calls wait in the usage spool", self.pending)
            self._spool.sync()
        self._spool.close(keep=self.pending > 0)
        return self.pending == 0

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._linger):
                    await self._hurry.wait()
            self._work.clear()
            self._hurry.clear()
            target = self._recorded  # what comes meanwhile is left to gather, or a busy worker would write handfuls
            while self._durable < target:
                if self._waiting:
                    await self._write_group()
                else:
                    self._read_backlog()
            self._tidy_spool()

    def _tidy_spool(self) -> None:
        """Begin a new file if this one has grown; the one before goes when all calls that ended in it are booked."""
        if self._durable >= self._rotated_at:
            self._spool.forget_old()
            if self._backlog is None and self._spool.rotate():
                self._rotated_at = self._recorded

    async def _write_group(self) -> None:
        """Book the calls that ended first. When the database is away wait, longer each time."""
        group = list(islice(self._waiting, self._bookkeeper.group))
        try:
            await self._bookkeeper.book(self._worker, group)
        except StoreUnavailable as error:
            await self._back_off(error)
            return
        self._failed_in_a_row = 0
        for _ in group:
            self._waiting.popleft()
        self._durable += len(group)
        try:
            self.on_durable(add_up(group)[1])
        except Exception:  # noqa: BLE001 -- a listener's mistake must not end the writing
            _log.exception("a listener of the usage journal failed")
        async with self._progress:
            self._progress.notify_all()

    def _read_backlog(self) -> None:
        """Take what there was no room for from the spool."""
        assert self._backlog is not None
        limit = self._bookkeeper.group
        entries, place = self._spool.read_done(self._backlog, limit)
        self._waiting.extend(entries)
        self._backlog = place if len(entries) == limit else None

    async def _back_off(self, error: StoreUnavailable) -> None:
        pause = _BACKOFF[min(self._failed_in_a_row, len(_BACKOFF) - 1)]
        self._failed_in_a_row += 1
        self._failures += 1
        message = "usage cannot be written (%s); %d calls wait, next attempt in %.1f s"
        _log.error(message, error.__cause__, self.pending, pause)
        async with self._progress:
            self._progress.notify_all()
        await asyncio.sleep(pause)

    async def _sync(self) -> None:
        """Tell the disk of what is new, for ever."""
        while True:
            await self._unsynced.wait()
            await asyncio.sleep(SYNC_SECONDS)
            self._unsynced.clear()
            await asyncio.to_thread(self._spool.sync)


def _ignore(_amounts: Mapping[str, int]) -> None:
    """Nobody wants to know."""
