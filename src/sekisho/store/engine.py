"""Opening the store: the one way in to everything that is kept."""

from typing import Final

import sqlalchemy as sa

from sekisho.core.clock import Clock
from sekisho.store.database import Database
from sekisho.store.journal import UsageJournal
from sekisho.store.keys import KeyRepository
from sekisho.store.responses import StoredResponses
from sekisho.store.schema import bring_up_to_date
from sekisho.store.tables import changes
from sekisho.store.teams import TeamRepository
from sekisho.store.usage import UsageRepository
from sekisho.store.users import UserRepository


class Store:
    """The repositories and the usage journal over one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self.keys: Final = KeyRepository(database, clock)
        self.teams: Final = TeamRepository(database, clock)
        self.users: Final = UserRepository(database, clock)
        self.usage: Final = UsageRepository(database)
        self.responses: Final = StoredResponses(database)
        self.journal: Final = UsageJournal(database, clock)

    async def changes(self) -> int:
        """A number that goes up with every administrative change by any process."""
        async with self._database.read() as connection:
            return await connection.scalar(sa.select(changes.c.counter)) or 0

    async def ping(self) -> None:
        """Do nothing.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        async with self._database.read() as connection:
            await connection.execute(sa.select(1))

    async def close(self) -> None:
        """Write what the journal still holds and close every connection."""
        await self.journal.close()
        await self._database.close()


async def open_store(url: str, clock: Clock) -> Store:
    """Open the database, bring its schema up to date and start the journal.

    Args:
        url: `postgresql://…` (or `postgres://…`), `sqlite:///…`, or the path of a SQLite file in an existing folder.
        clock: the source of time.

    Raises:
        ConfigError: the address cannot be used, or the database was written by a newer version.
        StoreUnavailable: the database does not answer.
    """
    database = Database(url)
    try:
        await bring_up_to_date(database)
    except BaseException:
        await database.close()
        raise
    store = Store(database, clock)
    store.journal.start()
    return store
