"""The audit trail: every administrative change as one record, each sealed with the hash of the one before.

A record's hash is the SHA-256 of `canonical` of it, which holds the hash before it. So a record that is altered, taken
out or put in anywhere breaks the chain there. The last hash and the number of records are kept a second time, in
`audit_head`: without it the newest records could be cut off unseen. Whoever can write both tables can forge a whole
new chain; against that only a hash noted elsewhere helps.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from sekisho.core.author import Author
from sekisho.store.tables import audit, audit_head

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert

Action = Literal["created", "updated", "deleted"]

GENESIS: Final = "0" * 64
"""What the first record has for the hash before it."""


class Change(Struct, frozen=True, kw_only=True):
    """One row before and after a change, as JSON of its columns; None where there is no row.

    An update has only the columns that changed. `object_kind` is the table, `object_id` its primary key.
    """

    action: Action
    object_kind: str
    object_id: str
    before: str | None
    after: str | None


class AuditRecord(Struct, frozen=True, kw_only=True):
    """One link of the chain. `seq` counts from 1 without a gap; `at` is in milliseconds since the epoch."""

    seq: int
    at: int
    actor: str
    actor_role: str
    source_ip: str | None
    request: str | None
    action: str
    object_kind: str
    object_id: str
    before: str | None
    after: str | None
    previous_hash: str
    hash: str = ""


_SEALED: Final = tuple(name for name in AuditRecord.__struct_fields__ if name != "hash")


def canonical(record: AuditRecord) -> bytes:
    """What the hash is taken of: a JSON array of every field but `hash`, in their order."""
    return msgspec.json.encode([getattr(record, name) for name in _SEALED])


def seal(record: AuditRecord) -> AuditRecord:
    """The record with its hash."""
    return msgspec.structs.replace(record, hash=hashlib.sha256(canonical(record)).hexdigest())


def append(
    connection: sa.Connection,
    insert: Callable[[sa.Table], "Insert"],
    changes: Sequence[Change],
    author: Author,
    now: float,
) -> None:
    """Add records to the chain, in the transaction that makes the changes.

    The head's row stays locked until the transaction ends, so that writers follow one another.
    """
    if not changes:
        return
    advance = insert(audit_head).values(id=1, seq=len(changes), hash=GENESIS)
    advance = advance.on_conflict_do_update(index_elements=["id"], set_={"seq": audit_head.c.seq + len(changes)})
    head, previous = connection.execute(advance.returning(audit_head.c.seq, audit_head.c.hash)).one()
    records: list[AuditRecord] = []
    for seq, change in enumerate(changes, head - len(changes) + 1):
        record = AuditRecord(
            seq=seq,
            at=int(now * 1000),
            actor=author.name,
            actor_role=author.role,
            source_ip=author.source_ip,
            request=author.request,
            previous_hash=previous,
            **msgspec.structs.asdict(change),
        )
        records.append(seal(record))
        previous = records[-1].hash
    connection.execute(sa.insert(audit), [msgspec.structs.asdict(record) for record in records])
    connection.execute(sa.update(audit_head).values(hash=previous))
