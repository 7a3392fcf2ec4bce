"""Sums for reports: from the daily roll-ups, or from the usage rows where days are not those of UTC."""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import sqlalchemy as sa
from msgspec import Struct

from sekisho.store.columns import HexBytes
from sekisho.store.daily import DAY_MS
from sekisho.store.database import Database
from sekisho.store.tables import (
    DAY_PARTS,
    DAY_SUMS,
    DAY_TEXTS,
    daily,
    daily_parts,
    daily_tags,
    usage,
    usage_callers,
    usage_roads,
)
from sekisho.store.usage import CALLS, served_by

_MINUTE_MS: Final = 60_000
_FEW: Final = 20
Source: TypeAlias = sa.FromClause


class ReportFilter(Struct, frozen=True, kw_only=True):
    """What is to be added up; None is no condition, an empty tuple is nothing at all.

    since, until: days counted from the epoch, `until` not included.
    offset: minutes to add to local time to get UTC, as in JavaScript (540 minutes east of Greenwich is -540). Days are
        local days then, and are added up from the usage rows; without it they are days of UTC, from the roll-ups,
        which also know of the rows that are no longer kept.
    model: the name that was asked for, the group that served it or the upstream's name.
    by_tag: add up for each tag; a call with two tags counts for both, one without for none.
    """

    since: int
    until: int
    offset: int = 0
    keys: tuple[str, ...] | None = None
    users: tuple[str, ...] | None = None
    teams: tuple[str, ...] | None = None
    organizations: tuple[str, ...] | None = None
    customers: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    model: str | None = None
    by_tag: bool = False


class Sums(Struct, frozen=True, gc=False):
    """What a number of calls used; the fields are those of the roll-ups, in their order."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    cost_nano: int = 0
    requests: int = 0
    successes: int = 0
    failures: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.input + other.input,
            self.output + other.output,
            self.cache_read + other.cache_read,
            self.cache_write_5m + other.cache_write_5m,
            self.cache_write_1h + other.cache_write_1h,
            self.reasoning + other.reasoning,
            self.cost_nano + other.cost_nano,
            self.requests + other.requests,
            self.successes + other.successes,
            self.failures + other.failures,
        )

    @property
    def prompt(self) -> int:
        """All input tokens, cached or not."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def cache_write(self) -> int:
        """Tokens written to a prompt cache."""
        return self.cache_write_5m + self.cache_write_1h


class Line(Struct, frozen=True):
    """The sums of one group; `group` has a value for each column that was asked for, the empty text for none."""

    group: tuple[Any, ...]
    sums: Sums


class ReportRepository:
    """Adds up what was used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_up(
        self, wanted: ReportFilter, by: Sequence[str], *, limit: int, kinds: Sequence[str] = DAY_SUMS
    ) -> list[Line]:
        """The sums by these columns, in their order.

        Args:
            wanted: what is to be added up.
            by: `day`, `key_hash`, columns of the roll-ups, `tag`, or `served_model`: the upstream's name of the model,
                or the one that was asked for where no upstream was.
            limit: the most lines to return.
            kinds: the sums that are needed, as each takes its time; the others are 0.
        """
        source, conditions = self._source(wanted, by)
        columns = [_column(source, name) for name in by]
        sums = [_sum(source.c[kind]) if kind in kinds else sa.literal_column("0") for kind in DAY_SUMS]
        query = sa.select(*columns, *sums).where(*conditions)
        query = query.group_by(*columns).order_by(*columns).limit(limit)

        def read(connection: sa.Connection) -> list[Line]:
            rows = connection.execute(query)
            return [Line(tuple(row[: len(columns)]), Sums(*row[len(columns) :])) for row in rows]

        return await self._database.inspect(read)

    async def costliest(self, wanted: ReportFilter, column: str, limit: int) -> tuple[list[str], int]:
        """The values of a column (keys, users, teams, …) with the highest cost, and how many have any calls."""
        source, conditions = self._source(wanted, (column,))
        value, cost = source.c[column], sa.func.sum(source.c.cost_nano)
        groups = sa.select(value, sa.func.count().over().label("all")).where(*conditions).group_by(value)
        top = groups.order_by(cost.desc(), value).limit(limit)

        def read(connection: sa.Connection) -> tuple[list[str], int]:
            rows = connection.execute(top).all()
            return [row[0] for row in rows], rows[0].all if rows else 0

        return await self._database.inspect(read)

    async def oldest_row(self) -> int | None:
        """When the oldest usage row that is kept began, in milliseconds since the epoch."""
        async with self._database.read() as connection:
            oldest: int | None = await connection.scalar(sa.select(sa.func.min(usage.c.started_at)))
            return oldest

    def _source(self, wanted: ReportFilter, by: Sequence[str]) -> tuple[Source, list[sa.ColumnElement[bool]]]:
        """Where the fewest rows have these columns and those of the filter, and the conditions on them."""
        if wanted.offset:
            source = _local_days(wanted, postgres=self._database.postgres)
            return source, _conditions(source, wanted)
        part = _find_part(wanted, by)
        if part is not None:
            return daily_parts, [daily_parts.c.part == part, *_conditions(daily_parts, wanted)]
        source = daily_tags if wanted.by_tag else daily
        return source, _conditions(source, wanted)


def _find_part(wanted: ReportFilter, by: Sequence[str]) -> str | None:
    """The part of `daily_parts` with the fewest rows that has all that is needed; None if there is none.

    Nor is there one for few keys, users or teams: the whole roll-ups have indexes of these.
    """
    if any(len(names) <= _FEW for names in (wanted.keys, wanted.users, wanted.teams) if names is not None):
        return None
    needed = {*by, *_owners_of(wanted)} - {"day"}
    if wanted.model is not None or "served_model" in needed:
        needed = (needed | {"model", "model_group", "upstream_model"}) - {"served_model"}
    if wanted.by_tag:
        needed.add("tag")
    return next((part for part, columns in DAY_PARTS.items() if needed <= {*columns}), None)


def _local_days(wanted: ReportFilter, *, postgres: bool) -> Source:
    """The usage rows in the form of a roll-up, each one a line, with days that begin at the local midnight."""
    shift = wanted.offset * _MINUTE_MS
    kinds = DAY_SUMS[: DAY_SUMS.index("cost_nano")]
    columns: list[sa.ColumnElement[Any]] = [
        ((usage.c.started_at - shift) // DAY_MS).label("day"),
        sa.func.coalesce(usage_callers.c.key_hash, sa.literal("", HexBytes), type_=HexBytes).label("key_hash"),
        *(sa.func.coalesce(_of_call(name), "").label(name) for name in DAY_TEXTS),
        *(usage.c[kind] for kind in kinds),
        sa.func.coalesce(usage.c.cost_nano, 0).label("cost_nano"),
        sa.literal(1).label("requests"),
        sa.case((usage.c.status == "success", 1), else_=0).label("successes"),
        sa.case((usage.c.status == "failure", 1), else_=0).label("failures"),
    ]
    since, until = wanted.since * DAY_MS + shift, wanted.until * DAY_MS + shift
    conditions = [usage.c.started_at >= since, usage.c.started_at < until, *_of_rows(wanted)]
    rows: sa.FromClause = CALLS
    if wanted.by_tag:
        each = sa.func.jsonb_array_elements_text if postgres else sa.func.json_each
        tag = each(usage.c.tags).table_valued("value", name="tag")
        columns.append(tag.c.value.label("tag"))
        rows = CALLS.join(tag, sa.true())
    return sa.select(*columns).select_from(rows).where(*conditions).subquery("local_days")


def _of_call(name: str) -> sa.ColumnElement[Any]:
    """The column of usage rows, or of what repeats in them, that is a text of the roll-ups."""
    return next(table.c[name] for table in (usage, usage_callers, usage_roads) if name in table.c)


def _of_rows(wanted: ReportFilter) -> list[sa.ColumnElement[bool]]:
    """The conditions on usage rows, here and not outside of them, so that their indexes serve."""
    conditions: list[sa.ColumnElement[bool]] = []
    callers = {name: values for name, values in _owners_of(wanted).items() if name in usage_callers.c}
    if callers:
        which = sa.select(usage_callers.c.id).where(*(usage_callers.c[name].in_(v) for name, v in callers.items()))
        conditions.append(usage.c.caller_id.in_(which))
    if wanted.customers is not None:
        conditions.append(usage.c.end_user.in_(wanted.customers))
    if wanted.model is not None:
        conditions.append(served_by(wanted.model))
    return conditions


def _column(source: Source, name: str) -> sa.ColumnElement[Any]:
    if name == "served_model":
        asked, served = source.c.model, source.c.upstream_model
        return sa.case((served == "", asked), else_=served).label(name)
    return source.c[name]


def _sum(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """PostgreSQL's sum of BIGINTs is a NUMERIC, hence the cast."""
    return sa.cast(sa.func.coalesce(sa.func.sum(column), 0), sa.BigInteger).label(f"sum_{column.name}")


def _conditions(source: Source, wanted: ReportFilter) -> list[sa.ColumnElement[bool]]:
    conditions = [source.c.day >= wanted.since, source.c.day < wanted.until]
    if wanted.tags is not None:
        conditions.append(source.c.tag.in_(wanted.tags))
    return conditions if wanted.offset else conditions + _of_days(source, wanted)


def _of_days(source: Source, wanted: ReportFilter) -> list[sa.ColumnElement[bool]]:
    """The conditions on roll-ups."""
    conditions: list[sa.ColumnElement[bool]] = [
        source.c[name].in_(values) for name, values in _owners_of(wanted).items()
    ]
    if wanted.model is not None:
        names = (source.c.model, source.c.model_group, source.c.upstream_model)
        conditions.append(sa.or_(*(name == wanted.model for name in names)))
    return conditions


def _owners_of(wanted: ReportFilter) -> dict[str, tuple[str, ...]]:
    """The columns that are to have one of some values."""
    within = {
        "key_hash": wanted.keys,
        "user_id": wanted.users,
        "team_id": wanted.teams,
        "organization_id": wanted.organizations,
        "end_user": wanted.customers,
    }
    return {name: values for name, values in within.items() if values is not None}
