"""Tells of soft budgets that were passed: calls go on, but somebody should know. Once in every window.

Only scopes that have just called are looked at, and away from the calls: what they cost a call is one look at a field.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sekisho.core.accounts import MONEY, money_account, owner_prefix
from sekisho.core.caller import Scope
from sekisho.core.errors import StoreUnavailable
from sekisho.core.money import dollars_from_nano
from sekisho.store.alerts import AlertRepository, Watched
from sekisho.store.journal import UsageJournal
from sekisho.telemetry.log import log_soft_budget

_LOOK_SECONDS: Final = 1.0
_REMEMBERED: Final = 100_000


class SoftBudgets:
    """Watches the soft budgets of those who call."""

    def __init__(self, alerts: AlertRepository, journal: UsageJournal) -> None:
        self._alerts = alerts
        self._journal = journal
        self._called: dict[int, tuple[Sequence[Scope], Mapping[str, bool]]] = {}
        """Who has called since the last look, and on what accounts that was booked; by the latters' identity."""
        self._late: set[Watched] = set()
        """What the last look had to leave, because the database was away."""
        self._told: set[Watched] = set()

    def notice(self, scopes: Sequence[Scope], booked: Mapping[str, bool]) -> None:
        """A call of scopes with soft budgets is over, which was booked on these accounts: those of when it began."""
        self._called[id(booked)] = scopes, booked

    async def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._called or self._late:
                await self.look()

    async def look(self) -> None:
        """Look once at those who have called since the last time."""
        called, self._called = self._called, {}
        watched = self._late | {each for scopes, booked in called.values() for each in _watch(scopes, booked)}
        watched -= self._told
        self._late = set()
        if not watched:
            return
        try:
            await self._journal.flush()
            told, alerts = await self._alerts.raise_new(list(watched))
        except StoreUnavailable:
            self._late = watched
            return
        for alert in alerts:
            spent, soft_budget = dollars_from_nano(alert.spent), dollars_from_nano(alert.soft_budget)
            log_soft_budget(alert.kind, alert.alias or alert.object_id, spent, soft_budget)
        if len(self._told) > _REMEMBERED:
            self._told.clear()
        self._told |= told


def _watch(scopes: Sequence[Scope], booked: Mapping[str, bool]) -> Iterator[Watched]:
    """The soft budgets of the scopes, in the windows that a call was booked in."""
    for scope in scopes:
        if scope.soft_budget is None:
            continue
        prefix = f"{owner_prefix(scope.kind, scope.id)}{MONEY}"
        for name in booked:
            if not name.startswith(prefix):
                continue
            end = float(name[len(prefix) :].partition("/")[0])
            if money_account(scope.kind, scope.id, scope.soft_budget, end - 1) == name:
                yield Watched(
                    account=name,
                    kind=scope.kind,
                    object_id=scope.id,
                    alias=scope.alias,
                    soft_budget=scope.soft_budget.limit,
                )
