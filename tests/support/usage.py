"""Usage rows for tests, and what must be true of a store's books at any moment."""

from collections import Counter
from typing import Any

import sqlalchemy as sa

from sekisho.core.ids import new_id
from sekisho.store.database import Database
from sekisho.store.records import UsageCaller, UsageRoad, UsageRow
from sekisho.store.tables import DAY_PARTS, accounts, daily, daily_parts, daily_tags, leases, usage
from sekisho.store.usage import CALLS

KEY = "ab" * 32
DAY_OF = (
    *("day", "key_hash", "user_id", "team_id", "organization_id", "project_id", "end_user"),
    *("model_group", "model", "provider", "upstream_model"),
)
SUMS = (
    *("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning"),
    *("cost_nano", "requests", "successes", "failures"),
)


def usage_row(cost: int | None = 1_000, **fields: object) -> UsageRow:
    """A row of a call that succeeded."""
    start = 1_700_000_000_000
    known: dict[str, Any] = {
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
    return make_usage(**{**known, **fields})


def make_usage(**fields: Any) -> UsageRow:
    """A row of these fields, those of its caller and its road among them."""
    caller = {name: fields.pop(name) for name in UsageCaller.__struct_fields__ if name in fields}
    road = {name: fields.pop(name) for name in UsageRoad.__struct_fields__ if name in fields}
    return UsageRow(**fields, caller=UsageCaller(**caller), road=UsageRoad(**road))


async def read_accounts(database: Database) -> dict[str, tuple[int, int]]:
    """What is spent and leased of every account, but of those with nothing of either."""
    async with database.read() as connection:
        rows = await connection.execute(sa.select(accounts.c.account, accounts.c.spent, accounts.c.leased))
        return {name: (spent, leased) for name, spent, leased in rows if spent or leased}


async def read_leases(database: Database) -> dict[tuple[str, str], int]:
    """What every worker has leased, but where that is nothing."""
    async with database.read() as connection:
        rows = await connection.execute(sa.select(leases.c.worker, leases.c.account, leases.c.amount))
        return {(worker, account): amount for worker, account, amount in rows if amount}


async def count_rows(database: Database) -> int:
    """How many usage rows there are."""
    async with database.read() as connection:
        return await connection.scalar(sa.select(sa.func.count()).select_from(usage)) or 0


_COLUMNS = [column for column in CALLS.columns if column.name not in {"id", "digest"}]


async def check_books(database: Database) -> None:
    """Leases add up to what accounts say is leased, and the days to the rows."""
    leased: Counter[str] = Counter()
    for (_, account), amount in (await read_leases(database)).items():
        leased[account] += amount
    said = {name: amount for name, (_, amount) in (await read_accounts(database)).items() if amount}
    assert said == {name: amount for name, amount in leased.items() if amount}
    async with database.read() as connection:
        rows = [dict(row) for row in (await connection.execute(sa.select(*_COLUMNS).select_from(CALLS))).mappings()]
        days = [dict(row) for row in (await connection.execute(sa.select(daily))).mappings()]
        tagged = [dict(row) for row in (await connection.execute(sa.select(daily_tags))).mappings()]
        parts = [dict(row) for row in (await connection.execute(sa.select(daily_parts))).mappings()]
    assert _stored(days, DAY_OF) == _added([(row, ()) for row in rows])
    by_tag: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        (row, (tag,)) for row in rows for tag in sorted(set(row["tags"] or ()))
    ]
    assert _stored(tagged, (*DAY_OF, "tag")) == _added(by_tag)
    for part, names in DAY_PARTS.items():
        kept = [{name: day[name] for name in (*DAY_OF, "tag", *SUMS)} for day in parts if day["part"] == part]
        whole = tagged if part == "tags" else [{**day, "tag": ""} for day in days]
        assert _stored(kept, (*DAY_OF, "tag")) == _folded(whole, ("day", *names))


def _stored(days: list[dict[str, Any]], names: tuple[str, ...]) -> dict[tuple[Any, ...], tuple[int, ...]]:
    stored = {tuple(day[name] for name in names): tuple(day[name] for name in SUMS) for day in days}
    assert len(stored) == len(days)
    return stored


def _folded(days: list[dict[str, Any]], names: tuple[str, ...]) -> dict[tuple[Any, ...], tuple[int, ...]]:
    """The sums of days by some of their columns, with the others empty."""
    sums: dict[tuple[Any, ...], tuple[int, ...]] = {}
    for day in days:
        owner = tuple(day[name] if name in names else "" for name in (*DAY_OF, "tag"))
        sums[owner] = tuple(a + day[name] for a, name in zip(sums.get(owner, (0,) * len(SUMS)), SUMS, strict=True))
    return sums


def _added(rows: list[tuple[dict[str, Any], tuple[str, ...]]]) -> dict[tuple[Any, ...], tuple[int, ...]]:
    sums: dict[tuple[Any, ...], tuple[int, ...]] = {}
    for row, tag in rows:
        owner = (row["started_at"] // 86_400_000, *(row[name] or "" for name in DAY_OF[1:]), *tag)
        counted = (1, int(row["status"] == "success"), int(row["status"] == "failure"))
        more = (*(row[name] for name in SUMS[:6]), row["cost_nano"] or 0, *counted)
        sums[owner] = tuple(a + b for a, b in zip(sums.get(owner, (0,) * len(SUMS)), more, strict=True))
    return sums
