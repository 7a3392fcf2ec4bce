"""Many rows in few statements, past SQLAlchemy, whose work on each value costs more than the database's on the row.

On SQLite a statement has many rows in it, since at each one the driver lets go of the interpreter, and a busy event
loop is slow to give it back; but not so many that to hand over their values holds up the event loop in turn. On
PostgreSQL it is one statement, which unfolds an array for each column.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final, TypeVar

import sqlalchemy as sa

Item = TypeVar("Item")
Values = tuple[Any, ...]
"""A row's values as the driver takes them: bytes and JSON as they are stored."""

_SIZES: Final = (64, 32, 16, 8, 4, 2, 1)
"""Few enough different ones that the driver keeps every statement prepared, and any count is the sum of a few. To hand
over 64 usage rows takes about a sixth of a millisecond, in which no call goes on."""


class BulkInsert:
    """An INSERT into some columns of a table; `ending` is what it does on conflict, and returns."""

    def __init__(self, table: sa.Table, columns: Sequence[str], ending: str) -> None:
        self._columns = [table.c[name] for name in columns]
        self._head = f"INSERT INTO {table.name} ({', '.join(columns)})"
        self._ending = ending
        self._of_size: Callable[[int], str] = cache(self._write_values)
        self._unfolding: Callable[[sa.Dialect], str] = cache(self._write_unfolding)

    def run(self, connection: sa.Connection, rows: Sequence[Values]) -> list[Any]:
        """Insert rows; what the statement returns, row by row."""
        returned: list[Any] = []
        for statement, values in self._statements(connection, rows):
            result = connection.exec_driver_sql(statement, values)
            if result.returns_rows:
                returned += result
        return returned

    def _statements(self, connection: sa.Connection, rows: Sequence[Values]) -> Iterator[tuple[str, Values]]:
        if connection.dialect.name == "postgresql":
            if rows:
                yield self._unfolding(connection.dialect), tuple(map(list, zip(*rows, strict=True)))
            return
        for some in in_sizes(rows):
            yield self._of_size(len(some)), tuple(chain.from_iterable(some))

    def _write_values(self, count: int) -> str:
        row = f"({', '.join('?' * len(self._columns))})"
        return f"{self._head} VALUES {', '.join([row] * count)} {self._ending}"

    def _write_unfolding(self, dialect: sa.Dialect) -> str:
        kinds = (column.type.compile(dialect) for column in self._columns)
        arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(kinds, 1))
        return f"{self._head} SELECT * FROM unnest({arrays}) {self._ending}"  # noqa: S608 -- of names in tables.py


def in_sizes(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """`items` in parts of few different sizes, so that there are few different statements."""
    start = 0
    for size in _SIZES:
        while len(items) - start >= size:
            yield items[start : start + size]
            start += size
