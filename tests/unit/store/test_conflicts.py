"""Transactions that stand in each other's way."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from tests.support.postgres import create_database

from sekisho.core.clock import SystemClock
from sekisho.store.engine import open_store
from sekisho.store.tables import accounts


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
