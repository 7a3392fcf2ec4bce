"""Opening the store: the one way in to everything that is kept."""

import contextlib
import os
import re
import socket
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from sekisho.core.clock import Clock
from sekisho.core.errors import StoreUnavailable
from sekisho.store.access_groups import AccessGroupRepository
from sekisho.store.alerts import AlertRepository
from sekisho.store.audit import AuditRepository
from sekisho.store.booking import Bookkeeper
from sekisho.store.budgets import BudgetRepository
from sekisho.store.customers import CustomerRepository
from sekisho.store.database import Database, Row
from sekisho.store.escrow import EscrowRepository
from sekisho.store.grants import GrantRepository
from sekisho.store.journal import UsageJournal
from sekisho.store.keys import KeyRepository
from sekisho.store.models import FallbackRepository, ModelRepository
from sekisho.store.organizations import OrganizationRepository
from sekisho.store.projects import ProjectRepository
from sekisho.store.recovery import Recovery
from sekisho.store.reports import ReportRepository
from sekisho.store.responses import StoredResponses
from sekisho.store.retention import Retention
from sekisho.store.roads import RoadRepository
from sekisho.store.schema import bring_up_to_date
from sekisho.store.tables import audit, audit_head
from sekisho.store.tags import TagRepository
from sekisho.store.teams import TeamRepository
from sekisho.store.usage import UsageRepository
from sekisho.store.users import UserRepository

_TEMPORARY: Final = "sekisho-spool-"
_MOST_CHANGES: Final = 5_000
"""Changes that are told one by one."""


class Store:
    """The repositories and the usage journal over one database, for the worker of this name."""

    def __init__(self, database: Database, clock: Clock, worker: str, spool: Path) -> None:
        self._database = database
        self._spool = spool
        self._closed = False
        self.keys: Final = KeyRepository(database, clock)
        self.teams: Final = TeamRepository(database, clock)
        self.users: Final = UserRepository(database, clock)
        self.organizations: Final = OrganizationRepository(database, clock)
        self.projects: Final = ProjectRepository(database, clock)
        self.customers: Final = CustomerRepository(database, clock)
        self.tags: Final = TagRepository(database, clock)
        self.budgets: Final = BudgetRepository(database, clock)
        self.alerts: Final = AlertRepository(database, clock)
        self.access_groups: Final = AccessGroupRepository(database, clock)
        self.models: Final = ModelRepository(database, clock)
        self.fallbacks: Final = FallbackRepository(database, clock)
        self.usage: Final = UsageRepository(database)
        self.reports: Final = ReportRepository(database)
        self.audit: Final = AuditRepository(database)
        self.retention: Final = Retention(database, clock)
        self.responses: Final = StoredResponses(database)
        self.escrow: Final = EscrowRepository(database, clock, worker, socket.gethostname())
        self.grants: Final = GrantRepository(database, clock, worker)
        self.roads: Final = RoadRepository(database, clock, worker)
        bookkeeper = Bookkeeper(database)
        self.recovery: Final = Recovery(database, bookkeeper, clock, spool)
        self.journal: Final = UsageJournal(bookkeeper, worker, spool)

    async def changes(self) -> int:
        """A number that goes up with every administrative change by any process."""
        return await self._database.inspect(_count_changes)

    async def changes_after(self, known: int) -> tuple[int, Sequence[Row] | None]:
        """What `changes` is now, and the rows that were changed since it was `known`; None when they are too many."""
        return await self._database.inspect(partial(_read_changes, known))

    def follow(self, tell: Callable[[Sequence[Row]], None]) -> None:
        """Have `tell` called with the rows of each administrative change by this process, once it is durable."""
        self._database.follow(tell)

    async def ping(self) -> None:
        """Do nothing.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        async with self._database.read() as connection:
            await connection.execute(sa.select(1))

    async def close(self) -> None:
        """Write what the journal still holds, give back all leases and close every connection.

        When the database is away, others do the first two later, from the spool. Closing again does nothing.
        """
        if self._closed:
            return
        self._closed = True
        if await self.journal.close():
            with contextlib.suppress(StoreUnavailable):
                await self.escrow.retire()
        await self._database.close()
        if self._spool.name.startswith(_TEMPORARY):
            with contextlib.suppress(OSError):  # something in it is still needed
                self._spool.rmdir()


async def open_store(url: str, clock: Clock, *, spool: Path | None = None, worker: str | None = None) -> Store:
    """Open the database, bring its schema up to date, take over from dead workers and start the journal.

    Args:
        url: `postgresql://…` (or `postgres://…`), `sqlite:///…`, or the path of a SQLite file in an existing folder.
        clock: the source of time.
        spool: a folder on a disk of this machine, where usage is written down until it is in the database; all workers
            of this machine have the same. None: beside the SQLite file, and for PostgreSQL a new one, which is lost
            with the process.
        worker: a name that no other process ever had (`name_worker`); None makes one.

    Raises:
        ConfigError: the address cannot be used, or the database was written by a newer version.
        StoreUnavailable: the database does not answer, or the spool cannot be written.
    """
    database = Database(url, clock)
    try:
        await bring_up_to_date(database)
        store = Store(database, clock, worker or name_worker(), _spool_folder(database, spool))
        await store.recovery.recover()
    except BaseException:
        await database.close()
        raise
    store.journal.start()
    return store


def _count_changes(connection: sa.Connection) -> int:
    return connection.scalar(sa.select(audit_head.c.seq)) or 0


def _read_changes(known: int, connection: sa.Connection) -> tuple[int, Sequence[Row] | None]:
    now = _count_changes(connection)
    if not known <= now <= known + _MOST_CHANGES:
        return now, None
    if now == known:
        return now, ()
    rows = sa.select(audit.c.object_kind, audit.c.object_id).where(audit.c.seq > known, audit.c.seq <= now)
    return now, [(kind, identity) for kind, identity in connection.execute(rows)]


def name_worker() -> str:
    """A name for this process that no other has: its host, its number and chance."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())
    return f"{host}-{os.getpid()}-{os.urandom(4).hex()}"


def _spool_folder(database: Database, spool: Path | None) -> Path:
    """A folder of this database's own: nothing may be booked in another one."""
    if spool is not None:
        return spool / sha256(database.name.encode()).hexdigest()[:16]
    if database.file is not None:
        return database.file.with_name(f"{database.file.name}-spool")
    return Path(tempfile.mkdtemp(prefix=_TEMPORARY))
