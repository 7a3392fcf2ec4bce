"""Booking calls: usage rows, the accounts they are paid from and the daily sums, in one transaction and once only."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from sekisho.core.errors import StoreUnavailable
from sekisho.store.daily import add_to_days
from sekisho.store.database import Database
from sekisho.store.escrow import take_off_leases
from sekisho.store.rows import usage_to_row
from sekisho.store.spend import store_name
from sekisho.store.spool import Entry
from sekisho.store.tables import accounts, keys
from sekisho.store.usage import insert_usage

_log = logging.getLogger(__name__)

GROUP: Final = 500
"""Calls booked in one transaction at most."""


async def book(database: Database, worker: str, entries: Sequence[Entry]) -> None:
    """Book calls of a worker. One that is booked already changes nothing; one that the database refuses is logged.

    Raises:
        StoreUnavailable: the database does not answer. Whether the calls are booked is not known; book them again.
    """
    if not entries:
        return
    try:
        await database.transact(partial(_book, database, worker, entries))
    except StoreUnavailable:
        raise
    except Exception:  # noqa: BLE001 -- whatever is wrong with a row, the others must be booked
        if len(entries) == 1:
            _log.exception("the database refuses a usage row: %s", msgspec.json.encode(entries[0].row).decode())
            return
        middle = len(entries) // 2
        await book(database, worker, entries[:middle])
        await book(database, worker, entries[middle:])


def _book(database: Database, worker: str, entries: Sequence[Entry], connection: sa.Connection) -> None:
    """In the order in which every process locks: rows, keys, accounts, leases, days; each sorted by its name."""
    columns = {entry.row.id: usage_to_row(entry.row) for entry in entries}
    new = insert_usage(database, connection, list(columns.values()))
    if not new:
        return
    booked = [columns[call] for call in new]
    _mark_keys(connection, booked)
    paid: Counter[str] = Counter()
    leased: Counter[str] = Counter()
    for entry in {entry.row.id: entry for entry in entries}.values():
        if entry.row.id in new and (cost := entry.row.cost_nano):
            _add_up(entry.booked, cost, paid, leased)
    _pay(database, connection, paid)
    take_off_leases(connection, worker, leased)
    add_to_days(database, connection, booked)


def _add_up(booked: Mapping[str, bool], cost: int, paid: Counter[str], leased: Counter[str]) -> None:
    for name, is_leased in booked.items():
        stored = store_name(name)
        paid[stored] += cost
        if is_leased:
            leased[stored] += cost


def _pay(database: Database, connection: sa.Connection, paid: Mapping[str, int]) -> None:
    if not paid:
        return
    insert = database.insert(accounts)
    spent = accounts.c.spent + insert.excluded.spent
    upsert = insert.on_conflict_do_update(index_elements=["account"], set_={"spent": spent})
    connection.execute(upsert, [{"account": name, "spent": paid[name], "leased": 0} for name in sorted(paid)])


def _mark_keys(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Note when each key was last used."""
    seen: dict[str, float] = {}
    for row in rows:
        if (key := row["key_hash"]) is not None:
            seen[key] = max(seen.get(key, 0.0), row["ended_at"] / 1000)
    if seen:
        connection.execute(_MARK_KEY, [{"who": key, "at": seen[key]} for key in sorted(seen)])


_MARK_KEY: Final = (
    sa.update(keys)
    .where(keys.c.key_hash == sa.bindparam("who"))
    .values(last_active=sa.bindparam("at", type_=sa.Double))
)
