"""What a transaction changes, row by row, before and after: the matter of the audit trail.

It is taken from the statements themselves as they pass through the connection, so that whoever writes a change need
not tell of it, and cannot forget to. A statement whose rows cannot be known is refused.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
import sqlalchemy as sa

from sekisho.store.audit_chain import Action, Change
from sekisho.store.tables import audit, audit_head

Row: TypeAlias = Mapping[Any, Any]
Identity: TypeAlias = tuple[Any, ...]
Parameters: TypeAlias = Mapping[str, Any]
Write: TypeAlias = sa.Insert | sa.Update | sa.Delete
Item = TypeVar("Item")

_SELF: Final = frozenset({audit.name, audit_head.name})
_SECRET: Final = re.compile(r"key|secret|token|password|credential|authorization|headers?$", re.IGNORECASE)
_HIDDEN: Final = "[hidden]"
_AT_ONCE: Final = 500
"""Rows looked up in one statement; SQLite takes some 30,000 parameters."""


class Capture:
    """Collects the changes that one connection makes between `start` and `stop`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._found: list[Change] = []
        self._before: dict[Identity, Row] = {}

    @contextmanager
    def running(self) -> Iterator[list[Change]]:
        """Collect; the list fills up as statements are executed."""
        listeners = (("before_execute", self._look_before), ("after_execute", self._look_after))
        for event, listener in listeners:
            sa.event.listen(self._connection, event, listener)
        try:
            yield self._found
        finally:
            for event, listener in listeners:
                sa.event.remove(self._connection, event, listener)

    def _look_before(
        self,
        connection: sa.Connection,
        statement: sa.Executable,
        multiparams: Sequence[Parameters],
        params: Parameters,
        _options: object,
    ) -> None:
        """Keep the rows that a statement is about to change."""
        write = _watched(statement)
        if write is None:
            return
        table = _table_of(write)
        if isinstance(write, sa.Insert):
            self._before = self._rows(table, _inserted(connection, write, multiparams or [params]))
            return
        self._before = {}
        for parameters in multiparams or [params]:
            for row in self._matched(write, parameters):
                self._before[_identity(table, row)] = row
        if isinstance(write, sa.Delete):
            self._note_cascade(table, list(self._before))

    def _look_after(
        self,
        connection: sa.Connection,
        statement: sa.Executable,
        multiparams: Sequence[Parameters],
        params: Parameters,
        _options: object,
        _result: object,
    ) -> None:
        """Compare with what the rows have become."""
        write = _watched(statement)
        if write is None:
            return
        table = _table_of(write)
        before, self._before = self._before, {}
        if isinstance(write, sa.Delete):
            for identity, row in before.items():
                self._note(table, identity, row, None)
            return
        if isinstance(write, sa.Insert):
            renamed = {identity: identity for identity in _inserted(connection, write, multiparams or [params])}
        else:
            renamed = {identity: _renamed(connection, write, identity, params) for identity in before}
        after = self._rows(table, list(renamed.values()))
        for old, new in renamed.items():
            self._note(table, old, before.get(old), after.get(new))

    def _note(self, table: sa.Table, identity: Identity, before: Row | None, after: Row | None) -> None:
        action: Action = "created" if before is None else "deleted" if after is None else "updated"
        if before is not None and after is not None:
            changed = [name for name in before if before[name] != after[name]]
            if not changed:
                return
            before = {name: before[name] for name in changed}
            after = {name: after[name] for name in changed}
        else:
            before, after = _set_columns(before), _set_columns(after)
            if before is None and after is None:
                return
        change = Change(
            action=action,
            object_kind=str(table.name),
            object_id="/".join(str(part) for part in identity),
            before=_json(before),
            after=_json(after),
        )
        self._found.append(change)

    def _note_cascade(self, table: sa.Table, identities: Sequence[Identity]) -> None:
        """The rows of other tables that go with these."""
        for other in table.metadata.sorted_tables:
            for key in other.foreign_keys:
                if key.column.table is not table or key.ondelete != "CASCADE":
                    continue
                place = list(table.primary_key.columns).index(key.column)
                for some in _batches([identity[place] for identity in identities], _AT_ONCE):
                    gone = sa.select(other).where(key.parent.in_(some))
                    for row in self._connection.execute(gone).mappings().all():
                        self._note(other, _identity(other, row), row, None)

    def _matched(self, statement: sa.Update | sa.Delete, parameters: Parameters) -> Sequence[Row]:
        """The rows that an UPDATE or DELETE is about; they stay as they are until it comes."""
        table = _table_of(statement)
        rows = sa.select(table).order_by(*table.primary_key.columns).with_for_update()
        if statement.whereclause is not None:
            rows = rows.where(statement.whereclause)
        return self._connection.execute(rows, dict(parameters)).mappings().all()

    def _rows(self, table: sa.Table, identities: Sequence[Identity]) -> dict[Identity, Row]:
        columns = list(table.primary_key.columns)
        found: dict[Identity, Row] = {}
        for some in _batches(identities, _AT_ONCE if len(columns) == 1 else 1):
            wanted = sa.select(table).with_for_update()
            if len(columns) == 1:
                wanted = wanted.where(columns[0].in_([identity[0] for identity in some]))
            else:
                wanted = wanted.where(*(column == part for column, part in zip(columns, some[0], strict=True)))
            for row in self._connection.execute(wanted).mappings():
                found[_identity(table, row)] = row
        return found


def _watched(statement: sa.Executable) -> Write | None:
    """The statement, if it is one that changes what is watched."""
    if isinstance(statement, sa.TextClause):
        raise TypeError("an administrative change must be built from tables, not written as text: it is audited")
    if isinstance(statement, Write) and _table_of(statement).name not in _SELF:
        return statement
    return None


def _table_of(write: Write) -> sa.Table:
    assert isinstance(write.table, sa.Table)
    return write.table


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _identity(table: sa.Table, row: Row) -> Identity:
    return tuple(row[column.name] for column in table.primary_key.columns)


def _inserted(connection: sa.Connection, statement: sa.Insert, parameters: Sequence[Parameters]) -> list[Identity]:
    """The primary keys of the rows that an INSERT brings."""
    written = statement.compile(dialect=connection.dialect, column_keys=list(parameters[0])).params
    names = [column.name for column in _table_of(statement).primary_key.columns]
    if f"{names[0]}_m0" in written:  # VALUES (…), (…)
        numbers = range(sum(1 for name in written if name.startswith(f"{names[0]}_m")))
        found = [tuple(written.get(f"{name}_m{number}") for name in names) for number in numbers]
    else:
        found = [tuple((written | dict(given)).get(name) for name in names) for given in parameters]
    if any(part is None for identity in found for part in identity):
        raise TypeError(f"an INSERT into {_table_of(statement).name} must give its primary key: it is audited")
    return found


def _renamed(connection: sa.Connection, statement: sa.Update, identity: Identity, params: Parameters) -> Identity:
    """The primary key that a row has after an UPDATE: the old one, unless the statement sets it."""
    written = statement.compile(dialect=connection.dialect, column_keys=list(params)).params | dict(params)
    columns = list(_table_of(statement).primary_key.columns)
    return tuple(written.get(column.name) or part for column, part in zip(columns, identity, strict=True))


def _set_columns(row: Row | None) -> Row | None:
    return None if row is None else {name: value for name, value in row.items() if value is not None}


def _json(row: Row | None) -> str | None:
    """A row as JSON, its columns in order of their names, without secrets and bytes."""
    if row is None:
        return None
    shown = {str(name): _without_secrets(value) for name, value in row.items() if not isinstance(value, bytes)}
    return msgspec.json.encode(shown, order="sorted").decode()


def _without_secrets(value: object) -> object:
    """Within the free JSON of a column, text under a name that sounds like a secret is hidden."""
    if isinstance(value, dict):
        return {
            name: _HIDDEN if isinstance(inner, str) and _SECRET.search(str(name)) else _without_secrets(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_without_secrets(inner) for inner in value]
    return value
