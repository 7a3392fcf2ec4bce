"""Which soft budgets were passed: each is told once in every window, whichever process sees it first."""

from collections.abc import Sequence

import sqlalchemy as sa
from msgspec import Struct

from sekisho.core.caller import ScopeKind
from sekisho.core.clock import Clock
from sekisho.store.database import Database
from sekisho.store.rows import to_row
from sekisho.store.spend import read_spend, store_name
from sekisho.store.tables import budget_alerts


class Watched(Struct, frozen=True, kw_only=True):
    """A soft budget of a scope, in nano-dollars, and the account of its open window."""

    account: str
    kind: ScopeKind
    object_id: str
    alias: str | None
    soft_budget: int


class Alert(Watched, frozen=True, kw_only=True):
    """A soft budget that was passed: what was spent when that was seen, and when it was (seconds since the epoch)."""

    spent: int
    at: float


class AlertRepository:
    """Reads and writes alerts."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def raise_new(self, watched: Sequence[Watched]) -> tuple[set[Watched], list[Alert]]:
        """Note those of these that are passed and were not told before; others may do so at the same time.

        Returns all that are passed, and an alert for each that nobody has told of until now.

        What calls have used in the last moments counts only once the usage journal has written it.
        """
        names = [each.account for each in watched]
        async with self._database.read() as connection:
            spent = await connection.run_sync(read_spend, names)
            known = await connection.execute(
                sa.select(budget_alerts.c.account, budget_alerts.c.soft_budget).where(
                    budget_alerts.c.account.in_([store_name(name) for name in names])
                )
            )
            told = {(row.account, row.soft_budget) for row in known}
        passed = {each for each in watched if spent[each.account] >= each.soft_budget}
        new = [each for each in passed if (store_name(each.account), each.soft_budget) not in told]
        alerts = [self._alert(each, spent[each.account]) for each in new]
        return passed, [alert for alert in alerts if await self._claim(alert)]

    async def find(self, *, limit: int, offset: int = 0) -> tuple[list[Alert], int]:
        """One page of alerts, the newest first, and how many there are in all."""
        newest = sa.select(budget_alerts).order_by(budget_alerts.c.at.desc(), budget_alerts.c.account)
        async with self._database.read() as connection:
            total = await connection.scalar(sa.select(sa.func.count()).select_from(budget_alerts))
            rows = (await connection.execute(newest.limit(limit).offset(offset))).mappings().all()
        return [Alert(**row) for row in rows], total or 0

    def _alert(self, watched: Watched, spent: int) -> Alert:
        return Alert(
            account=store_name(watched.account),
            kind=watched.kind,
            object_id=watched.object_id,
            alias=watched.alias,
            soft_budget=watched.soft_budget,
            spent=spent,
            at=self._clock.now(),
        )

    async def _claim(self, alert: Alert) -> bool:
        """Whether this process is the first to tell of it. It leaves an audit record."""
        insert = self._database.insert(budget_alerts).values(to_row(alert))
        async with self._database.change() as connection:
            claimed = await connection.execute(insert.on_conflict_do_nothing())
            return claimed.rowcount > 0
