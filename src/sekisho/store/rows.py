"""Between records and rows."""

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import RowMapping

from sekisho.core.usage import Usage
from sekisho.store.records import Budgeted, UsageRow, in_window

AnyBudgeted = TypeVar("AnyBudgeted", bound=Budgeted)

_KINDS: Final = Usage.__struct_fields__
_CALLERS: Final = ("model", "session_id", "agent", "agent_version", "agent_id", "parent_id", "end_user")
_LONGEST: Final = 256


def to_row(record: Struct) -> dict[str, Any]:
    """The columns of a record; tuples are stored as JSON arrays."""
    return msgspec.structs.asdict(record)


def from_row(row: RowMapping, kind: type[AnyBudgeted], now: float) -> AnyBudgeted:
    """The record of a row, as it stands at `now`: a budget window that has ended is begun anew."""
    return in_window(msgspec.convert({name: row[name] for name in kind.__struct_fields__}, kind), now)


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
            row[name] = row[name][:_LONGEST].replace("\0", "")
    row["tags"] = record.tags or None
    return row


def usage_from_row(row: RowMapping) -> UsageRow:
    """The record of a usage row."""
    fields = {name: row[name] for name in UsageRow.__struct_fields__ if name != "usage"}
    usage = Usage(**{kind: row[kind] for kind in _KINDS})
    return UsageRow(**{**fields, "tags": tuple(fields["tags"] or ()), "usage": usage})
