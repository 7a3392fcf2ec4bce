"""Grants of requests and tokens in time: how several workers share one limit per minute or per day.

A grant is booked under its stamp, the end of the bucket of time in which it may be used. It counts until a whole span
after its stamp, so whenever it was used, no span ever holds more than the limit; and no worker is refused for longer
than one grant's life more than was due. What was not used is taken off its stamp again. The clocks of all hosts must
agree to about a second; by as much as they differ, a window may be too short.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import sqlalchemy as sa

from sekisho.core.clock import Clock
from sekisho.core.escrow import RateGrant, RateWant, Span
from sekisho.store.bulk import Bulk, BulkInsert
from sekisho.store.database import Database
from sekisho.store.escrow import lock_accounts
from sekisho.store.spend import store_name
from sekisho.store.tables import grants

LIFE_SECONDS: Final = 2
"""How long a grant may be used."""
_SHARE: Final = 8
"""Ahead of its need a worker is granted no more than this part of what is left."""
_LONGEST_SPAN: Final = 86_400 + 900
_BATCH: Final = 500
"""Accounts whose old grants are deleted at once."""
_AHEAD_SECONDS: Final = 60
"""What is stamped so much later than any grant of now is from before the clock was set back, and counts no more."""

_READ: Final = Bulk(
    "WITH given(account) AS (",
    [grants.c.account],
    ") SELECT account, worker, stamp, amount FROM grants WHERE account IN (SELECT account FROM given)",
)
_FORGET: Final = Bulk(
    "WITH given(account, worker, stamp) AS (",
    [grants.c.account, grants.c.worker, grants.c.stamp],
    ") DELETE FROM grants WHERE (account, worker, stamp) IN (SELECT account, worker, stamp FROM given)",
)
_ADD: Final = BulkInsert(
    grants,
    ("account", "worker", "stamp", "amount"),
    "ON CONFLICT (account, worker, stamp) DO UPDATE SET amount = grants.amount + excluded.amount",
)

Stamps = dict[int, int]
"""What is granted of one limit, to everyone, by stamp."""


class GrantRepository:
    """One worker's grants."""

    def __init__(self, database: Database, clock: Clock, worker: str) -> None:
        self._database = database
        self._clock = clock
        self._worker = worker

    async def exchange(self, wants: Sequence[RateWant]) -> list[RateGrant]:
        """Take back what was not used and grant anew, in one transaction. Raises StoreUnavailable."""
        return await self._database.transact(partial(self._exchange, wants))

    def _exchange(self, wants: Sequence[RateWant], connection: sa.Connection) -> list[RateGrant]:
        now = self._clock.now()
        names = {store_name(want.name): want.span for want in wants}
        lock_accounts(connection, sorted(names))
        self._change(connection, [change for want in wants for change in _returned(want, now)])
        known = _read(connection, names, now)
        granted: list[RateGrant] = []
        for want in wants:
            stamps = known[store_name(want.name)]
            grant = _grant(want, stamps, now)
            stamps[grant.stamp] = stamps.get(grant.stamp, 0) + grant.amount
            granted.append(grant)
        pairs = zip(wants, granted, strict=True)
        self._change(connection, [(store_name(want.name), grant.stamp, grant.amount) for want, grant in pairs])
        return granted

    def _change(self, connection: sa.Connection, changes: Sequence[tuple[str, int, int]]) -> None:
        """Add amounts to this worker's grants, by account and stamp."""
        rows: Counter[tuple[str, int]] = Counter()
        for name, stamp, amount in changes:
            rows[name, stamp] += amount
        added = sorted((name, self._worker, stamp, amount) for (name, stamp), amount in rows.items() if amount)
        _ADD.run(connection, added)


async def purge_grants(database: Database, now: float) -> None:
    """Forget grants that count no more, whatever their span. Raises StoreUnavailable.

    A few accounts at a time, which are locked first, in the order in which everybody does.
    """
    old = grants.c.stamp <= now - _LONGEST_SPAN

    def purge(connection: sa.Connection) -> bool:
        some = sa.select(grants.c.account).where(old).distinct().limit(_BATCH)
        names = sorted(connection.execute(some).scalars())
        if names:
            lock_accounts(connection, names)
        connection.execute(sa.delete(grants).where(grants.c.account.in_(names), old))
        return len(names) == _BATCH

    while await database.transact(purge):
        pass


def _read(connection: sa.Connection, names: Mapping[str, Span], now: float) -> dict[str, Stamps]:
    """What is granted of limits and counts. What counts no more is removed, so that there are never many rows."""
    known: dict[str, Stamps] = {name: {} for name in names}
    old: list[tuple[str, str, int]] = []
    for name, worker, stamp, amount in _READ.run(connection, [(name,) for name in sorted(names)]):
        if stamp <= now - names[name].seconds:
            old.append((name, worker, stamp))
        else:
            known[name][stamp] = known[name].get(stamp, 0) + amount
    _FORGET.run(connection, old)
    return known


def _returned(want: RateWant, now: float) -> list[tuple[str, int, int]]:
    """What a worker gives back, and what it used beyond its grants; of what counts no more, nothing."""
    name = store_name(want.name)
    changes = [(name, stamp, -amount) for stamp, amount in want.unused.items() if stamp + want.span.seconds > now]
    if want.extra:
        changes.append((name, _stamp(now, want.span), want.extra))
    return changes


def _grant(want: RateWant, stamps: Stamps, now: float) -> RateGrant:
    latest = _stamp(now + LIFE_SECONDS, want.span) + _AHEAD_SECONDS
    counting = {stamp: amount for stamp, amount in stamps.items() if now - want.span.seconds < stamp <= latest}
    used = sum(counting.values())
    room = want.limit - used
    amount = min(room, want.needed + max(0, min(want.ahead, (room - want.needed) // _SHARE)))
    if amount < want.least and want.alone and used <= 0:
        amount = want.least
    stamp = _stamp(now + LIFE_SECONDS, want.span)
    if amount < max(1, want.least):
        wait = _wait_for(counting, want, now) if want.least else 0.0
        return RateGrant(amount=0, stamp=stamp, seconds=0.0, used=used, wait=wait)
    return RateGrant(amount=amount, stamp=stamp, seconds=float(LIFE_SECONDS), used=used, wait=0.0)


def _wait_for(counting: Stamps, want: RateWant, now: float) -> float:
    """How long until the oldest grants that count have made room for what is needed."""
    used = sum(counting.values())
    for stamp in sorted(counting):
        used -= counting[stamp]
        if used <= max(0, want.limit - want.least):
            return stamp + want.span.seconds - now
    return float(want.span.seconds)


def _stamp(at: float, span: Span) -> int:
    """The end of the bucket that `at` lies in."""
    return (int(at) // span.bucket + 1) * span.bucket
