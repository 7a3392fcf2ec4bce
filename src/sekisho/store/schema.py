"""Bringing the schema of a database up to date."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from sekisho.core.errors import ConfigError
from sekisho.store.database import Database
from sekisho.store.tables import metadata

HEAD: Final = "0001"
"""The newest migration, known without loading Alembic, which costs start time."""
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_REVISION: Final = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))
_LOCK: Final = 0x5E_15_40
"""Any number that no other user of the same PostgreSQL database takes as an advisory lock."""


async def bring_up_to_date(database: Database) -> None:
    """Create or migrate the tables, once even when many processes start together.

    Raises:
        ConfigError: the database was written by a newer version.
    """
    if await database.inspect(_revision) != HEAD:
        await database.transact(_migrate)  # on SQLite a transaction is the lock, on PostgreSQL it takes one


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(_REVISION.name):
        return None
    revision: str | None = connection.scalar(sa.select(_REVISION.c.version_num))
    return revision


def _migrate(connection: sa.Connection) -> None:
    """Make a new database as it should be, or take an old one through the migrations it has not seen."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    revision = _revision(connection)
    if revision == HEAD:
        return
    if revision is None:
        metadata.create_all(connection)
        _REVISION.create(connection)
        connection.execute(sa.insert(_REVISION).values(version_num=HEAD))
        return
    upgrade(connection)


def upgrade(connection: sa.Connection) -> None:
    """Run the migrations that the database has not seen, within the transaction of `connection`."""
    from alembic import command, util  # noqa: PLC0415 -- 0.2 s, and needed only after an upgrade of Sekisho
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except util.CommandError as error:
        message = f"the database cannot be brought to revision {HEAD}: {error}. A newer version of Sekisho wrote it."
        raise ConfigError(message) from error
