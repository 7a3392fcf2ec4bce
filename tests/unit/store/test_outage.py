"""The database crashes in the middle of everything and comes back: what was recorded is booked, once."""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.postgres import create_database, find_binaries, run_server, skip_or_fail, start_server, stop_server
from tests.support.usage import check_books, count_rows, read_accounts, read_leases, usage_row

from sekisho.core.clock import SystemClock
from sekisho.core.errors import StoreUnavailable
from sekisho.core.escrow import Want
from sekisho.store import booking as booking_module
from sekisho.store.engine import Store, open_store

BUDGET, TOTAL = "team:t:money@0/all", "user:u:money@0/all"
BOOKED = {BUDGET: True, TOTAL: False}


def record(store: Store, count: int) -> None:
    for _ in range(count):
        row = usage_row(2)
        store.journal.sent(row, BOOKED)
        store.journal.record(row, BOOKED)


async def go_through_an_outage(folder: Path, spool: Path) -> None:
    store = await open_store(create_database(folder), SystemClock(), spool=spool)
    confirmed: list[Mapping[str, int]] = []
    store.journal.on_durable = confirmed.append
    await store.escrow.beat()
    await store.escrow.lease([Want(account=BUDGET, limit=100_000, wished=10_000)])
    for turn in range(3):
        record(store, 700)
        if turn:
            await asyncio.sleep(0)  # the first groups are on their way
        await asyncio.to_thread(stop_server, folder)
        record(store, 700)
        with pytest.raises(StoreUnavailable):
            await store.journal.flush()
        with pytest.raises(StoreUnavailable):
            await store.escrow.lease([Want(account=BUDGET, limit=100_000, wished=1)])
        await asyncio.to_thread(start_server, folder)
    while store.journal.pending:
        with contextlib.suppress(StoreUnavailable):  # of an attempt that had begun before
            await store.journal.flush()
    assert sum(amounts[BUDGET] for amounts in confirmed) == 8_400
    assert await count_rows(store._database) == 4_200
    leases = await read_leases(store._database)
    assert await read_accounts(store._database) == {BUDGET: (8_400, sum(leases.values())), TOTAL: (8_400, 0)}
    assert (await store.escrow.beat()).known
    await check_books(store._database)
    await store.close()


def test_a_server_that_crashes_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(booking_module, "GROUP_IN_LOOP", 50)
    if find_binaries() is None:
        skip_or_fail("there is no PostgreSQL to be started")
    with run_server() as folder:
        asyncio.run(go_through_an_outage(folder, tmp_path))
