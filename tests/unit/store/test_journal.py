import asyncio
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import pytest
from tests.support.usage import KEY, check_books, count_rows, read_accounts, read_leases, usage_row

from sekisho.core.clock import ManualClock
from sekisho.core.errors import StoreUnavailable
from sekisho.core.escrow import Want
from sekisho.core.usage import Usage
from sekisho.store.booking import Bookkeeper
from sekisho.store.database import Database
from sekisho.store.engine import Store, open_store
from sekisho.store.journal import UsageJournal
from sekisho.store.records import KeyRecord, UsageAttempt
from sekisho.store.spool import Entry
from sekisho.store.usage import UsageFilter

EVERYTHING = UsageFilter()
KEY_MONEY, TEAM_MONEY = f"key:{KEY}:money@0/all", "team:t1:money@0/all"
BOOKED = {KEY_MONEY: False, TEAM_MONEY: False}
LEASED = {KEY_MONEY: True}


async def test_a_row_comes_back_as_it_was_recorded(store: Store) -> None:
    full = usage_row(
        ttft_ms=12,
        queued_ms=3,
        key_alias="ci",
        model_group="claude",
        deployment_id="d1",
        provider="bedrock",
        upstream_model="us.anthropic.claude",
        account="123456789012",
        region="us-east-1",
        usage=Usage(1, 2, 3, 4, 5, 6),
        price_version="2026-11-01",
        error_class="UpstreamThrottled",
        estimated=True,
        simulated=True,
        streamed=True,
        session_id="s",
        agent="claude-code",
        agent_version="2.1.330",
        agent_id="a2",
        parent_id="a1",
        end_user="関所",
        requester_ip="::1",
        tags=("a", "b"),
        retries=1,
        fallbacks=2,
        organization_id="o1",
        project_id="p1",
        overrun_nano=7,
        attempts=(
            UsageAttempt("d0", "claude", "123456789012", "us-east-1", 31, "UpstreamThrottled:ThrottlingException"),
            UsageAttempt("d1", "claude", None, None, None, None),
        ),
    )
    bare = usage_row(None, key_hash=None, user_id=None, team_id=None)
    store.journal.record(full, BOOKED)
    store.journal.record(bare, {})
    await store.journal.flush()
    found = await store.usage.find(EVERYTHING, limit=9)
    assert {row.id: row for row in found} == {full.id: full, bare.id: bare}
    await check_books(store._database)


async def test_a_cost_is_booked_on_every_account_that_pays(store: Store) -> None:
    await store.keys.insert(KeyRecord(key_hash=KEY, key_name="sk-...abcd", account_id=KEY))
    for cost in (5, 7, None):
        store.journal.record(usage_row(cost), BOOKED)
    await store.journal.flush()
    assert await read_accounts(store._database) == {KEY_MONEY: (12, 0), TEAM_MONEY: (12, 0)}
    key = await store.keys.get(KEY)
    assert key is not None
    assert key.last_active == 1_700_000_001.5
    await check_books(store._database)


async def test_a_cost_moves_from_what_is_leased_to_what_is_spent(store: Store) -> None:
    worker = store.escrow
    await worker.beat()
    await worker.lease([Want(account=KEY_MONEY, limit=100, wished=80)])
    store.journal.record(usage_row(30), {KEY_MONEY: True, TEAM_MONEY: False})
    await store.journal.flush()
    assert await read_accounts(store._database) == {KEY_MONEY: (30, 50), TEAM_MONEY: (30, 0)}
    store.journal.record(usage_row(60), {KEY_MONEY: True, TEAM_MONEY: True})  # 10 more than the lease; no lease at all
    await store.journal.flush()
    assert await read_accounts(store._database) == {KEY_MONEY: (90, -10), TEAM_MONEY: (90, 0)}
    await check_books(store._database)


async def test_recording_a_row_twice_counts_it_once(store: Store) -> None:
    row = usage_row(1_000)
    store.journal.record(row, BOOKED)
    store.journal.record(row, BOOKED)
    await store.journal.flush()
    store.journal.record(row, BOOKED)
    store.journal.record(usage_row(1), BOOKED)
    await store.journal.flush()
    assert await count_rows(store._database) == 2
    assert await read_accounts(store._database) == {KEY_MONEY: (1_001, 0), TEAM_MONEY: (1_001, 0)}
    await check_books(store._database)


async def test_who_asked_is_told_what_is_booked_on_leases_once_it_is_durable(store: Store) -> None:
    told: list[Mapping[str, int]] = []
    store.journal.on_durable = told.append
    for cost in (1, 2, None, 4):
        store.journal.record(usage_row(cost), {KEY_MONEY: True, TEAM_MONEY: False})
        store.journal.record(usage_row(cost), {TEAM_MONEY: True})
    assert told == []
    await store.journal.flush()
    assert sum(map(Counter, told), Counter()) == {KEY_MONEY: 7, TEAM_MONEY: 7}


class SlowBookkeeper(Bookkeeper):
    """Notes how many calls it is given at a time, and books them when it may go on."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.groups: list[int] = []
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def book(self, worker: str, entries: Sequence[Entry]) -> None:
        self.groups.append(len(entries))
        self.begun.set()
        await self.go_on.wait()
        await super().book(worker, entries)


async def test_calls_that_end_while_others_are_written_are_gathered_for_the_next_time(
    store: Store, tmp_path: Path
) -> None:
    bookkeeper = SlowBookkeeper(store._database)
    journal = UsageJournal(bookkeeper, "w2", tmp_path / "other", linger=3600)
    journal.start()
    journal.record(usage_row(1), BOOKED)
    flushing = asyncio.create_task(journal.flush())
    await bookkeeper.begun.wait()
    for _ in range(9):
        journal.record(usage_row(1), BOOKED)
    bookkeeper.go_on.set()
    await flushing
    for _ in range(100):
        await asyncio.sleep(0)
    assert bookkeeper.groups == [1]
    assert await journal.close()
    assert bookkeeper.groups == [1, 9]
    assert await count_rows(store._database) == 10


async def test_closing_writes_what_was_recorded(database_url: str, clock: ManualClock, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    store = await open_store(database_url, clock, spool=spool)
    for _ in range(1_234):
        store.journal.record(usage_row(1), BOOKED)
    await store.close()
    assert [path for path in spool.rglob("*") if path.is_file()] == []
    again = await open_store(database_url, clock, spool=spool)
    assert await count_rows(again._database) == 1_234
    await again.close()


async def test_a_row_the_database_refuses_does_not_hold_up_the_others(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    good = [usage_row(1) for _ in range(5)]
    for row in (*good[:2], usage_row(id="not a uuid"), *good[2:], usage_row(0, started_at=2**63)):
        store.journal.record(row, BOOKED)
    await store.journal.flush()
    assert {row.id for row in await store.usage.find(EVERYTHING, limit=9)} == {row.id for row in good}
    assert store.journal.pending == 0
    assert sum("refuses a usage row" in message for message in caplog.messages) == 2
    assert await read_accounts(store._database) == {KEY_MONEY: (5, 0), TEAM_MONEY: (5, 0)}


async def test_text_from_callers_is_made_storable(store: Store) -> None:
    wide = "\U0001f3ef" * 10_000
    booked = {f"customer:a\0{wide}:money@0/all": False, "tag:a\0b:money@0/all": False}
    row = usage_row(3, session_id="a\0b", end_user=wide, model=wide, tags=("a\0b", wide))
    store.journal.record(row, booked)
    await store.journal.flush()
    (found,) = await store.usage.find(EVERYTHING, limit=9)
    assert (found.session_id, found.end_user, found.tags) == ("ab", wide[:256], ("ab", wide[:256]))
    assert sorted(await read_accounts(store._database)) == sorted(
        name for name in await read_accounts(store._database) if len(name) <= 500 and "\0" not in name
    )
    assert [spent for spent, _ in (await read_accounts(store._database)).values()] == [3, 3]
    await check_books(store._database)


async def test_rows_wait_while_the_database_is_away(tmp_path: Path, clock: ManualClock) -> None:
    """Of the calls that do not fit in memory meanwhile none is lost either, and all keep their order."""
    path, hidden = tmp_path / "s.db", tmp_path / "s.away"
    await (await open_store(str(path), clock)).close()
    path.rename(hidden)
    path.mkdir()  # a folder in its place cannot be opened
    database = Database(str(path))
    bookkeeper = Bookkeeper(database)
    bookkeeper.group = 7
    journal = UsageJournal(bookkeeper, "w1", tmp_path / "spool", linger=0, capacity=10)
    journal.start()
    told: list[int] = []
    journal.on_durable = lambda amounts: told.append(amounts[KEY_MONEY])
    costs = range(1, 101)
    for row in map(usage_row, costs[:60]):
        journal.sent(row, LEASED)
        journal.record(row, LEASED)
    with pytest.raises(StoreUnavailable):
        await journal.flush()
    assert journal.pending == 60
    assert len(journal._waiting) == 10
    path.rmdir()
    hidden.rename(path)
    for row in map(usage_row, costs[60:]):
        journal.record(row, LEASED)
    assert await journal.close()
    assert set(accumulate(told)) <= set(accumulate(costs)), "each group goes on where the one before ended"
    again = await open_store(str(path), clock)
    assert await read_accounts(again._database) == {KEY_MONEY: (5_050, 0)}
    await again.close()
    await database.close()


async def test_what_is_not_written_at_the_end_is_booked_by_the_next(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    path, hidden = tmp_path / "s.db", tmp_path / "s.away"
    store = await open_store(str(path), clock)
    await store.escrow.beat()
    await store.escrow.lease([Want(account=KEY_MONEY, limit=100, wished=80)])
    await store._database.close()
    path.rename(hidden)
    path.mkdir()
    store.journal.record(usage_row(30), {KEY_MONEY: True})
    assert not await store.journal.close(timeout_seconds=0)
    assert any("1 calls wait in the usage spool" in message for message in caplog.messages)
    path.rmdir()
    hidden.rename(path)
    again = await open_store(str(path), clock)
    assert await read_accounts(again._database) == {KEY_MONEY: (30, 0)}
    assert await read_leases(again._database) == {}
    await again.close()


async def test_a_full_disk_refuses_a_new_call_and_loses_none_that_has_begun(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    begun = [usage_row(1) for _ in range(300)]
    for row in begun:
        store.journal.sent(row, BOOKED)
    monkeypatch.setattr(os, "posix_fallocate", full)

    def fill() -> None:
        for _ in range(100_000):
            store.journal.sent(usage_row(1), BOOKED)

    with pytest.raises(StoreUnavailable, match="no new call is served") as refused:
        fill()
    assert refused.value.status == 503
    for row in begun:
        store.journal.record(row, BOOKED)
    assert not caplog.records
    with caplog.at_level(logging.ERROR):
        for _ in range(5_000):
            store.journal.record(usage_row(None, status="failure"), {})
    assert any("in memory only" in message for message in caplog.messages)
    await store.journal.flush()
    assert await count_rows(store._database) == 5_300
    assert await read_accounts(store._database) == {KEY_MONEY: (300, 0), TEAM_MONEY: (300, 0)}


async def test_what_is_new_is_told_to_the_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(os, "fdatasync", lambda _file: loop.call_soon_threadsafe(told.set))
    store.journal.sent(usage_row(), BOOKED)
    await asyncio.wait_for(told.wait(), 10)


async def test_processes_that_write_at_once_add_up(database_url: str, clock: ManualClock, tmp_path: Path) -> None:
    stores = [await open_store(database_url, clock, spool=tmp_path / "spool") for _ in range(3)]
    for _ in range(20):
        for number, store in enumerate(stores):
            names = [KEY_MONEY, TEAM_MONEY, "user:u1:money@0/all"]
            booked = dict.fromkeys(names[number:] + names[:number], False)  # each in another order
            store.journal.record(usage_row(1), booked)
            store.journal.record(usage_row(1, team_id="t2"), booked)
        await asyncio.gather(*(store.journal.flush() for store in stores))
    assert set((await read_accounts(stores[0]._database)).values()) == {(120, 0)}
    await check_books(stores[0]._database)
    for store in stores:
        await store.close()
