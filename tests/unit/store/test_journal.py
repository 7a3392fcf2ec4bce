import asyncio
from pathlib import Path

import pytest

from sekisho.core.clock import ManualClock, SystemClock
from sekisho.core.errors import StoreUnavailable
from sekisho.core.ids import new_id
from sekisho.core.usage import Usage
from sekisho.store.database import Database
from sekisho.store.engine import Store, open_store
from sekisho.store.journal import UsageJournal
from sekisho.store.records import KeyRecord, TeamMember, TeamRecord, UsageRow, UserRecord
from sekisho.store.usage import UsageFilter

KEY = "ab" * 32
EVERYTHING = UsageFilter()


def usage_row(cost: int | None = 1_000, **fields: object) -> UsageRow:
    start = 1_700_000_000_000
    known = {
        "id": new_id(1_700_000_000.0),
        "call_type": "acompletion",
        "started_at": start,
        "ended_at": start + 1_500,
        "model": "claude",
        "status": "success",
        "http_status": 200,
        "key_hash": KEY,
        "user_id": "u1",
        "team_id": "t1",
        "cost_nano": cost,
    }
    return UsageRow(**{**known, **fields})  # type: ignore[arg-type]  # the fields of a test


async def add_hierarchy(store: Store, **limits: object) -> None:
    await store.users.insert(UserRecord(user_id="u1", **limits))  # type: ignore[arg-type]  # the fields of a test
    member = TeamMember(team_id="t1", user_id="u1", **limits)  # type: ignore[arg-type]
    await store.teams.insert(TeamRecord(team_id="t1", **limits), [member], [])  # type: ignore[arg-type]
    key = KeyRecord(key_hash=KEY, key_name="sk-...abcd", user_id="u1", team_id="t1", **limits)  # type: ignore[arg-type]
    await store.keys.insert(key)


async def spends(store: Store) -> list[tuple[int, int]]:
    key = await store.keys.get(KEY)
    user = await store.users.get("u1")
    team = await store.teams.get("t1")
    (member,) = await store.teams.members(["t1"])
    assert key is not None
    assert user is not None
    assert team is not None
    return [(record.spend, record.total_spend) for record in (key, user, team, member)]


async def test_a_row_comes_back_as_it_was_recorded(store: Store) -> None:
    full = usage_row(
        ttft_ms=12,
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
    )
    bare = usage_row(None, key_hash=None, user_id=None, team_id=None)
    store.journal.record(full)
    store.journal.record(bare)
    await store.journal.flush()
    assert sorted(await store.usage.find(EVERYTHING, limit=9), key=lambda row: row.id) == sorted(
        [full, bare], key=lambda row: row.id
    )


async def test_spend_goes_to_key_user_team_and_member(store: Store) -> None:
    await add_hierarchy(store)
    for cost in (5, 7, None):
        store.journal.record(usage_row(cost))
    await store.journal.flush()
    assert await spends(store) == [(12, 12)] * 4
    key = await store.keys.get(KEY)
    assert key is not None
    assert key.last_active == 1_700_000_001.5


async def test_recording_a_row_twice_counts_it_once(store: Store) -> None:
    await add_hierarchy(store)
    row = usage_row()
    store.journal.record(row)
    await store.journal.flush()
    store.journal.record(row)
    store.journal.record(usage_row(1))
    await store.journal.flush()
    assert len(await store.usage.find(EVERYTHING, limit=9)) == 2
    assert await spends(store) == [(1_001, 1_001)] * 4


async def test_spend_begins_anew_with_each_budget_window(store: Store, clock: ManualClock) -> None:
    await add_hierarchy(store, budget_duration="1h", budget_reset_at=clock.now() + 60)
    store.journal.record(usage_row(10))
    await store.journal.flush()
    assert await spends(store) == [(10, 10)] * 4
    clock.advance(61)
    assert await spends(store) == [(0, 10)] * 4
    store.journal.record(usage_row(3))
    await store.journal.flush()
    assert await spends(store) == [(3, 13)] * 4
    key = await store.keys.get(KEY)
    assert key is not None
    assert key.budget_reset_at == (clock.now() // 3600 + 1) * 3600


async def test_closing_writes_what_was_recorded(database_url: str, clock: ManualClock) -> None:
    store = await open_store(database_url, clock)
    for _ in range(1_234):
        store.journal.record(usage_row())
    await store.close()
    again = await open_store(database_url, clock)
    assert len(await again.usage.find(EVERYTHING, limit=5_000)) == 1_234
    await again.close()


async def test_a_row_the_database_refuses_does_not_hold_up_the_others(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    good = [usage_row() for _ in range(5)]
    for row in (*good[:2], usage_row(id="not a uuid"), *good[2:], usage_row(2**70)):
        store.journal.record(row)
    await store.journal.flush()
    assert {row.id for row in await store.usage.find(EVERYTHING, limit=9)} == {row.id for row in good}
    assert store.journal.pending == 0
    assert sum("refuses a usage row" in message for message in caplog.messages) == 2


async def test_text_from_callers_is_made_storable(store: Store) -> None:
    store.journal.record(usage_row(session_id="a\0b", end_user="x" * 10_000))
    await store.journal.flush()
    (row,) = await store.usage.find(EVERYTHING, limit=9)
    assert (row.session_id, row.end_user) == ("ab", "x" * 256)


async def test_rows_wait_while_the_database_is_away(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "s.db"
    store = await open_store(str(path), clock)
    await store.close()
    hidden = path.with_suffix(".away")
    path.rename(hidden)
    path.mkdir()  # a folder in its place cannot be opened
    journal = UsageJournal(Database(str(path)), SystemClock(), linger=0)
    journal.start()
    journal.record(usage_row())
    with pytest.raises(StoreUnavailable):
        await journal.flush()
    assert journal.pending == 1
    path.rmdir()
    hidden.rename(path)
    await journal.close()
    again = await open_store(str(path), clock)
    assert len(await again.usage.find(EVERYTHING, limit=9)) == 1
    await again.close()


async def test_memory_is_bounded_and_what_does_not_fit_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dir").mkdir()
    journal = UsageJournal(Database(str(tmp_path / "dir")), SystemClock(), linger=0, capacity=2)
    journal.start()
    for number in range(3):
        journal.record(usage_row(model=f"m{number}"))
    assert journal.pending == 2
    assert any("journal is full" in message and '"m2"' in message for message in caplog.messages)
    await journal.close(timeout_seconds=0)
    assert sum("at shutdown" in message for message in caplog.messages) == 2


async def test_processes_that_write_at_once_add_up(database_url: str, clock: ManualClock) -> None:
    stores = [await open_store(database_url, clock) for _ in range(3)]
    await add_hierarchy(stores[0])
    for _ in range(20):
        for store in stores:
            store.journal.record(usage_row(1))
        await asyncio.gather(*(store.journal.flush() for store in stores))
    assert await spends(stores[0]) == [(60, 60)] * 4
    for store in stores:
        await store.close()
