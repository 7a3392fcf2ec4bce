"""Many rows in few statements, past SQLAlchemy, whose work on each value costs more than the database's on the row.

On SQLite a statement has many rows in it, since at each one the driver lets go of the interpreter, and a busy event
loop is slow to give it back; but not so many that to hand over their values holds up the event loop in turn. On
PostgreSQL it is one statement, which reads the rows from one JSON text: of an array for each column, asyncpg asks of
every value whether it is an array in turn, which costs ten times as much as to write it.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa

Item = TypeVar("Item")
Values = tuple[Any, ...]
"""A row's values as the driver takes them: bytes and JSON as they are stored."""

_SIZES: Final = (64, 32, 16, 8, 4, 2, 1)
"""Few enough different ones that the driver keeps every statement prepared, and any count is the sum of a few. To hand
over 64 usage rows takes about a sixth of a millisecond, in which no call goes on."""
_encode = msgspec.json.Encoder().encode


class Bulk:
    """A statement over rows, which stand between `before` and `after`; their values are of the kinds of `columns`."""

    def __init__(self, before: str, columns: Sequence[sa.Column[Any]], after: str) -> None:
        self._before = before
        self._columns = columns
        self._after = after
        self._of_size: Callable[[int], str] = cache(self._write_values)
        self._of_json: Callable[[sa.Dialect], str] = cache(self._write_json)

    def run(self, connection: sa.Connection, rows: Sequence[Values]) -> list[Any]:
        """Run it over rows, in their order; what the statement returns, row by row."""
        returned: list[Any] = []
        for statement, values in self._statements(connection, rows):
            result = connection.exec_driver_sql(statement, values)
            if result.returns_rows:
                returned += result
        return returned

    def _statements(self, connection: sa.Connection, rows: Sequence[Values]) -> Iterator[tuple[str, Values]]:
        if connection.dialect.name == "postgresql":
            if rows:
                yield self._of_json(connection.dialect), (_encode(rows).decode(),)
            return
        for some in in_sizes(rows):
            yield self._of_size(len(some)), tuple(chain.from_iterable(some))

    def _write_values(self, count: int) -> str:
        row = f"({', '.join('?' * len(self._columns))})"
        return f"{self._before} VALUES {', '.join([row] * count)} {self._after}"

    def _write_json(self, dialect: sa.Dialect) -> str:
        values = ", ".join(_read(place, column.type.compile(dialect)) for place, column in enumerate(self._columns))
        rows = f"SELECT {values} FROM jsonb_array_elements($1::text::jsonb) AS row"  # noqa: S608 -- of names in tables.py
        return f"{self._before} {rows} {self._after}"


class BulkInsert(Bulk):
    """An INSERT into some columns of a table; `ending` is what it does on conflict, and returns."""

    def __init__(self, table: sa.Table, columns: Sequence[str], ending: str) -> None:
        head = f"INSERT INTO {table.name} ({', '.join(columns)})"
        super().__init__(head, [table.c[name] for name in columns], ending)


def _read(place: int, kind: str) -> str:
    """The value at a place in a row of JSON, in PostgreSQL; msgspec writes bytes in Base64."""
    text = f"row->>{place}"
    return f"decode({text}, 'base64')" if kind == "BYTEA" else f"({text})::{kind}"


def in_sizes(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """`items` in parts of few different sizes, so that there are few different statements."""
    start = 0
    for size in _SIZES:
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size
