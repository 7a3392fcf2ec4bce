"""Tells of soft budgets that were passed: calls go on, but somebody should know. Once in every window.

Only scopes that have just called are looked at, and away from the calls: what they cost a call is one look at a field.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from sekisho.core.accounts import money_account
from sekisho.core.caller import Scope, ScopeKind
from sekisho.core.clock import Clock
from sekisho.core.errors import StoreUnavailable
from sekisho.core.money import dollars_from_nano
from sekisho.store.alerts import AlertRepository, Watched
from sekisho.store.journal import UsageJournal
from sekisho.telemetry.log import log_soft_budget

_LOOK_SECONDS: Final = 1.0
_REMEMBERED: Final = 100_000


class SoftBudgets:
    """Watches the soft budgets of those who call."""

    def __init__(self, alerts: AlertRepository, journal: UsageJournal, clock: Clock) -> None:
        self._alerts = alerts
        self._journal = journal
        self._clock = clock
        self._called: dict[tuple[ScopeKind, str], tuple[Scope, float]] = {}
        """Who has called since the last look, and when."""
        self._told: set[Watched] = set()

    def notice(self, scopes: Sequence[Scope]) -> None:
        """A call of these scopes is over."""
        for scope in scopes:
            if scope.soft_budget is not None:
                self._called[scope.kind, scope.id] = scope, self._clock.now()

    async def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._called:
                await self.look()

    async def look(self) -> None:
        """Look once at those who have called since the last time."""
        called, self._called = self._called, {}
        watched = {_watch(scope, at) for scope, at in called.values()} - self._told
        if not watched:
            return
        try:
            await self._journal.flush()
            told, alerts = await self._alerts.raise_new(list(watched))
        except StoreUnavailable:
            self._called = called | self._called
            return
        for alert in alerts:
            spent, soft_budget = dollars_from_nano(alert.spent), dollars_from_nano(alert.soft_budget)
            log_soft_budget(alert.kind, alert.alias or alert.object_id, spent, soft_budget)
        if len(self._told) > _REMEMBERED:
            self._told.clear()
        self._told |= told


def _watch(scope: Scope, now: float) -> Watched:
    assert scope.soft_budget is not None
    return Watched(
        account=money_account(scope.kind, scope.id, scope.soft_budget, now),
        kind=scope.kind,
        object_id=scope.id,
        alias=scope.alias,
        soft_budget=scope.soft_budget.limit,
    )
