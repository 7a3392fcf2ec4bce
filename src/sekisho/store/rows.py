"""Between records and rows."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import astuple
from sqlalchemy import RowMapping

from sekisho.core.usage import Usage
from sekisho.store.bulk import Values
from sekisho.store.limits import at_time
from sekisho.store.records import NOT_COLUMNS, Limits, UsageAttempt, UsageCaller, UsageRoad, UsageRow

AnyRecord = TypeVar("AnyRecord", bound=Struct)

_KINDS: Final = Usage.__struct_fields__
_CALLERS: Final = ("model", "session_id", "agent", "agent_version", "agent_id", "parent_id", "end_user")
_LONGEST: Final = 256


def to_row(record: Struct) -> dict[str, Any]:
    """The columns of a record; tuples and structures are stored as JSON."""
    return {name: value for name, value in msgspec.structs.asdict(record).items() if name not in NOT_COLUMNS}


def from_row(row: Mapping[Any, Any], kind: type[AnyRecord], now: float) -> AnyRecord:
    """The record of a row, with the ends of the budget windows that are open at `now`."""
    columns = {name: row[name] for name in kind.__struct_fields__ if name not in NOT_COLUMNS}
    record = msgspec.convert(columns, kind)
    return at_time(record, now) if isinstance(record, Limits) else record


def tidy(rows: Sequence[UsageRow]) -> Sequence[UsageRow]:
    """Usage rows as they can be stored: what callers wrote fits in an index and has no NUL, which PostgreSQL refuses.

    Most are so already, and texts repeat: only where one of them all is not is each row looked at.
    """
    texts: set[str | None] = set()
    for row in rows:
        texts.update(_written(row), row.tags)
    if all(len(text) <= _LONGEST and "\0" not in text for text in texts if text):
        return rows
    return list(map(_tidy_one, rows))


def _tidy_one(row: UsageRow) -> UsageRow:
    cleaned = {name: _clean(text) for name, text in zip(_CALLERS, _written(row), strict=True) if text is not None}
    return msgspec.structs.replace(row, tags=tuple(map(_clean, row.tags)), **cleaned)


def _written(row: UsageRow) -> tuple[str | None, ...]:
    """What the caller wrote, but for the tags: the fields of `_CALLERS`."""
    return row.model, row.session_id, row.agent, row.agent_version, row.agent_id, row.parent_id, row.end_user


def usage_to_values(row: UsageRow, caller_id: int, road_id: int) -> Values:
    """The values of a usage row, for `USAGE_COLUMNS`; no tags and no attempts are stored as nothing."""
    identity, _, _, usage, tags, attempts, *rest = astuple(row)
    return (
        bytes.fromhex(identity.replace("-", "")),
        caller_id,
        road_id,
        *astuple(usage),
        msgspec.json.encode(tags).decode() if tags else None,
        msgspec.json.encode(attempts).decode() if attempts else None,
        *rest,
    )


_MADE: Final = ("id", "caller", "road", "usage", "tags", "attempts")
_PLAIN: Final = UsageRow.__struct_fields__[len(_MADE) :]
"""The fields of a usage row that are stored as they are; those of `_MADE` are before them."""
USAGE_COLUMNS: Final = ("id", "caller_id", "road_id", *_KINDS, "tags", "attempts", *_PLAIN)


def usage_from_row(row: RowMapping) -> UsageRow:
    """The record of a row of `calls`."""
    return UsageRow(
        id=row["id"],
        caller=UsageCaller(*(row[name] for name in UsageCaller.__struct_fields__)),
        road=UsageRoad(*(row[name] for name in UsageRoad.__struct_fields__)),
        usage=Usage(*(row[kind] for kind in _KINDS)),
        tags=tuple(row["tags"] or ()),
        attempts=msgspec.convert(row["attempts"] or (), tuple[UsageAttempt, ...]),
        **{name: row[name] for name in _PLAIN},
    )


def _clean(text: str) -> str:
    return text[:_LONGEST].replace("\0", "")
