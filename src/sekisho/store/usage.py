"""Usage rows: written in groups, read for reports."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from msgspec import Struct

from sekisho.store.database import Database
from sekisho.store.records import UsageRow
from sekisho.store.rows import usage_from_row, usage_to_row
from sekisho.store.tables import usage

_DAY_MS: Final = 86_400_000


class UsageFilter(Struct, frozen=True, kw_only=True):
    """Which rows are wanted; None is no condition. Times in milliseconds since the epoch, `until` not included."""

    request_id: str | None = None
    key_hash: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    since: int | None = None
    until: int | None = None


class DaySpend(Struct, frozen=True, kw_only=True):
    """What one user or key spent on one model in one day (UTC); `day` counts from the epoch."""

    day: int
    key_hash: str | None
    user_id: str | None
    model: str
    cost_nano: int


class UsageRepository:
    """Reads usage rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, wanted: UsageFilter, *, limit: int, offset: int = 0) -> list[UsageRow]:
        """The newest rows first."""
        newest = sa.select(usage).where(*_conditions(wanted)).order_by(usage.c.started_at.desc(), usage.c.id.desc())
        async with self._database.read() as connection:
            rows = await connection.execute(newest.limit(limit).offset(offset))
            return [usage_from_row(row) for row in rows.mappings()]

    async def by_day(self, wanted: UsageFilter) -> list[DaySpend]:
        """Spend by day, key, user and model, the oldest day first."""
        day = (usage.c.started_at // _DAY_MS).label("day")
        by = (day, usage.c.key_hash, usage.c.user_id, usage.c.model)
        cost = sa.cast(sa.func.coalesce(sa.func.sum(usage.c.cost_nano), 0), sa.BigInteger).label("cost_nano")
        grouped = sa.select(*by, cost).where(*_conditions(wanted)).group_by(*by).order_by(day)
        async with self._database.read() as connection:
            return [DaySpend(**row) for row in (await connection.execute(grouped)).mappings()]


def insert_usage(database: Database, connection: sa.Connection, rows: Sequence[UsageRow]) -> list[UsageRow]:
    """Insert rows, and return those that were not there yet."""
    statement = database.insert(usage).on_conflict_do_nothing(index_elements=["id"]).returning(usage.c.id)
    result = connection.execute(statement, [usage_to_row(row) for row in rows])
    inserted = set(result.scalars())
    return [row for row in rows if row.id in inserted]


def _conditions(wanted: UsageFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.request_id is not None:
        conditions.append(usage.c.id == wanted.request_id)
    if wanted.key_hash is not None:
        conditions.append(usage.c.key_hash == wanted.key_hash)
    if wanted.user_id is not None:
        conditions.append(usage.c.user_id == wanted.user_id)
    if wanted.team_id is not None:
        conditions.append(usage.c.team_id == wanted.team_id)
    if wanted.since is not None:
        conditions.append(usage.c.started_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(usage.c.started_at < wanted.until)
    return conditions
