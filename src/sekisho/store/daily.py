"""Daily roll-ups: the sums of usage rows by day, written in the transaction of the rows, so that they equal them."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from sekisho.store.bulk import BulkInsert
from sekisho.store.records import UsageRow
from sekisho.store.repeated import digest_of
from sekisho.store.tables import DAY_PARTS, DAY_SUMS, DAY_TEXTS, daily, daily_parts, daily_tags

DAY_MS: Final = 86_400_000

Sums = dict[tuple[Any, ...], list[int]]
"""By the day, the key and the texts of `DAY_TEXTS`, and for tags the tag: the sums of `DAY_SUMS`."""

_NAMES: Final = ("key_hash", *DAY_TEXTS, "tag")
_KEPT: Final = {part: tuple(name in columns for name in _NAMES) for part, columns in DAY_PARTS.items()}
"""Which of `_NAMES` the rows of a part have."""


def add_to_days(connection: sa.Connection, rows: Sequence[UsageRow]) -> None:
    """Add usage rows, which must be tidy, to the sums of their days."""
    days: Sums = {}
    tagged: Sums = {}
    for row in rows:
        owner = _owner_of(row)
        _count(days, owner, row)
        for tag in dict.fromkeys(row.tags):
            _count(tagged, (*owner, tag), row)
    parts: Sums = {}
    for owner, sums in days.items():
        for part in _PARTS_OF_DAYS:
            _fold(parts, part, (*owner, ""), sums)
    for owner, sums in tagged.items():
        _fold(parts, "tags", owner, sums)
    _write(connection, _DAYS, days)
    _write(connection, _TAGGED, tagged)
    _write(connection, _PARTS, parts)


def _owner_of(row: UsageRow) -> tuple[Any, ...]:
    caller, road = row.caller, row.road
    return (
        row.started_at // DAY_MS,
        caller.key_hash or "",
        caller.user_id or "",
        caller.team_id or "",
        caller.organization_id or "",
        caller.project_id or "",
        row.end_user or "",
        road.model_group or "",
        row.model,
        road.provider or "",
        road.upstream_model or "",
    )


def _count(known: Sums, owner: tuple[Any, ...], row: UsageRow) -> None:
    sums = known.get(owner)
    if sums is None:
        sums = known[owner] = [0] * len(DAY_SUMS)
    usage = row.usage
    sums[0] += usage.input
    sums[1] += usage.output
    sums[2] += usage.cache_read
    sums[3] += usage.cache_write_5m
    sums[4] += usage.cache_write_1h
    sums[5] += usage.reasoning
    sums[6] += row.cost_nano or 0
    sums[7] += 1
    sums[8] += row.status == "success"
    sums[9] += row.status == "failure"


def _fold(parts: Sums, part: str, owner: tuple[Any, ...], sums: Sequence[int]) -> None:
    """Add the sums of a day's row with a tag, which may be empty, to the row of a part."""
    day, *names = owner
    kept = (name if keep else "" for name, keep in zip(names, _KEPT[part], strict=True))
    folded = (day, *kept, part)
    known = parts.get(folded)
    parts[folded] = list(sums) if known is None else [a + b for a, b in zip(known, sums, strict=True)]


def _write(connection: sa.Connection, insert: BulkInsert, sums: Sums) -> None:
    """Add to the rows of a table, in one order in every process, so that no two wait for each other for ever."""
    rows = [
        (digest_of(owner), owner[0], bytes.fromhex(owner[1]), *owner[2:], *amounts) for owner, amounts in sums.items()
    ]
    insert.run(connection, sorted(rows))


def _adding_to(table: sa.Table, *more: str) -> BulkInsert:
    added = ", ".join(f"{name} = {table.name}.{name} + excluded.{name}" for name in DAY_SUMS)
    columns = ("digest", "day", "key_hash", *DAY_TEXTS, *more, *DAY_SUMS)
    return BulkInsert(table, columns, f"ON CONFLICT (digest) DO UPDATE SET {added}")


_DAYS: Final = _adding_to(daily)
_TAGGED: Final = _adding_to(daily_tags, "tag")
_PARTS: Final = _adding_to(daily_parts, "tag", "part")
_PARTS_OF_DAYS: Final = tuple(part for part in DAY_PARTS if part != "tags")
