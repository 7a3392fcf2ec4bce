"""Leases on accounts: the SQL behind the ledger's promise that no budget is passed, however many processes spend it.

`spent` is what calls have cost, `leased` what workers have set aside. A lease is taken only while `spent + leased`
stays within the limit, in a transaction that holds the account's row; booking a cost moves it from `leased` to `spent`,
so the sum does not change by it. What a dead worker had leased goes back once its calls are booked (`release_worker`).
Every transaction locks in one order: accounts by their names, then leases.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final

import sqlalchemy as sa

from sekisho.core.accounts import PARALLEL
from sekisho.core.clock import Clock
from sekisho.core.errors import StoreUnavailable
from sekisho.core.escrow import Grant, Pulse, Want
from sekisho.store.bulk import Bulk, BulkInsert
from sekisho.store.database import Database
from sekisho.store.spend import is_shortened, store_name
from sekisho.store.tables import accounts, leases, workers

_ALIVE_SECONDS: Final = 15.0
"""How long a worker may be silent before others stop leaving room for it."""
_WANTED_SECONDS: Final = 3.0
_SHARE: Final = 8
_SHARE_OF_ONE: Final = 2


class EscrowRepository:
    """One worker's leases. It must `beat` before it leases, and at least every few seconds from then on."""

    def __init__(self, database: Database, clock: Clock, worker: str, host: str) -> None:
        self._database = database
        self._clock = clock
        self._worker = worker
        self._host = host

    async def lease(self, wants: Sequence[Want]) -> list[Grant]:
        """Lease what can be had, in one transaction.

        More than what is wished only as a share of what is left: a half when this worker is alone, else an eighth.

        Raises:
            StoreUnavailable: the database is away, or this worker was taken for dead and has not beaten since.
        """
        return await self._database.transact(partial(self._lease, wants))

    async def give_back(self, amounts: Sequence[tuple[str, int]]) -> None:
        """Take amounts off this worker's leases. Raises StoreUnavailable."""
        returned: Counter[str] = Counter()
        for name, amount in amounts:
            returned[store_name(name)] += amount

        def give_back(connection: sa.Connection) -> None:
            lock_existing(connection, sorted(returned))
            take_off_leases(connection, self._worker, returned)
            _FORGET_EMPTY.run(connection, [(self._worker, name) for name in returned])

        await self._database.transact(give_back)

    async def held(self, names: Collection[str]) -> dict[str, int]:
        """What is leased to this worker: of these accounts, and of others by their stored names.

        Raises StoreUnavailable.
        """
        known = {store_name(name): name for name in names}
        query = sa.select(leases.c.account, leases.c.amount).where(leases.c.worker == self._worker)
        async with self._database.read() as connection:
            return {known.get(name, name): amount for name, amount in await connection.execute(query)}

    async def wanted(self, names: Collection[str]) -> list[str]:
        """Those of these accounts that another worker lately could not get enough of. Raises StoreUnavailable."""
        now = self._clock.now()  # a time far ahead is from before the clock was set back
        recent = accounts.c.wanted_at.between(now - _WANTED_SECONDS, now + _ALIVE_SECONDS)
        async with self._database.read() as connection:
            stored = set((await connection.execute(sa.select(accounts.c.account).where(recent))).scalars())
        found = [name for name in stored if name in names]
        if any(is_shortened(name) for name in stored.difference(found)):
            found += [name for name in names if name not in stored and store_name(name) in stored]
        return found

    async def beat(self) -> Pulse:
        """Say that this worker lives. Raises StoreUnavailable.

        It is not known at the first time, and when others took it for dead: its leases are gone then.
        """
        return await self._database.transact(self._beat)

    async def retire(self) -> None:
        """Give back all leases and take this worker off the list. Raises StoreUnavailable."""
        await self._database.transact(partial(release_worker, worker=self._worker))

    def _beat(self, connection: sa.Connection) -> Pulse:
        heard = {"host": self._host, "heartbeat": self._clock.now()}
        beaten = connection.execute(sa.update(workers).where(workers.c.worker == self._worker).values(heard))
        if not beaten.rowcount:
            connection.execute(sa.insert(workers).values(worker=self._worker, **heard))
        alive = connection.scalar(sa.select(sa.func.count()).select_from(workers).where(self._is_alive(workers)))
        return Pulse(known=beaten.rowcount > 0, workers=max(1, alive or 0))

    def _lease(self, wants: Sequence[Want], connection: sa.Connection) -> list[Grant]:
        share = _SHARE if self._find_company(connection) else _SHARE_OF_ONE
        state = lock_accounts(connection, sorted({store_name(want.account) for want in wants}))
        granted: Counter[str] = Counter()
        grants: list[Grant] = []
        scarce: set[str] = set()
        for want in wants:
            name = store_name(want.account)
            spent, leased = state[name]
            left = want.limit - spent - leased
            amount = max(0, min(left, max(want.wished, left // share)))
            if amount < want.wished and leased > 0:
                scarce.add(name)
            granted[name] += amount
            state[name] = (spent, leased + amount)
            grants.append(Grant(amount=amount, spent=spent, left=left - amount))
        self._add_leases(connection, +granted)
        if scarce:
            note = sa.update(accounts).where(accounts.c.account.in_(scarce)).values(wanted_at=self._clock.now())
            connection.execute(note)
        return grants

    def _find_company(self, connection: sa.Connection) -> bool:
        """Whether another worker lives; raises StoreUnavailable where this one counts as dead, and may not lease.

        Nobody would release again what it leases once it was taken for dead, and released.
        """
        others = workers.alias()
        company = sa.exists().where(self._is_alive(others), others.c.worker != self._worker)
        known = sa.select(company).where(workers.c.worker == self._worker)
        found: bool | None = connection.scalar(known.with_for_update(read=True, key_share=True, of=workers))
        if found is None:
            raise StoreUnavailable("This worker has not been heard of for too long; try again in a moment.")
        return found

    def _is_alive(self, those: sa.FromClause) -> sa.ColumnElement[bool]:
        now = self._clock.now()
        return those.c.heartbeat.between(now - _ALIVE_SECONDS, now + _ALIVE_SECONDS)

    def _add_leases(self, connection: sa.Connection, amounts: Mapping[str, int]) -> None:
        _move_leased(connection, amounts, +1)
        _ADD_TO_LEASES.run(connection, [(self._worker, name, amounts[name]) for name in sorted(amounts)])


def take_off_leases(connection: sa.Connection, worker: str, amounts: Mapping[str, int]) -> None:
    """Take amounts, by account, off a worker's leases: what was used, or is given back. The accounts must be locked.

    A lease goes below zero by what an upstream billed beyond what was held. One that is not there is left alone: it was
    released when the worker was taken for dead, and nothing of it is set aside any more.
    """
    there = _TAKE_OFF_LEASES.run(connection, [(worker, name, amounts[name]) for name in sorted(amounts)])
    _move_leased(connection, {name: amounts[name] for (name,) in there}, -1)


def release_worker(connection: sa.Connection, worker: str) -> None:
    """Give back all that a worker has leased, and forget it. Its calls should have been booked before."""
    connection.execute(sa.delete(workers).where(workers.c.worker == worker))  # from now on it cannot lease
    _release(connection, leases.c.worker == worker)


def release_slots(connection: sa.Connection, worker: str) -> int:
    """Give back the places for calls under way that a worker has leased; returns of how many accounts."""
    return _release(connection, sa.and_(leases.c.worker == worker, leases.c.account.endswith(f":{PARALLEL}")))


def _release(connection: sa.Connection, which: sa.ColumnElement[bool]) -> int:
    lock_existing(connection, sorted(connection.execute(sa.select(leases.c.account).where(which)).scalars()))
    held = connection.execute(sa.select(leases.c.account, leases.c.amount).where(which)).all()
    _move_leased(connection, {row.account: row.amount for row in held}, -1)
    if held:
        connection.execute(sa.delete(leases).where(which))
    return len(held)


def lock_accounts(connection: sa.Connection, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """What is spent and leased of accounts, given by their sorted names, with their rows locked; made where missing."""
    state = _LOCK.run(connection, [(name, 0, 0) for name in names])
    return {name: (spent, leased) for name, spent, leased in state}


def lock_existing(connection: sa.Connection, names: Sequence[str]) -> None:
    """Lock accounts, by their sorted names, in the order in which everybody does; SQLite has locked them already."""
    if connection.dialect.name != "postgresql":
        return
    _LOCK_EXISTING.run(connection, [(name,) for name in names])


def _move_leased(connection: sa.Connection, amounts: Mapping[str, int], sign: int) -> None:
    """Change what is leased of accounts, which are there."""
    _ADD_TO_LEASED.run(connection, [(name, 0, sign * amounts[name]) for name in sorted(amounts)])


_LOCK: Final = BulkInsert(
    accounts,
    ("account", "spent", "leased"),
    "ON CONFLICT (account) DO UPDATE SET leased = accounts.leased RETURNING account, spent, leased",
)
_LOCK_EXISTING: Final = Bulk(
    "WITH given(account) AS (",
    [accounts.c.account],
    ') SELECT 1 FROM accounts WHERE account IN (SELECT account FROM given) ORDER BY account COLLATE "C" FOR UPDATE',
)
_ADD_TO_LEASES: Final = BulkInsert(
    leases,
    ("worker", "account", "amount"),
    "ON CONFLICT (worker, account) DO UPDATE SET amount = leases.amount + excluded.amount",
)
_TAKE_OFF_LEASES: Final = Bulk(
    "WITH given(worker, account, amount) AS (",
    [leases.c.worker, leases.c.account, leases.c.amount],
    ") UPDATE leases SET amount = leases.amount - given.amount FROM given "
    "WHERE leases.worker = given.worker AND leases.account = given.account RETURNING leases.account",
)
_FORGET_EMPTY: Final = Bulk(
    "WITH given(worker, account) AS (",
    [leases.c.worker, leases.c.account],
    ") DELETE FROM leases WHERE (worker, account) IN (SELECT worker, account FROM given) AND amount = 0",
)
_ADD_TO_LEASED: Final = BulkInsert(
    accounts,
    ("account", "spent", "leased"),
    "ON CONFLICT (account) DO UPDATE SET leased = accounts.leased + excluded.leased",
)
