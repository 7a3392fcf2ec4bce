"""Booking calls: usage rows, the accounts they are paid from and the daily sums, in one transaction and once only."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import starmap
from typing import Final

import msgspec
import sqlalchemy as sa

from sekisho.core.errors import StoreUnavailable
from sekisho.store.bulk import Bulk, BulkInsert
from sekisho.store.daily import add_to_days
from sekisho.store.database import Database
from sekisho.store.escrow import take_off_leases
from sekisho.store.records import UsageCaller, UsageRoad, UsageRow
from sekisho.store.repeated import Numbers
from sekisho.store.rows import tidy, usage_to_values
from sekisho.store.spend import store_name
from sekisho.store.spool import Entry
from sekisho.store.tables import accounts, keys, usage_callers, usage_roads
from sekisho.store.usage import insert_usage

_log = logging.getLogger(__name__)

GROUP: Final = 1_024
"""Calls booked in one transaction at most: of its own it takes two milliseconds, and holds up the event loop."""
GROUP_IN_LOOP: Final = 512
"""The same on PostgreSQL, where the event loop makes the values: it takes a few milliseconds."""


class Bookkeeper:
    """Books calls in one database, best `group` of them at once."""

    def __init__(self, database: Database) -> None:
        self.group = GROUP_IN_LOOP if database.postgres else GROUP
        self._database = database
        self._callers: Numbers[UsageCaller] = Numbers(database, usage_callers)
        self._roads: Numbers[UsageRoad] = Numbers(database, usage_roads)

    async def book(self, worker: str, entries: Sequence[Entry]) -> None:
        """Book calls of a worker. One that is booked already changes nothing; one that is refused is logged.

        Raises:
            StoreUnavailable: the database does not answer. Whether the calls are booked is not known; book them again.
        """
        if not entries:
            return
        try:
            callers, roads = await self._database.transact(partial(self._book, worker, entries))
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 -- whatever is wrong with a row, the others must be booked
            if len(entries) == 1:
                row = msgspec.structs.asdict(entries[0].row)
                _log.exception("the database refuses a usage row: %s", msgspec.json.encode(row).decode())
                return
            middle = len(entries) // 2
            await self.book(worker, entries[:middle])
            await self.book(worker, entries[middle:])
        else:
            self._callers.remember(callers)
            self._roads.remember(roads)

    def _book(
        self, worker: str, entries: Sequence[Entry], connection: sa.Connection
    ) -> tuple[dict[UsageCaller, int], dict[UsageRoad, int]]:
        """In the order in which every process locks: callers, roads, rows, keys, accounts, leases, days; each sorted.

        Returns the numbers of the callers and roads that were not known.
        """
        calls = {entry.row.id: entry for entry in entries}
        rows = tidy([entry.row for entry in calls.values()])
        callers, new_callers = self._callers.find(connection, [row.caller for row in rows])
        roads, new_roads = self._roads.find(connection, [row.road for row in rows])
        numbered = list(zip(rows, callers, roads, strict=True))
        if there := insert_usage(connection, list(starmap(usage_to_values, numbered))):
            numbered = [call for call in numbered if call[0].id not in there]
            rows = [row for row, _, _ in numbered]
        _mark_keys(connection, rows)
        paid, leased = map(_by_stored_name, add_up(calls[row.id] for row in rows))
        _PAY.run(connection, [(name, paid[name], 0) for name in sorted(paid)])
        take_off_leases(connection, worker, leased)  # their accounts are among those that paid, and so are locked
        add_to_days(connection, numbered)
        return new_callers, new_roads


def add_up(entries: Iterable[Entry]) -> tuple[Counter[str], Counter[str]]:
    """What calls cost, by account: all that is paid from it, and what of that was leased."""
    costs: Counter[int] = Counter()
    booked: dict[int, Mapping[str, bool]] = {}
    for entry in entries:  # many calls are booked on the very same accounts
        if cost := entry.row.cost_nano:
            costs[id(entry.booked)] += cost
            booked[id(entry.booked)] = entry.booked
    paid: Counter[str] = Counter()
    leased: Counter[str] = Counter()
    for identity, cost in costs.items():
        for name, is_leased in booked[identity].items():
            paid[name] += cost
            if is_leased:
                leased[name] += cost
    return paid, leased


def _by_stored_name(amounts: Mapping[str, int]) -> Counter[str]:
    stored: Counter[str] = Counter()
    for name, amount in amounts.items():
        stored[store_name(name)] += amount
    return stored


def _mark_keys(connection: sa.Connection, rows: Sequence[UsageRow]) -> None:
    """Note when each key was last used."""
    seen: dict[str, int] = {}
    for row in rows:
        if (key := row.caller.key_hash) is not None and row.ended_at > seen.get(key, 0):
            seen[key] = row.ended_at
    if seen:
        mark = _MARK_KEYS[connection.dialect.name == "postgresql"]
        mark.run(connection, [(bytes.fromhex(key), seen[key] / 1000) for key in sorted(seen)])


_PAY: Final = BulkInsert(
    accounts,
    ("account", "spent", "leased"),
    "ON CONFLICT (account) DO UPDATE SET spent = accounts.spent + excluded.spent",
)


def _mark(lock: str) -> Bulk:
    """Set when keys were last used; `lock` locks them in the order of their hashes."""
    found = "SELECT given.* FROM given JOIN keys ON keys.key_hash = given.key_hash ORDER BY keys.key_hash"
    update = "UPDATE keys SET last_active = found.at FROM found WHERE keys.key_hash = found.key_hash"
    columns = [keys.c.key_hash, keys.c.last_active]
    return Bulk("WITH given(key_hash, at) AS (", columns, f"), found AS ({found} {lock}) {update}")


_MARK_KEYS: Final = {True: _mark("FOR NO KEY UPDATE OF keys"), False: _mark("")}
"""On PostgreSQL, and on SQLite, which has locked everything already."""
