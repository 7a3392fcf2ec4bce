"""Soft budgets: who passes one is told of, whatever happens until somebody looks."""

import pytest
from tests.support.usage import usage_row

from sekisho.core.accounts import money_account
from sekisho.core.caller import BudgetWindow, Scope
from sekisho.core.clock import ManualClock
from sekisho.core.errors import StoreUnavailable
from sekisho.gateway.alerts import SoftBudgets
from sekisho.store.engine import Store

DAY = 86_400.0


def scope_of(clock: ManualClock, name: str, duration: str | None = "1d") -> Scope:
    resets_at = None if duration is None else (clock.now() // DAY + 1) * DAY
    return Scope(kind="team", id=name, soft_budget=BudgetWindow(limit=10, duration=duration, resets_at=resets_at))


def pay(store: Store, clock: ManualClock, scope: Scope, cost: int) -> dict[str, bool]:
    names = [money_account(scope.kind, scope.id, window, clock.now()) for window in (None, scope.soft_budget)]
    booked = dict.fromkeys(names, False)
    store.journal.record(usage_row(cost), booked)
    return booked


async def alerts_of(store: Store) -> list[tuple[str, int]]:
    return sorted((alert.object_id, alert.spent) for alert in (await store.alerts.find(limit=100))[0])


async def test_a_soft_budget_that_was_passed_just_before_its_window_ended_is_told(
    store: Store, clock: ManualClock
) -> None:
    watch = SoftBudgets(store.alerts, store.journal)
    late, ever = scope_of(clock, "late"), scope_of(clock, "ever", None)
    clock.advance(DAY - clock.now() % DAY - 1)
    watch.notice([late, ever], pay(store, clock, late, 10) | pay(store, clock, ever, 10))
    clock.advance(2)
    watch.notice([late], pay(store, clock, late, 3))
    await watch.look()
    assert await alerts_of(store) == [("ever", 10), ("late", 10)]
    watch.notice([late], pay(store, clock, late, 7))
    await watch.look()
    await watch.look()
    assert await alerts_of(store) == [("ever", 10), ("late", 10), ("late", 10)]


async def test_what_could_not_be_looked_at_is_told_later(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise StoreUnavailable("away")

    watch = SoftBudgets(store.alerts, store.journal)
    scope = scope_of(clock, "t")
    watch.notice([scope], pay(store, clock, scope, 10))
    with monkeypatch.context() as patch:
        patch.setattr(store.journal, "flush", fail)
        await watch.look()
    assert await alerts_of(store) == []
    await watch.look()
    assert await alerts_of(store) == [("t", 10)]
