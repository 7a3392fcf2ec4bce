"""What each process knows of the upstreams that it shares with others: a row for each, written anew all the time."""

from functools import partial
from typing import Final

import sqlalchemy as sa

from sekisho.core.clock import Clock
from sekisho.store.database import Database
from sekisho.store.tables import roads

FRESH_SECONDS: Final = 5.0
"""For how long what a process has said counts as what it would say now."""
_KEPT_SECONDS: Final = 60.0


class RoadRepository:
    """One worker's row, and the others to read. What stands in them is their own affair."""

    def __init__(self, database: Database, clock: Clock, worker: str) -> None:
        self._database: Final = database
        self._clock: Final = clock
        self._worker: Final = worker

    async def exchange(self, state: bytes | None) -> dict[str, bytes]:
        """Put down this worker's state, unless it is None, and read what the others have said of late, by worker.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        if state is not None:
            await self._database.transact(partial(self._write, state))
        fresh = roads.c.at > self._clock.now() - FRESH_SECONDS
        others = sa.select(roads.c.worker, roads.c.state).where(roads.c.worker != self._worker, fresh)
        async with self._database.read() as connection:
            return {row.worker: row.state for row in await connection.execute(others)}

    async def leave(self) -> None:
        """Take this worker's row away. Raises StoreUnavailable."""
        mine = sa.delete(roads).where(roads.c.worker == self._worker)
        await self._database.transact(lambda connection: connection.execute(mine).rowcount)

    def _write(self, state: bytes, connection: sa.Connection) -> None:
        now = self._clock.now()
        row = {"at": now, "state": state}
        mine = self._database.insert(roads).values(worker=self._worker, **row)
        connection.execute(mine.on_conflict_do_update(index_elements=["worker"], set_=row))
        connection.execute(sa.delete(roads).where(roads.c.at < now - _KEPT_SECONDS))
