"""Deleting usage rows that were kept for long enough. Their sums stay in the daily roll-ups."""

import asyncio
import contextlib
from typing import Final

import sqlalchemy as sa

from sekisho.core.clock import Clock
from sekisho.core.errors import StoreUnavailable
from sekisho.store.database import Database
from sekisho.store.tables import jobs, usage

_JOB: Final = "usage retention"
_TURN_SECONDS: Final = 60.0
"""How long a worker keeps the turn without a sign of life."""
_BATCH: Final = 1_000
_PAUSE_SECONDS: Final = 0.05
"""Between two batches, for others that wait to write."""


class Retention:
    """Deletes old usage rows, in one worker at a time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def purge(self, keep_seconds: float) -> int:
        """Delete what is older than so many seconds, unless another worker does; returns how many rows there were."""
        if not await self._take_turn():
            return 0
        deleted = 0
        try:
            while batch := await self._delete_batch(int((self._clock.now() - keep_seconds) * 1000)):
                deleted += batch
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            with contextlib.suppress(StoreUnavailable):  # the turn ends by itself
                await self._end_turn()
        return deleted

    async def _take_turn(self) -> bool:
        now = self._clock.now()
        take = self._database.insert(jobs).values(job=_JOB, busy_until=now + _TURN_SECONDS)
        take = take.on_conflict_do_update(
            index_elements=["job"],
            set_={"busy_until": take.excluded.busy_until},
            # A time further away than any turn is from before the clock was set back.
            where=(jobs.c.busy_until <= now) | (jobs.c.busy_until > now + _TURN_SECONDS),
        )
        async with self._database.write() as connection:
            return (await connection.execute(take.returning(jobs.c.job))).first() is not None

    async def _end_turn(self) -> None:
        async with self._database.write() as connection:
            await connection.execute(sa.update(jobs).where(jobs.c.job == _JOB).values(busy_until=0.0))

    async def _delete_batch(self, before: int) -> int:
        oldest = sa.select(usage.c.id).where(usage.c.started_at < before).order_by(usage.c.started_at).limit(_BATCH)
        delete = sa.delete(usage).where(usage.c.id.in_(oldest))
        busy = sa.update(jobs).where(jobs.c.job == _JOB).values(busy_until=self._clock.now() + _TURN_SECONDS)

        def work(connection: sa.Connection) -> int:
            connection.execute(busy)
            return connection.execute(delete).rowcount

        return await self._database.transact(work)
