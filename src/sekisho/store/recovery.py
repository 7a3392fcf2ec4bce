"""Taking over from dead workers: their calls are booked and their leases given back.

A worker of this spool folder is dead when nobody has its files locked; that is known at once and for certain. What it
left in them is booked first, so that its leases cover it. A worker elsewhere (another host, another folder) may have
died, or may only be cut off from the database. When its heartbeat has not moved for a minute in which the database did
answer, its places for calls under way go back; its money does after a quarter of an hour, long after it has stopped
spending it. Its calls are booked when its folder is served again. If its disk is lost, so are the calls of the last
moments that it had not written to the database, and nothing else.
"""

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from sekisho.core.clock import Clock
from sekisho.core.errors import StoreUnavailable
from sekisho.core.escrow import RELEASE_SECONDS
from sekisho.store.booking import Bookkeeper
from sekisho.store.database import Database
from sekisho.store.escrow import release_slots, release_worker
from sekisho.store.grants import purge_grants
from sekisho.store.spool import Entry, is_alive, read_dead
from sekisho.store.tables import workers

_log = logging.getLogger(__name__)

ROUND_SECONDS: Final = 5.0
"""How often dead workers are looked for."""
SLOT_SECONDS: Final = 60.0
"""How long a worker elsewhere may be silent before its places for calls under way go to others."""
_BLIND_SECONDS: Final = 15.0
"""After a gap of so long between two looks nothing is concluded from it: the database was away for everyone."""


class Recovery:
    """One worker's watch over the others."""

    def __init__(self, database: Database, bookkeeper: Bookkeeper, clock: Clock, folder: Path) -> None:
        self._database = database
        self._bookkeeper = bookkeeper
        self._clock = clock
        self._folder = folder
        self._looked = float("-inf")
        self._heard: dict[str, tuple[float, float]] = {}
        """By worker: its last heartbeat, and when (monotonic) it was first seen."""

    async def recover(self) -> None:
        """Take over from every worker that is dead now. Running it twice, or in two processes, does no harm.

        Raises:
            StoreUnavailable: the database does not answer; what is not booked yet stays in the spool.
        """
        for worker, entries in read_dead(self._folder):
            count = 0
            group: list[Entry] = []
            for entry in entries:
                group.append(entry)
                if len(group) == self._bookkeeper.group:
                    await self._bookkeeper.book(worker, group)
                    count, group = count + len(group), []
            if group:
                await self._bookkeeper.book(worker, group)
            await self._release(worker)
            _log.warning("worker %s has died; %d calls from its spool are booked", worker, count + len(group))
        for worker, silence in await self._find_silent():
            if is_alive(self._folder, worker):
                continue
            if silence >= RELEASE_SECONDS:
                await self._release(worker)
                _log.warning("worker %s has been silent for too long; its leases are given back", worker)
            elif await self._database.transact(partial(release_slots, worker=worker)):
                _log.warning("worker %s is silent; its places for calls under way are given back", worker)

    async def run(self) -> None:
        """Look after the others for ever."""
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            try:
                await self.recover()
                await purge_grants(self._database, self._clock.now())
            except StoreUnavailable as error:
                _log.warning("dead workers cannot be looked for: %s", error.__cause__ or error)

    async def _release(self, worker: str) -> None:
        await self._database.transact(partial(release_worker, worker=worker))

    async def _find_silent(self) -> list[tuple[str, float]]:
        """Workers whose heartbeat stands still, and for how long by this process's time, whatever their clocks say."""
        async with self._database.read() as connection:
            beats = {row.worker: row.heartbeat for row in await connection.execute(_HEARTBEATS)}
        now = self._clock.monotonic()
        if now - self._looked > _BLIND_SECONDS:
            self._heard = {}
        self._looked = now
        for worker, beat in beats.items():
            if self._heard.get(worker, (None, 0.0))[0] != beat:
                self._heard[worker] = (beat, now)
        self._heard = {worker: heard for worker, heard in self._heard.items() if worker in beats}
        silent = [(worker, now - since) for worker, (_, since) in self._heard.items()]
        return [(worker, silence) for worker, silence in silent if silence >= SLOT_SECONDS]


_HEARTBEATS: Final = sa.select(workers.c.worker, workers.c.heartbeat)
