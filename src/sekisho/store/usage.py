"""Usage rows: written in groups, read for reports."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from sekisho.store.bulk import BulkInsert, Values, in_sizes
from sekisho.store.database import Database
from sekisho.store.records import UsageCaller, UsageRoad, UsageRow
from sekisho.store.rows import USAGE_COLUMNS, usage_from_row
from sekisho.store.tables import daily, daily_parts, usage, usage_callers, usage_roads

_DAY_MS: Final = 86_400_000


class UsageFilter(Struct, frozen=True, kw_only=True):
    """Which rows are wanted; None is no condition. Times in milliseconds since the epoch, `until` not included.

    model: the name that was asked for, the group that served it or the upstream's name.
    min_cost, max_cost: in nano-dollars, both included.
    """

    request_id: str | None = None
    key_hash: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    organization_id: str | None = None
    end_user: str | None = None
    model: str | None = None
    status: str | None = None
    key_alias: str | None = None
    session_id: str | None = None
    min_cost: int | None = None
    max_cost: int | None = None
    since: int | None = None
    until: int | None = None


_OF_CALLER: Final = ("key_hash", "user_id", "team_id", "organization_id")
_ROLLED_UP: Final = (*_OF_CALLER, "end_user")
"""The filters that the roll-ups know, besides `model` and `since` and `until`."""
_ONLY_ROWS: Final = ("request_id", "key_alias", "session_id", "min_cost", "max_cost")
_SHALLOW: Final = 1_000
_FEW_CALLERS: Final = 500
_COUNTED: Final[dict[str | None, str]] = {None: "requests", "success": "successes", "failure": "failures"}
"""The sum in the roll-ups that counts the rows of a status."""

CALLS: Final = usage.join(usage_callers, usage.c.caller_id == usage_callers.c.id).join(
    usage_roads, usage.c.road_id == usage_roads.c.id
)
"""Usage rows with what repeats in them."""
_COLUMNS: Final = [
    *usage.c,
    *(usage_callers.c[name] for name in UsageCaller.__struct_fields__),
    *(usage_roads.c[name] for name in UsageRoad.__struct_fields__),
]


class UsageRepository:
    """Reads usage rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, wanted: UsageFilter, *, limit: int, offset: int = 0) -> list[UsageRow]:
        """The newest rows first."""
        async with self._database.read() as connection:
            if offset > _SHALLOW:
                wanted, offset = await _skip(connection, wanted, offset)
            conditions = await _plan(connection, wanted, limit + offset)
            order = (usage.c.started_at.desc(), usage.c.id.desc())
            newest = sa.select(usage.c.id).where(*conditions).order_by(*order).limit(limit).offset(offset)
            query = sa.select(*_COLUMNS).select_from(CALLS).where(usage.c.id.in_(newest.scalar_subquery()))
            return [usage_from_row(row) for row in (await connection.execute(query.order_by(*order))).mappings()]

    async def count(self, wanted: UsageFilter) -> int:
        """How many rows there are. Whole days are counted by their roll-ups where these know, and so in no time."""
        async with self._database.read() as connection:
            if not _is_rolled_up(wanted):
                return await _count_rows(connection, wanted)
            oldest = await connection.scalar(sa.select(sa.func.min(usage.c.started_at)))
            if oldest is None:
                return 0
            since = max(oldest, wanted.since or oldest)  # the roll-ups also know of rows that are no longer kept
            first = -(-since // _DAY_MS)
            last = None if wanted.until is None else wanted.until // _DAY_MS
            if last is not None and last <= first:
                return await _count_rows(connection, wanted)
            total = await _count_rows(connection, replace(wanted, since=since, until=first * _DAY_MS))
            total += await _count_days(connection, wanted, first, last)
            return (
                total if last is None else total + await _count_rows(connection, replace(wanted, since=last * _DAY_MS))
            )


def insert_usage(connection: sa.Connection, rows: Sequence[Values]) -> set[str]:
    """Insert rows, given as the values of `USAGE_COLUMNS`, each id once; the ids of those that were there already."""
    if connection.dialect.name == "postgresql":
        new = {bytes(identity) for (identity,) in _INSERT_NEW.run(connection, rows)}
        there = {row[0] for row in rows} - new if len(new) < len(rows) else set()
    else:
        there = {identity for some in in_sizes(rows) for identity in _insert_some(connection, some)}
    return {str(UUID(bytes=identity)) for identity in there}


def _insert_some(connection: sa.Connection, rows: Sequence[Values]) -> set[bytes]:
    """Insert rows in one statement, which nearly always are new; the ids of those that are not."""
    try:
        _INSERT.run(connection, rows)
    except sa.exc.IntegrityError:  # of which the statement has left no trace
        ids = [row[0] for row in rows]
        query = f"SELECT id FROM usage WHERE id IN ({', '.join('?' * len(ids))})"  # noqa: S608 -- marks alone
        there = {identity for (identity,) in connection.exec_driver_sql(query, tuple(ids))}
        _INSERT.run(connection, [row for row in rows if row[0] not in there])
        return there
    return set()


_INSERT: Final = BulkInsert(usage, USAGE_COLUMNS, "")
_INSERT_NEW: Final = BulkInsert(usage, USAGE_COLUMNS, "ON CONFLICT (id) DO NOTHING RETURNING id")


async def _skip(connection: AsyncConnection, wanted: UsageFilter, offset: int) -> tuple[UsageFilter, int]:
    """The same rows without most of those before `offset`, and how many are still before it.

    To skip rows in an index alone, by their time, costs a fraction of reading them.
    """
    times = sa.select(usage.c.started_at).where(*_conditions(wanted)).order_by(usage.c.started_at.desc())
    until = await connection.scalar(times.limit(1).offset(offset))
    if until is None:
        return wanted, offset
    skipped = await _count_rows(connection, replace(wanted, since=max(wanted.since or 0, until + 1)))
    return replace(wanted, until=until + 1), offset - skipped


async def _plan(connection: AsyncConnection, wanted: UsageFilter, needed: int) -> list[sa.ColumnElement[bool]]:
    """The conditions under which the newest rows are found fastest, when so many of them are needed.

    The rows of one caller lie in an index by their time. Of a few callers all rows are read, but only of the days that
    have enough of them. The rows of many callers are found by going back in time through everybody's.
    """
    which = _callers(wanted)
    if which is None:
        return _conditions(wanted)
    ids = (await connection.execute(which.limit(_FEW_CALLERS + 1))).scalars().all()
    if len(ids) > _FEW_CALLERS:
        return [*_conditions(wanted, of_callers=False), (usage.c.caller_id + 0).in_(which)]
    if len(ids) == 1:
        return [*_conditions(wanted, of_callers=False), usage.c.caller_id == ids[0]]
    since = await _find_day(connection, wanted, needed)
    return [*_conditions(replace(wanted, since=since), of_callers=False), usage.c.caller_id.in_(ids)]


async def _find_day(connection: AsyncConnection, wanted: UsageFilter, needed: int) -> int | None:
    """From when on there are enough rows, by the roll-ups; the filter's own beginning where these do not know."""
    if not _is_rolled_up(wanted):
        return wanted.since
    calls = sa.cast(sa.func.sum(daily.c[_COUNTED[wanted.status]]), sa.BigInteger)
    days = sa.select(daily.c.day, calls).where(*_owners(daily, wanted)).group_by(daily.c.day)
    if wanted.until is not None:
        days = days.where(daily.c.day < wanted.until // _DAY_MS)
    found = 0
    day: int
    for day, count in await connection.execute(days.order_by(daily.c.day.desc())):
        found += count
        if found >= needed:
            return max(day * _DAY_MS, wanted.since or 0)
    return wanted.since


def _is_rolled_up(wanted: UsageFilter) -> bool:
    """Whether the roll-ups know how many rows there are of each whole day."""
    return wanted.status in _COUNTED and all(getattr(wanted, name) is None for name in _ONLY_ROWS)


async def _count_rows(connection: AsyncConnection, wanted: UsageFilter) -> int:
    query = sa.select(sa.func.count()).select_from(usage).where(*_conditions(wanted))
    return await connection.scalar(query) or 0


async def _count_days(connection: AsyncConnection, wanted: UsageFilter, first: int, last: int | None) -> int:
    """The rows of whole days, `last` not included."""
    of_all = all(getattr(wanted, name) is None for name in _ROLLED_UP)
    table, part = (daily_parts, [daily_parts.c.part == "models"]) if of_all else (daily, [])
    calls = sa.cast(sa.func.sum(table.c[_COUNTED[wanted.status]]), sa.BigInteger)
    query = sa.select(calls).where(table.c.day >= first, *part, *_owners(table, wanted))
    if last is not None:
        query = query.where(table.c.day < last)
    return await connection.scalar(query) or 0


def _owners(table: sa.Table, wanted: UsageFilter) -> list[sa.ColumnElement[bool]]:
    """The conditions on a table of roll-ups."""
    conditions = [table.c[name] == value for name in _ROLLED_UP if (value := getattr(wanted, name)) is not None]
    if wanted.model is not None:
        names = (table.c.model, table.c.model_group, table.c.upstream_model)
        conditions.append(sa.or_(*(name == wanted.model for name in names)))
    return conditions


def _callers(wanted: UsageFilter) -> sa.Select[Any] | None:
    """The numbers of the callers that are wanted; None for everybody's."""
    given = {name: value for name in (*_OF_CALLER, "key_alias") if (value := getattr(wanted, name)) is not None}
    if not given:
        return None
    return sa.select(usage_callers.c.id).where(*(usage_callers.c[name] == value for name, value in given.items()))


def served_by(model: str) -> sa.ColumnElement[bool]:
    """The condition on usage rows that this was asked for, was the group that served it or the upstream's name."""
    names = (usage_roads.c.model_group, usage_roads.c.upstream_model)
    roads = sa.select(usage_roads.c.id).where(sa.or_(*(name == model for name in names)))
    return sa.or_(usage.c.model == model, usage.c.road_id.in_(roads))


def _conditions(wanted: UsageFilter, *, of_callers: bool = True) -> list[sa.ColumnElement[bool]]:
    """The conditions on usage rows, with those on their callers or without."""
    equal = {"id": wanted.request_id} | {name: getattr(wanted, name) for name in ("status", "session_id", "end_user")}
    conditions = [usage.c[name] == value for name, value in equal.items() if value is not None]
    if of_callers and (which := _callers(wanted)) is not None:
        conditions.append(usage.c.caller_id.in_(which))
    if wanted.model is not None:
        conditions.append(served_by(wanted.model))
    if wanted.min_cost is not None:
        conditions.append(usage.c.cost_nano >= wanted.min_cost)
    if wanted.max_cost is not None:
        conditions.append(usage.c.cost_nano <= wanted.max_cost)
    if wanted.since is not None:
        conditions.append(usage.c.started_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(usage.c.started_at < wanted.until)
    return conditions
