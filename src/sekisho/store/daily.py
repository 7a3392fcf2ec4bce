"""Daily roll-ups: the sums of usage rows by day, written in the transaction of the rows, so that they equal them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import add, itemgetter
from typing import Any, Final

import sqlalchemy as sa
from msgspec.structs import astuple

from sekisho.store.bulk import BulkInsert
from sekisho.store.records import UsageRow
from sekisho.store.repeated import digest_of
from sekisho.store.tables import DAY_PARTS, DAY_SUMS, DAY_TEXTS, daily, daily_parts, daily_tags

DAY_MS: Final = 86_400_000

Sums = dict[tuple[Any, ...], list[int]]
"""By the day, the key and the texts of `DAY_TEXTS`, and for tags the tag: the sums of `DAY_SUMS`."""

_NAMES: Final = ("key_hash", *DAY_TEXTS, "tag")
_FOLDS: Final[dict[str, Callable[[tuple[Any, ...]], tuple[Any, ...]]]] = {
    part: itemgetter(0, *(place if name in columns else -1 for place, name in enumerate(_NAMES, 1)))
    for part, columns in DAY_PARTS.items()
}
"""By part: the day and those of `_NAMES` that its rows have, of a tuple of the day, all of them and an empty text."""


def add_to_days(connection: sa.Connection, calls: Iterable[tuple[UsageRow, int, int]]) -> None:
    """Add usage rows, which must be tidy, to the sums of their days; with each the numbers of its caller and its road.

    Most calls of a moment are alike in all that the roll-ups have, so they are put together first.
    """
    alike: defaultdict[tuple[Any, ...], list[UsageRow]] = defaultdict(list)
    for row, caller, road in calls:
        alike[caller, road, row.started_at // DAY_MS, row.model, row.end_user].append(row)
    days: Sums = {}
    tagged: Sums = {}
    for rows in alike.values():
        owner = _owner_of(rows[0])
        _add(days, owner, _sum_up(rows))
        for tag, those in _by_tag(rows).items():
            _add(tagged, (*owner, tag), _sum_up(those))
    parts: Sums = {}
    for owner, sums in days.items():
        for part in _PARTS_OF_DAYS:
            _add(parts, _fold(part, (*owner, "")), sums)
    for owner, sums in tagged.items():
        _add(parts, _fold("tags", owner), sums)
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


def _by_tag(rows: Iterable[UsageRow]) -> dict[str, list[UsageRow]]:
    tagged: dict[str, list[UsageRow]] = {}
    for row in rows:
        if row.tags:
            for tag in dict.fromkeys(row.tags):
                tagged.setdefault(tag, []).append(row)
    return tagged


def _sum_up(rows: Sequence[UsageRow]) -> list[int]:
    """The sums of `DAY_SUMS` over rows."""
    kinds = [sum(kind) for kind in zip(*(astuple(row.usage) for row in rows), strict=True)]
    statuses = [row.status for row in rows]
    cost = sum(row.cost_nano or 0 for row in rows)
    return [*kinds, cost, len(rows), statuses.count("success"), statuses.count("failure")]


def _fold(part: str, owner: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row of a part that the sums of a day's row with a tag, which may be empty, belong to."""
    return (*_FOLDS[part]((*owner, "")), part)


def _add(known: Sums, owner: tuple[Any, ...], sums: list[int]) -> None:
    so_far = known.get(owner)
    known[owner] = sums if so_far is None else list(map(add, so_far, sums))


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
