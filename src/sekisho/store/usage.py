"""Usage rows: written in groups, read for reports."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from sekisho.store.database import Database
from sekisho.store.records import UsageRow
from sekisho.store.rows import usage_from_row
from sekisho.store.tables import daily, usage

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


_ROLLED_UP: Final = ("key_hash", "user_id", "team_id", "organization_id", "end_user")
"""The filters that rows and roll-ups have alike, besides `model` and `since` and `until`."""
_ONLY_ROWS: Final = ("request_id", "key_alias", "session_id", "min_cost", "max_cost")
_SHALLOW: Final = 1_000
_COUNTED: Final[dict[str | None, str]] = {None: "requests", "success": "successes", "failure": "failures"}
"""The sum in the roll-ups that counts the rows of a status."""


class UsageRepository:
    """Reads usage rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, wanted: UsageFilter, *, limit: int, offset: int = 0) -> list[UsageRow]:
        """The newest rows first."""
        async with self._database.read() as connection:
            if offset > _SHALLOW:
                wanted, offset = await _skip(connection, wanted, offset)
            newest = sa.select(usage).where(*_conditions(wanted)).order_by(usage.c.started_at.desc(), usage.c.id.desc())
            rows = await connection.execute(newest.limit(limit).offset(offset))
            return [usage_from_row(row) for row in rows.mappings()]

    async def count(self, wanted: UsageFilter) -> int:
        """How many rows there are. Whole days are counted by their roll-ups where these know, and so in no time."""
        async with self._database.read() as connection:
            if wanted.status not in _COUNTED or any(getattr(wanted, name) is not None for name in _ONLY_ROWS):
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


def insert_usage(database: Database, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Insert rows, given as their columns; returns the ids of those that were not there yet."""
    statement = database.insert(usage).on_conflict_do_nothing(index_elements=["id"]).returning(usage.c.id)
    return set(connection.execute(statement, rows).scalars())


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


async def _count_rows(connection: AsyncConnection, wanted: UsageFilter) -> int:
    query = sa.select(sa.func.count()).select_from(usage).where(*_conditions(wanted))
    return await connection.scalar(query) or 0


async def _count_days(connection: AsyncConnection, wanted: UsageFilter, first: int, last: int | None) -> int:
    """The rows of whole days, `last` not included."""
    counted = daily.c[_COUNTED[wanted.status]]
    query = sa.select(sa.cast(sa.func.sum(counted), sa.BigInteger)).where(daily.c.day >= first, *_owners(daily, wanted))
    if last is not None:
        query = query.where(daily.c.day < last)
    return await connection.scalar(query) or 0


def _owners(table: sa.Table, wanted: UsageFilter) -> list[sa.ColumnElement[bool]]:
    """The conditions that rows and roll-ups have alike."""
    conditions = [table.c[name] == value for name in _ROLLED_UP if (value := getattr(wanted, name)) is not None]
    if wanted.model is not None:
        names = (table.c.model, table.c.model_group, table.c.upstream_model)
        conditions.append(sa.or_(*(name == wanted.model for name in names)))
    return conditions


def _conditions(wanted: UsageFilter) -> list[sa.ColumnElement[bool]]:
    conditions = _owners(usage, wanted)
    equal = {"id": wanted.request_id} | {name: getattr(wanted, name) for name in ("status", "key_alias", "session_id")}
    conditions += [usage.c[name] == value for name, value in equal.items() if value is not None]
    if wanted.min_cost is not None:
        conditions.append(usage.c.cost_nano >= wanted.min_cost)
    if wanted.max_cost is not None:
        conditions.append(usage.c.cost_nano <= wanted.max_cost)
    if wanted.since is not None:
        conditions.append(usage.c.started_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(usage.c.started_at < wanted.until)
    return conditions
