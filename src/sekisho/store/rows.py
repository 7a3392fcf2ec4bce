"""Between records and rows."""

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import RowMapping

from sekisho.core.usage import Usage
from sekisho.store.limits import at_time
from sekisho.store.records import NOT_COLUMNS, Limits, UsageRow

AnyRecord = TypeVar("AnyRecord", bound=Struct)

_KINDS: Final = Usage.__struct_fields__
_CALLERS: Final = ("model", "session_id", "agent", "agent_version", "agent_id", "parent_id", "end_user")
_LONGEST: Final = 256


def to_row(record: Struct) -> dict[str, Any]:
    """The columns of a record; tuples and structures are stored as JSON."""
    return {name: value for name, value in msgspec.structs.asdict(record).items() if name not in NOT_COLUMNS}


def from_row(row: RowMapping, kind: type[AnyRecord], now: float) -> AnyRecord:
    """The record of a row, with the ends of the budget windows that are open at `now`."""
    columns = {name: row[name] for name in kind.__struct_fields__ if name not in NOT_COLUMNS}
    record = msgspec.convert(columns, kind)
    return at_time(record, now) if isinstance(record, Limits) else record


def usage_to_row(record: UsageRow) -> dict[str, Any]:
    """The columns of a usage row: the kinds of token lie flat, and no tags are stored as nothing.

    What the caller wrote is cut to a length that an index takes, and freed of the NUL that PostgreSQL refuses.
    """
    row = msgspec.structs.asdict(record)
    usage: Usage = row.pop("usage")
    for kind in _KINDS:
        row[kind] = getattr(usage, kind)
    for name in _CALLERS:
        if row[name] is not None:
            row[name] = _clean(row[name])
    row["tags"] = tuple(map(_clean, record.tags)) or None
    return row


def _clean(text: str) -> str:
    return text[:_LONGEST].replace("\0", "")


def usage_from_row(row: RowMapping) -> UsageRow:
    """The record of a usage row."""
    fields = {name: row[name] for name in UsageRow.__struct_fields__ if name != "usage"}
    usage = Usage(**{kind: row[kind] for kind in _KINDS})
    return UsageRow(**{**fields, "tags": tuple(fields["tags"] or ()), "usage": usage})
