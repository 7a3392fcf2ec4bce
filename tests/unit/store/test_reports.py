"""Sums for reports equal the usage rows they are made of, on each kind of database."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from hashlib import sha256
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec import structs
from tests.support.usage import make_usage

from sekisho.core.clock import ManualClock
from sekisho.core.ids import new_id
from sekisho.core.usage import Usage
from sekisho.store.database import Database
from sekisho.store.engine import Store
from sekisho.store.records import UsageRow
from sekisho.store.reports import ReportFilter, Sums
from sekisho.store.retention import Retention
from sekisho.store.tables import jobs
from sekisho.store.usage import UsageFilter

DAY = 86_400
DAY_MS = DAY * 1000
FIRST = 19_670
"""2023-11-09."""
DAYS = 6
KEYS = [f"{number:02x}" * 32 for number in range(4)]
TOKYO, KATHMANDU, NEW_YORK = -540, -345, 300


def make_row(random: Random, started_at: int, **fields: Any) -> UsageRow:
    """A call of somebody, with or without what a call need not have."""
    given: dict[str, Any] = {
        "id": new_id(started_at / 1000),
        "call_type": "acompletion",
        "started_at": started_at,
        "ended_at": started_at + random.randrange(10_000),
        "model": random.choice(["sonnet", "haiku"]),
        "model_group": random.choice(["sonnet", None]),
        "upstream_model": random.choice(["us.anthropic.claude-sonnet", "us.anthropic.claude-haiku", None]),
        "provider": random.choice(["bedrock", "openai", None]),
        "key_hash": random.choice([*KEYS, None]),
        "user_id": random.choice(["ann", "bob", None]),
        "team_id": random.choice(["red", "blue", None]),
        "organization_id": random.choice(["acme", None]),
        "end_user": random.choice(["customer", None]),
        "tags": tuple(random.sample(["a", "b", "c"], random.randrange(3))),
        "status": random.choice(["success", "success", "failure", "client_closed"]),
        "http_status": 200,
        "usage": Usage(*(random.randrange(1_000) for _ in range(6))),
        "cost_nano": random.choice([None, 0, random.randrange(10**12)]),
    }
    return make_usage(**given | fields)


def make_rows(count: int, seed: int = 1) -> list[UsageRow]:
    """Calls over all days, some of them at the very borders of days in several time zones."""
    random = Random(seed)
    borders = [FIRST * DAY_MS + day * DAY_MS + 60_000 * shift for day in range(DAYS) for shift in (0, TOKYO, KATHMANDU)]
    moments = [moment - late for moment in borders for late in (0, 1) if moment - late >= FIRST * DAY_MS]
    moments += [FIRST * DAY_MS + random.randrange(DAYS * DAY_MS) for _ in range(count - len(moments))]
    return [make_row(random, moment) for moment in moments]


async def keep(store: Store, rows: Sequence[UsageRow]) -> None:
    for row in rows:
        store.journal.record(row, {})
    await store.journal.flush()


def expect(rows: Sequence[UsageRow], group: Callable[[UsageRow], Sequence[tuple[Any, ...]]]) -> dict[Any, Sums]:
    """The sums of rows, added up here."""
    expected: dict[Any, Sums] = {}
    for row in rows:
        sums = Sums(
            **structs.asdict(row.usage),
            cost_nano=row.cost_nano or 0,
            requests=1,
            successes=int(row.status == "success"),
            failures=int(row.status == "failure"),
        )
        for name in group(row):
            expected[name] = expected.get(name, Sums()) + sums
    return expected


async def add_up(store: Store, wanted: ReportFilter, *by: str) -> dict[Any, Sums]:
    lines = await store.reports.add_up(wanted, by, limit=100_000)
    assert [line.group for line in lines] == sorted(line.group for line in lines), "in the order of their columns"
    return {line.group: line.sums for line in lines}


def served(row: UsageRow) -> str:
    return row.road.upstream_model or row.model


@pytest.mark.parametrize("offset", [0, TOKYO, KATHMANDU, NEW_YORK])
async def test_sums_equal_the_rows(store: Store, offset: int) -> None:
    rows = make_rows(400)
    await keep(store, rows)
    everything = ReportFilter(since=FIRST - 1, until=FIRST + DAYS + 1, offset=offset)

    def day(row: UsageRow) -> int:
        return (row.started_at - offset * 60_000) // DAY_MS

    assert await add_up(store, everything, "day", "team_id", "served_model", "key_hash") == expect(
        rows, lambda row: [(day(row), row.caller.team_id or "", served(row), row.caller.key_hash or "")]
    )
    by_tag = ReportFilter(since=FIRST + 1, until=FIRST + 4, offset=offset, by_tag=True)
    within = [row for row in rows if FIRST + 1 <= day(row) < FIRST + 4]
    assert await add_up(store, by_tag, "day", "tag") == expect(
        within, lambda row: [(day(row), tag) for tag in row.tags]
    )
    assert await add_up(store, everything) == expect(rows, lambda _: [()])


async def test_sums_by_few_columns_equal_the_rows_too(store: Store) -> None:
    rows = make_rows(300)
    await keep(store, rows)
    days = ReportFilter(since=FIRST, until=FIRST + DAYS)
    owners: dict[str, Callable[[UsageRow], str | None]] = {
        "key_hash": lambda row: row.caller.key_hash,
        "user_id": lambda row: row.caller.user_id,
        "team_id": lambda row: row.caller.team_id,
        "organization_id": lambda row: row.caller.organization_id,
        "end_user": lambda row: row.end_user,
        "provider": lambda row: row.road.provider,
        "served_model": served,
    }
    for column, value in owners.items():
        expected = expect(rows, lambda row: [(row.started_at // DAY_MS, value(row) or "")])  # noqa: B023
        assert await add_up(store, days, "day", column) == expected, column
    many = tuple({row.caller.user_id for row in rows if row.caller.user_id}) + tuple(map(str, range(30)))
    of_users = expect([row for row in rows if row.caller.user_id], lambda row: [(row.caller.user_id,)])
    assert await add_up(store, structs.replace(days, users=many), "user_id") == of_users
    by_tag = structs.replace(days, by_tag=True)
    tagged = expect(rows, lambda row: [(tag, served(row)) for tag in set(row.tags)])
    assert await add_up(store, by_tag, "tag", "served_model") == tagged


async def test_only_the_sums_that_are_needed_are_made(store: Store) -> None:
    rows = make_rows(50)
    await keep(store, rows)
    days = ReportFilter(since=FIRST, until=FIRST + DAYS)
    (line,) = await store.reports.add_up(days, (), limit=1, kinds=("cost_nano",))
    assert line.sums == Sums(cost_nano=sum(row.cost_nano or 0 for row in rows))


@pytest.mark.parametrize("offset", [0, TOKYO])
@pytest.mark.parametrize(
    ("conditions", "fits"),
    [
        ({"keys": (KEYS[0], KEYS[2])}, lambda row: row.caller.key_hash in (KEYS[0], KEYS[2])),
        (
            {"users": ("ann",), "teams": ("red",)},
            lambda row: (row.caller.user_id, row.caller.team_id) == ("ann", "red"),
        ),
        ({"organizations": ("acme",)}, lambda row: row.caller.organization_id == "acme"),
        ({"customers": ("customer",)}, lambda row: row.end_user == "customer"),
        ({"teams": ()}, lambda _: False),
        ({"model": "sonnet"}, lambda row: "sonnet" in (row.model, row.road.model_group)),
        ({"model": "us.anthropic.claude-haiku"}, lambda row: row.road.upstream_model == "us.anthropic.claude-haiku"),
        ({"users": ("nobody",)}, lambda _: False),
    ],
)
async def test_conditions_leave_what_fits(
    store: Store, offset: int, conditions: dict[str, Any], fits: Callable[[UsageRow], bool]
) -> None:
    rows = make_rows(200)
    await keep(store, rows)
    wanted = ReportFilter(since=FIRST - 1, until=FIRST + DAYS + 1, offset=offset, **conditions)
    expected = expect([row for row in rows if fits(row)], lambda row: [(row.model,)])
    assert await add_up(store, wanted, "model") == expected
    assert await add_up(store, wanted) == (expect([row for row in rows if fits(row)], lambda _: [()]) or {(): Sums()})


async def test_the_costliest_come_first(store: Store) -> None:
    rows = make_rows(300)
    await keep(store, rows)
    wanted = ReportFilter(since=FIRST, until=FIRST + DAYS)
    costs: Counter[str] = Counter()
    for row in rows:
        costs[row.caller.key_hash or ""] += row.cost_nano or 0
    named, total = await store.reports.costliest(wanted, "key_hash", 2)
    assert named == [key for key, _ in costs.most_common(2)]
    assert total == len(costs)


async def test_no_more_lines_than_asked_for(store: Store) -> None:
    await keep(store, make_rows(50))
    assert len(await store.reports.add_up(ReportFilter(since=FIRST, until=FIRST + 9), ("day",), limit=2)) == 2


COUNTED = [
    UsageFilter(),
    UsageFilter(since=FIRST * DAY_MS + 5, until=(FIRST + 4) * DAY_MS + 7),
    UsageFilter(since=(FIRST + 1) * DAY_MS, until=(FIRST + 3) * DAY_MS),
    UsageFilter(since=(FIRST + 1) * DAY_MS + 1, until=(FIRST + 1) * DAY_MS + DAY_MS - 1),
    UsageFilter(until=(FIRST + 2) * DAY_MS - 1, user_id="ann"),
    UsageFilter(since=(FIRST + 2) * DAY_MS + 1, key_hash=KEYS[1], team_id="red"),
    UsageFilter(model="us.anthropic.claude-haiku", end_user="customer"),
    UsageFilter(status="failure", organization_id="acme"),
    UsageFilter(status="client_closed"),
    UsageFilter(min_cost=1, max_cost=10**11, since=(FIRST + 1) * DAY_MS),
    UsageFilter(until=FIRST * DAY_MS),
    UsageFilter(since=(FIRST + 99) * DAY_MS),
]


@pytest.mark.parametrize("forgotten", [False, True])
async def test_rows_are_counted_as_they_are_found(store: Store, clock: ManualClock, *, forgotten: bool) -> None:
    await keep(store, make_rows(300))
    if forgotten:
        clock.step((FIRST + 2) * DAY + 1_234 - clock.now())
        assert await store.retention.purge(DAY) > 0
    for wanted in COUNTED:
        found = await store.usage.find(wanted, limit=1_000)
        assert await store.usage.count(wanted) == len(found), wanted


# Retention


async def test_old_rows_go_and_their_sums_stay(store: Store, clock: ManualClock) -> None:
    rows = make_rows(2_345)
    await keep(store, rows)
    clock.step((FIRST + DAYS) * DAY - clock.now())
    border = (FIRST + 2) * DAY_MS
    everything = ReportFilter(since=FIRST, until=FIRST + DAYS)
    before = await add_up(store, everything, "day", "user_id")
    assert await store.retention.purge((DAYS - 2) * DAY) == sum(row.started_at < border for row in rows)
    kept = await store.usage.find(UsageFilter(), limit=10_000)
    assert sorted(row.id for row in kept) == sorted(row.id for row in rows if row.started_at >= border)
    assert await add_up(store, everything, "day", "user_id") == before
    assert await store.reports.oldest_row() == min(row.started_at for row in kept)
    assert await store.retention.purge((DAYS - 2) * DAY) == 0


async def test_one_worker_at_a_time_deletes(database_url: str, store: Store, clock: ManualClock) -> None:
    await keep(store, make_rows(10))
    clock.step((FIRST + 99) * DAY - clock.now())
    database = Database(database_url, clock)
    async with database.write() as connection:  # another worker is at it
        busy = {"job": "usage retention", "busy_until": clock.now() + 30}
        await connection.execute(sa.insert(jobs).values(busy))
    retention = Retention(database, clock)
    assert await retention.purge(0) == 0
    clock.advance(31)  # and has died
    assert await retention.purge(0) == len(make_rows(10))
    async with database.write() as connection:
        await connection.execute(sa.update(jobs).values(busy_until=clock.now() + 1_000))
    await keep(store, make_rows(10, seed=2))
    assert await retention.purge(0) == len(make_rows(10)), "a turn that the clock has thrown far ahead does not last"
    await database.close()


# Size


def make_lifelike_row(number: int) -> UsageRow:
    """A call as coding agents make them, with texts as long as they are in earnest."""
    random = Random(number)
    owner = number % 300
    return make_row(
        random,
        FIRST * DAY_MS + number * 8_000,
        key_hash=sha256(b"key %d" % owner).hexdigest(),
        key_alias=f"cline-of-user-{owner:04d}",
        user_id=f"user-{owner:04d}@example.com",
        team_id=f"5e0c1f6a-6a2e-4c0e-8f0e-{number % 20:012x}",
        organization_id="engineering",
        model="claude-sonnet-4-5",
        model_group="claude-sonnet-4-5",
        deployment_id=f"{random.randrange(4):016x}",
        provider="bedrock",
        upstream_model="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        account="123456789012",
        region="us-east-1",
        session_id=f"cline-01KAX{random.randrange(2_000):021d}",
        end_user=None,
        requester_ip="203.0.113.77",
        tags=(),
        price_version="sekisho-2026-11-23",
        usage=Usage(random.randrange(300), random.randrange(3_000), 40_000, 2_000, 0, 100),
        cost_nano=random.randrange(10**9),
        ttft_ms=900,
        streamed=True,
    )


async def test_a_row_takes_less_than_600_bytes(store: Store, database_url: str) -> None:
    """With the indexes that find it by time, caller and session, and its share of what is kept once for many."""
    count = 10_000
    await keep(store, [make_lifelike_row(number) for number in range(count)])
    database = Database(database_url)
    size = await _measure_tables(database) if database.postgres else _measure_file(database_url)
    await database.close()
    assert size / count <= 600


async def _measure_tables(database: Database) -> int:
    """Bytes on the disk of all usage rows, with their indexes and what repeats in them."""
    names = ("usage", "usage_callers", "usage_roads")
    query = sa.select(*(sa.func.pg_total_relation_size(name) for name in names))
    async with database.read() as connection:
        return sum((await connection.execute(query)).one())


def _measure_file(path: str) -> int:
    """The same of a SQLite file, where everything else is next to nothing."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("VACUUM")
        pages, page = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return int(pages * page)
