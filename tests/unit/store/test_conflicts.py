"""Transactions that stand in each other's way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest_asyncio
import sqlalchemy as sa
from tests.support.postgres import create_database

from sekisho.core.clock import ManualClock, SystemClock
from sekisho.core.escrow import RateWant, Span
from sekisho.store.engine import Store, open_store
from sekisho.store.grants import GrantRepository, purge_grants
from sekisho.store.tables import accounts, grants

_WAITING = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


@pytest_asyncio.fixture
async def postgres(postgres_folder: Path, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(create_database(postgres_folder), clock, spool=tmp_path)
    yield store
    await store.close()


async def test_a_transaction_that_postgres_ends_for_the_sake_of_another_is_run_again(
    postgres_folder: Path, tmp_path: Path
) -> None:
    locked: list[str] = []

    def pay(first: str, second: str) -> Callable[[sa.Connection], None]:
        def work(connection: sa.Connection) -> None:
            connection.execute(add.where(accounts.c.account == first))
            locked.append(first)
            while second not in locked:  # until the other, too, has locked what this one wants next
                connection.execute(sa.select(1))
            connection.execute(add.where(accounts.c.account == second))

        return work

    add = sa.update(accounts).values(spent=accounts.c.spent + 1)
    store = await open_store(create_database(postgres_folder), SystemClock(), spool=tmp_path)
    rows = [{"account": name, "spent": 0, "leased": 0} for name in ("a", "b")]
    await store._database.transact(lambda connection: connection.execute(sa.insert(accounts), rows).rowcount)
    await asyncio.gather(store._database.transact(pay("a", "b")), store._database.transact(pay("b", "a")))
    async with store._database.read() as connection:
        assert (await connection.execute(sa.select(accounts.c.spent))).scalars().all() == [2, 2]
    assert len(locked) == 3
    await store.close()


async def test_old_grants_are_forgotten_without_standing_in_the_way_of_those_who_use_the_limits(
    postgres: Store, clock: ManualClock
) -> None:
    worker = GrantRepository(postgres._database, clock, "worker")
    for name in ("a", "b"):
        await worker.exchange([RateWant(name=name, limit=9, span=Span(60, 1), least=1, needed=1)])
    clock.advance(90_000)

    def forget(name: str) -> sa.Delete:
        return sa.delete(grants).where(grants.c.account == name)

    async with postgres._database.write() as connection:
        await connection.execute(sa.update(accounts).values(spent=0))
        await connection.execute(forget("b"))
        purging = asyncio.create_task(purge_grants(postgres._database, clock.now()))
        async with postgres._database.read() as watching:
            while not await watching.scalar(_WAITING):
                assert not purging.done()
        await connection.execute(forget("a"))
    await purging
