"""Daily roll-ups: the sums of usage rows by day, written in the transaction of the rows, so that they equal them."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sekisho.store.database import Database
from sekisho.store.tables import DAY_SUMS, DAY_TEXTS, daily, daily_tags

DAY_MS: Final = 86_400_000
_DIGEST_BYTES: Final = 16
_encode = msgspec.msgpack.Encoder().encode

Sums = dict[tuple[Any, ...], list[int]]
"""By the day, the key and the texts of `DAY_TEXTS`, and for tags the tag: the sums of `DAY_SUMS`."""


def add_to_days(database: Database, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add usage rows, given as their columns, to the sums of their days."""
    days: Sums = {}
    tagged: Sums = {}
    for row in rows:
        owner = (row["started_at"] // DAY_MS, row["key_hash"] or "", *(row[name] or "" for name in DAY_TEXTS))
        sums = _sums_of(row)
        _add(days, owner, sums)
        for tag in dict.fromkeys(row["tags"] or ()):
            _add(tagged, (*owner, tag), sums)
    _write(database, connection, daily, days)
    _write(database, connection, daily_tags, tagged)


def _sums_of(row: Mapping[str, Any]) -> list[int]:
    kinds = [row[name] for name in DAY_SUMS[:6]]
    status = row["status"]
    return [*kinds, row["cost_nano"] or 0, 1, int(status == "success"), int(status == "failure")]


def _add(known: Sums, owner: tuple[Any, ...], sums: Iterable[int]) -> None:
    before = known.get(owner)
    known[owner] = list(sums) if before is None else [a + b for a, b in zip(before, sums, strict=True)]


def _write(database: Database, connection: sa.Connection, table: sa.Table, sums: Sums) -> None:
    """Add to the rows of a table, in one order in every process, so that no two wait for each other for ever."""
    if not sums:
        return
    names = ("day", "key_hash", *DAY_TEXTS, *(["tag"] if table is daily_tags else []))
    rows = [
        {"digest": _digest(owner), **dict(zip(names, owner, strict=True)), **dict(zip(DAY_SUMS, amounts, strict=True))}
        for owner, amounts in sums.items()
    ]
    insert = database.insert(table)
    added = {name: table.c[name] + insert.excluded[name] for name in DAY_SUMS}
    upsert = insert.on_conflict_do_update(index_elements=["digest"], set_=added)
    connection.execute(upsert, sorted(rows, key=lambda row: row["digest"]))


def _digest(owner: tuple[Any, ...]) -> bytes:
    return blake2b(_encode(owner), digest_size=_DIGEST_BYTES).digest()
