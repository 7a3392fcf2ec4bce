"""Deleting what was kept for long enough: usage rows, whose sums stay in the daily roll-ups, and dead accounts."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import sqlalchemy as sa

from sekisho.core.clock import Clock
from sekisho.core.durations import expiry
from sekisho.core.errors import StoreUnavailable
from sekisho.store.database import Database
from sekisho.store.escrow import lock_existing
from sekisho.store.tables import accounts, jobs, leases, usage

_ROWS: Final = "usage retention"
_ACCOUNTS: Final = "account retention"
_TURN_SECONDS: Final = 60.0
"""How long a worker keeps the turn without a sign of life."""
_BATCH: Final = 1_000
_PAUSE_SECONDS: Final = 0.05
"""Between two batches, for others that wait to write."""
_WINDOW: Final = re.compile(r":money@([1-9]\d*)/(\w+)$", re.ASCII)
"""How the name of a budget window's account ends: with the window's end and its length (`core.accounts`)."""
_LATEST_SECONDS: Final = 2 * 86_400.0
"""Calls that began in a window are booked on it when they are over, be it days later, from the spool of a dead host."""


class Retention:
    """Deletes in one worker at a time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def purge(self, keep_seconds: float) -> int:
        """Delete usage rows older than so many seconds, unless another worker does; returns how many there were.

        Raises StoreUnavailable.
        """
        deleted = 0
        async with self._turn(_ROWS) as has_turn:
            while has_turn and (batch := await self._delete_rows(int((self._clock.now() - keep_seconds) * 1000))):
                deleted += batch
                await asyncio.sleep(_PAUSE_SECONDS)
        return deleted

    async def purge_accounts(self) -> int:
        """Delete the accounts of budget windows that are long over, and those that say nothing; returns how many.

        The spend of a window stays for as long as it was, and some days: what it left may be carried over to the next.
        Raises StoreUnavailable.
        """
        deleted, last = 0, ""
        async with self._turn(_ACCOUNTS) as has_turn:
            while has_turn and (names := await self._read_accounts(last)):
                last = names[-1]
                deleted += await self._delete_accounts(names)
                await asyncio.sleep(_PAUSE_SECONDS)
        return deleted

    @asynccontextmanager
    async def _turn(self, job: str) -> AsyncIterator[bool]:
        """Whether this worker has the turn to do a job, which others have to leave alone until the block is left."""
        if not await self._take_turn(job):
            yield False
            return
        try:
            yield True
        finally:
            with contextlib.suppress(StoreUnavailable):  # the turn ends by itself
                await self._end_turn(job)

    async def _take_turn(self, job: str) -> bool:
        now = self._clock.now()
        take = self._database.insert(jobs).values(job=job, busy_until=now + _TURN_SECONDS)
        take = take.on_conflict_do_update(
            index_elements=["job"],
            set_={"busy_until": take.excluded.busy_until},
            # A time further away than any turn is from before the clock was set back.
            where=(jobs.c.busy_until <= now) | (jobs.c.busy_until > now + _TURN_SECONDS),
        )
        async with self._database.write() as connection:
            return (await connection.execute(take.returning(jobs.c.job))).first() is not None

    async def _end_turn(self, job: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(sa.update(jobs).where(jobs.c.job == job).values(busy_until=0.0))

    def _keep_turn(self, job: str) -> sa.Update:
        return sa.update(jobs).where(jobs.c.job == job).values(busy_until=self._clock.now() + _TURN_SECONDS)

    async def _delete_rows(self, before: int) -> int:
        oldest = sa.select(usage.c.id).where(usage.c.started_at < before).order_by(usage.c.started_at).limit(_BATCH)
        delete = sa.delete(usage).where(usage.c.id.in_(oldest))
        busy = self._keep_turn(_ROWS)

        def work(connection: sa.Connection) -> int:
            connection.execute(busy)
            return connection.execute(delete).rowcount

        return await self._database.transact(work)

    async def _read_accounts(self, after: str) -> Sequence[str]:
        """The next accounts of which nothing is leased."""
        query = sa.select(accounts.c.account).where(accounts.c.account > after, accounts.c.leased == 0)
        async with self._database.read() as connection:
            return (await connection.execute(query.order_by(accounts.c.account).limit(_BATCH))).scalars().all()

    async def _delete_accounts(self, names: Sequence[str]) -> int:
        """Delete those that still have no lease, and nothing spent that anybody asks for."""
        over = [name for name in names if _is_over(name, self._clock.now())]
        useless = (accounts.c.spent == 0) | accounts.c.account.in_(over)
        delete = sa.delete(accounts).where(accounts.c.account.in_(names), accounts.c.leased == 0, useless)
        delete = delete.where(accounts.c.account.not_in(sa.select(leases.c.account)))
        busy = self._keep_turn(_ACCOUNTS)

        def work(connection: sa.Connection) -> int:
            connection.execute(busy)
            lock_existing(connection, names)
            return connection.execute(delete).rowcount

        return await self._database.transact(work)


def _is_over(account: str, now: float) -> bool:
    """Whether nobody asks any more for what was spent in a budget window."""
    found = _WINDOW.search(account)
    return found is not None and now > expiry(found[2], float(found[1])) + _LATEST_SECONDS
