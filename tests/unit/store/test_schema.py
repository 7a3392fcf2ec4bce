import asyncio
import multiprocessing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import sekisho.store
from sekisho.core.clock import ManualClock, SystemClock
from sekisho.core.errors import ConfigError, StoreUnavailable
from sekisho.store.database import Database
from sekisho.store.engine import Store, open_store
from sekisho.store.schema import HEAD, upgrade
from sekisho.store.tables import metadata


def differences(connection: sa.Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def columns_and_keys(connection: sa.Connection) -> dict[str, object]:
    found = sa.inspect(connection)
    return {
        table: (
            sorted((column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(table)),
            found.get_pk_constraint(table)["constrained_columns"],
            sorted(str(index["column_names"]) for index in found.get_indexes(table)),
            sorted(str(key["constrained_columns"]) for key in found.get_foreign_keys(table)),
        )
        for table in sorted(found.get_table_names())
        if table != "alembic_version"
    }


def test_head_is_the_newest_migration() -> None:
    scripts = ScriptDirectory(str(Path(sekisho.store.__file__).parent / "migrations"))
    assert scripts.get_current_head() == HEAD


async def test_the_migrations_lead_to_the_tables(database_url: str, tmp_path: Path) -> None:
    migrated = Database(database_url)
    async with migrated.write() as connection:
        await connection.run_sync(upgrade)
    created = Database(str(tmp_path / "created.db"))
    async with migrated.read() as connection:
        assert await connection.run_sync(differences) == []
        by_migration = await connection.run_sync(columns_and_keys)
    if not migrated.postgres:
        async with created.write() as connection:
            await connection.run_sync(metadata.create_all)
            assert await connection.run_sync(columns_and_keys) == by_migration
    await migrated.close()
    await created.close()


async def test_a_migrated_database_opens(database_url: str, clock: ManualClock) -> None:
    database = Database(database_url)
    async with database.write() as connection:
        await connection.run_sync(upgrade)
    await database.close()
    store = await open_store(database_url, clock)
    assert await store.changes() == 0
    await store.close()


async def test_a_database_of_a_newer_version_is_refused(database_url: str, clock: ManualClock, store: Store) -> None:
    database = Database(database_url)
    async with database.write() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    await database.close()
    with pytest.raises(ConfigError, match="newer version"):
        await open_store(database_url, clock)


def open_and_close(url: str) -> None:
    async def run() -> None:
        store = await open_store(url, SystemClock())
        await store.close()

    asyncio.run(run())


def test_processes_that_start_together_agree(database_url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(open_and_close, [database_url] * 6, chunksize=1)
    open_and_close(database_url)


@pytest.mark.parametrize("url", ["mysql://x/y", "post gres://"])
def test_an_address_that_cannot_be_used_says_what_is_expected(url: str) -> None:
    with pytest.raises(ConfigError, match="postgresql://"):
        Database(url)


async def test_a_server_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await open_store(f"postgresql://u@/db?host={tmp_path}", SystemClock())


async def test_settings_of_other_clients_in_the_address_are_left_out(postgres_folder: Path) -> None:
    url = f"postgres://sekisho@/postgres?host={postgres_folder}&connection_limit=3&sslmode=disable"
    database = Database(url)
    async with database.read() as connection:
        assert await connection.scalar(sa.select(1)) == 1
    await database.close()
