"""Reading the audit trail, adding what changes no table, and checking that nobody altered it."""

from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from sekisho.core.errors import StoreUnavailable
from sekisho.store.audit_chain import GENESIS, AuditRecord, Change, seal
from sekisho.store.database import Database
from sekisho.store.tables import audit, audit_head

_AT_ONCE: Final = 1_000


class AuditFilter(Struct, frozen=True, kw_only=True):
    """Which records are wanted; None is no condition. Times in milliseconds since the epoch, `until` not included."""

    actor: str | None = None
    action: str | None = None
    object_kind: str | None = None
    object_id: str | None = None
    since: int | None = None
    until: int | None = None


class Verdict(Struct, frozen=True, kw_only=True):
    """What a walk along the chain found.

    records: how many records were good.
    head: the hash of the last good one. Noted elsewhere, it proves later that nothing up to it was altered since.
    problem: where the chain breaks, and how; None when it is whole.
    """

    records: int
    head: str
    problem: str | None = None


class AuditRepository:
    """Reads the audit trail, and adds what changes no table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, wanted: AuditFilter, *, limit: int, offset: int = 0) -> tuple[list[AuditRecord], int]:
        """One page of records, the newest first, and how many there are in all."""
        conditions = _conditions(wanted)
        newest = sa.select(audit).where(*conditions).order_by(audit.c.seq.desc()).limit(limit).offset(offset)
        async with self._database.read() as connection:
            total = await connection.scalar(sa.select(sa.func.count()).select_from(audit).where(*conditions))
            rows = (await connection.execute(newest)).mappings().all()
        return [AuditRecord(**row) for row in rows], total or 0

    async def note(self, kind: str, identity: str, *, before: object, after: object) -> None:
        """Record that the one who acts has changed something that is no row. Raises StoreUnavailable."""
        texts = (msgspec.json.encode(state).decode() for state in (before, after))
        change = dict(zip(("before", "after"), texts, strict=True))
        await self._database.note(Change(action="updated", object_kind=kind, object_id=identity, **change))

    async def verify(self, expected: Sequence[str] = ()) -> Verdict:
        """Walk the chain from its first record to the head.

        Args:
            expected: hashes that were the head once, and must still be in the chain.

        Raises:
            StoreUnavailable: the database does not answer, or has no audit trail.
        """
        missing = {text.lower() for text in expected}
        async with self._database.read() as connection:
            if self._database.postgres:  # one moment for the whole walk, as SQLite gives it anyway
                await connection.execution_options(isolation_level="REPEATABLE READ")
            if not await connection.run_sync(lambda synchronous: sa.inspect(synchronous).has_table(audit.name)):
                raise StoreUnavailable("The database has no audit trail: no gateway has used it yet.")
            kept = (await connection.execute(sa.select(audit_head.c.seq, audit_head.c.hash))).first()
            seq, previous = 0, GENESIS
            while rows := await _read_after(connection, seq):
                for record in rows:
                    problem = _find_fault(record, seq + 1, previous)
                    if problem is not None:
                        return Verdict(records=seq, head=previous, problem=problem)
                    seq, previous = record.seq, record.hash
                    missing.discard(previous)
        return Verdict(
            records=seq, head=previous, problem=_find_fault_at_end(seq, previous, tuple(kept or (0, GENESIS)), missing)
        )


async def _read_after(connection: AsyncConnection, seq: int) -> list[AuditRecord]:
    following = sa.select(audit).where(audit.c.seq > seq).order_by(audit.c.seq).limit(_AT_ONCE)
    return [AuditRecord(**row) for row in (await connection.execute(following)).mappings()]


def _find_fault(record: AuditRecord, seq: int, previous: str) -> str | None:
    """What is wrong with the record that should be number `seq`."""
    if record.seq != seq:
        return f"record {seq} is missing: it was taken out"
    if record.previous_hash != previous:
        return f"record {seq} does not follow the one before it: one of the two was replaced"
    if seal(record).hash != record.hash:
        return f"record {seq} is not what was written: it was altered"
    return None


def _find_fault_at_end(seq: int, last: str, head: tuple[int, str], missing: set[str]) -> str | None:
    kept_seq, kept_hash = head
    if kept_seq > seq:
        return f"the records after {seq} are missing: the head says that there are {kept_seq}"
    if kept_seq < seq:
        return f"there are records after {kept_seq}, which the head does not know: they were added, or the head altered"
    if kept_hash != last:
        return f"record {seq} is not the one that the head knows: the end of the chain was replaced"
    if missing:
        return f"no record has the hash {min(missing)}: the chain was replaced since it was noted"
    return None


def _conditions(wanted: AuditFilter) -> list[sa.ColumnElement[bool]]:
    equal = ("actor", "action", "object_kind", "object_id")
    conditions = [audit.c[name] == value for name in equal if (value := getattr(wanted, name)) is not None]
    if wanted.since is not None:
        conditions.append(audit.c.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(audit.c.at < wanted.until)
    return conditions
