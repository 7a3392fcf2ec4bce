"""Many rows at a time, and what repeats in them once: whatever their number, and whoever else writes."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.usage import check_books, count_rows, read_accounts, usage_row

from sekisho.core.clock import ManualClock
from sekisho.core.errors import StoreUnavailable
from sekisho.core.ids import new_id
from sekisho.store.booking import Bookkeeper
from sekisho.store.engine import Store, open_store
from sekisho.store.spool import Entry
from sekisho.store.tables import usage_callers, usage_roads
from sekisho.store.usage import UsageFilter

MONEY = "team:t1:money@0/all"


def make_entries(count: int, **fields: Any) -> list[Entry]:
    return [Entry(usage_row(number, id=new_id(1.7e9), **fields), {MONEY: False}, True) for number in range(count)]


async def count_repeated(store: Store) -> tuple[int, int]:
    async with store._database.read() as connection:
        counts = [
            await connection.scalar(sa.select(sa.func.count()).select_from(table))
            for table in (usage_callers, usage_roads)
        ]
    return counts[0] or 0, counts[1] or 0


@pytest.mark.parametrize("count", [1, 2, 3, 511, 1_024, 1_337])
async def test_any_number_of_calls_is_booked(store: Store, count: int) -> None:
    bookkeeper = Bookkeeper(store._database)
    entries = make_entries(count)
    await bookkeeper.book("w1", entries)
    await bookkeeper.book("w1", [*entries[: count // 2], *make_entries(count)])
    assert await count_rows(store._database) == 2 * count
    assert await count_repeated(store) == (1, 1)
    assert (await read_accounts(store._database)).get(MONEY, (0, 0)) == (count * (count - 1), 0)
    await check_books(store._database)


async def test_what_repeats_is_kept_once_for_all_processes(
    database_url: str, clock: ManualClock, tmp_path: Path
) -> None:
    stores = [await open_store(database_url, clock, spool=tmp_path / "spool") for _ in range(3)]
    for round_ in range(3):
        callers = [f"user-{number}" for number in range(4 * round_, 4 * round_ + 8)]
        for number, store in enumerate(stores):
            for user in callers[number:] + callers[:number]:  # each in another order
                row = usage_row(1, id=new_id(1.7e9), user_id=user, model_group=f"for {user}")
                store.journal.record(row, {})
        await asyncio.gather(*(store.journal.flush() for store in stores))
    assert await count_repeated(stores[0]) == (16, 16)
    found = await stores[1].usage.find(UsageFilter(user_id="user-15"), limit=9)
    assert [row.road.model_group for row in found] == ["for user-15"] * 3
    await check_books(stores[0]._database)
    for store in stores:
        await store.close()


async def test_a_number_that_was_rolled_back_is_not_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bookkeeper = Bookkeeper(store._database)
    transact = store._database.transact

    async def fail(work: Callable[[sa.Connection], object]) -> object:
        def run(connection: sa.Connection) -> object:
            work(connection)
            raise StoreUnavailable("gone")

        return await transact(run)

    entries = make_entries(3, user_id="new")
    with monkeypatch.context() as patch:
        patch.setattr(store._database, "transact", fail)
        with pytest.raises(StoreUnavailable):
            await bookkeeper.book("w1", entries)
    assert await count_repeated(store) == (0, 0)
    await Bookkeeper(store._database).book("w1", make_entries(1, user_id="another"))  # takes the number
    await bookkeeper.book("w1", entries)
    assert len(await store.usage.find(UsageFilter(user_id="new"), limit=9)) == 3
    await check_books(store._database)
