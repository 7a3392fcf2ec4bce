"""What is worked out once for a caller holds as long as it is true, and no longer."""

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from tests.support.escrow import Book, MemoryEscrow
from tests.support.holds import held

from sekisho.core.accounts import money_account
from sekisho.core.caller import BudgetWindow, ModelLimits, Scope
from sekisho.core.clock import ManualClock
from sekisho.core.escrow import Grant, Want
from sekisho.core.money import Price, Rates
from sekisho.ledger.asks import Ask
from sekisho.ledger.ledger import Ledger
from sekisho.ledger.lessor import Lessor
from sekisho.ledger.plans import Plans
from sekisho.ledger.rates import RateLimits

PRICE = Price("test", Rates(10**9, 10**9, 0, 0, 0))
ASK = Ask(input=1, output=0, ceiling=0, caches="no", price=PRICE)
START = ManualClock().now()
WINDOWS = tuple(
    BudgetWindow(limit=10**12, duration=duration, resets_at=START + 60 if duration else None)
    for duration in ("7m", "1h", "1d", None)
)
SCOPES = (
    Scope(kind="key", id="k", budgets=WINDOWS, model_limits={"sonnet": ModelLimits(budgets=WINDOWS[:1])}),
    Scope(kind="team", id="t", counted=WINDOWS[1:2]),
)


SCOPE = Scope(kind="key", id="k", budgets=(BudgetWindow(limit=10**6),))


class SlowEscrow(MemoryEscrow):
    """Leases nothing until it is let."""

    def __init__(self, book: Book) -> None:
        super().__init__(book)
        self.begun, self.answers = asyncio.Event(), asyncio.Event()
        self.answers.set()

    async def lease(self, wants: Sequence[Want]) -> list[Grant]:
        self.begun.set()
        await self.answers.wait()
        return await super().lease(wants)


def make_ledger(clock: ManualClock) -> Ledger:
    return Ledger(clock, Lessor(MemoryEscrow(Book()), clock), RateLimits(clock), 402)


def expect(now: float) -> dict[str, bool]:
    """The accounts of a call at that time, each named anew."""
    names = {money_account("key", "k", window, now): True for window in WINDOWS}
    names[money_account("key", "k", WINDOWS[0], now, "sonnet")] = True
    names[money_account("key", "k", None, now, "sonnet")] = False
    names[money_account("team", "t", WINDOWS[1], now)] = False
    return names | {money_account("team", "t", None, now): False}


@given(st.lists(st.floats(-4_000, 90_000) | st.floats(0, 30), max_size=12))
async def test_every_call_is_booked_on_the_windows_that_are_open(steps: list[float]) -> None:
    """Whenever they end, and also when the clock steps back."""
    clock = ManualClock()
    ledger = make_ledger(clock)
    for step in [0.0, *steps]:
        clock.step(step)
        async with held(ledger, SCOPES, ASK, "sonnet") as hold:
            assert hold.booked == expect(clock.now())


async def test_what_is_forgotten_is_not_held_any_more() -> None:
    clock = ManualClock()
    ledger = make_ledger(clock)
    scopes = (Scope(kind="key", id="k", budgets=(BudgetWindow(limit=10**6),)),)
    async with held(ledger, scopes, ASK, "sonnet"):
        pass
    for account in ledger.accounts().values():
        account.take_idle(keep=0)
    clock.advance(60)
    ledger.forget_idle()
    assert ledger.accounts() == {}
    async with held(ledger, scopes, ASK, "sonnet"):
        (account,) = ledger.accounts().values()
        assert account.held > 0


async def test_changed_limits_come_with_new_scopes() -> None:
    clock = ManualClock()
    ledger = make_ledger(clock)
    for limit in (10**6, 10**7, 10**5):
        scopes = (Scope(kind="key", id="k", budgets=(BudgetWindow(limit=limit),)),)
        for _ in range(2):
            async with held(ledger, scopes, ASK, "sonnet"):
                (account,) = ledger.accounts().values()
                assert account.limit == limit


def team_of(limit: int, key: Scope) -> tuple[Scope, ...]:
    return key, Scope(kind="team", id="t", budgets=(BudgetWindow(limit=limit),), rpm_limit=limit // 1000)


async def test_a_call_from_before_a_change_does_not_bring_the_old_limit_back() -> None:
    clock = ManualClock()
    rates = RateLimits(clock)
    ledger = Ledger(clock, Lessor(MemoryEscrow(Book()), clock), rates, 402)
    now, before = team_of(5_000, Scope(kind="key", id="one")), team_of(10**6, Scope(kind="key", id="two"))
    for scopes in (now, before, now):  # the second was read before the change; its body took long to arrive
        async with held(ledger, scopes, ASK, "sonnet"):
            pass
    (account,) = ledger.accounts().values()
    assert account.limit == 5_000
    requests, _ = rates.remaining(now, "sonnet")
    assert requests is not None
    assert (requests.limit, requests.remaining) == (5, 2)


async def test_what_is_leased_ahead_for_those_who_called_before_a_change_does_not_undo_it() -> None:
    clock = ManualClock()
    ledger = make_ledger(clock)
    hourly = Scope(kind="key", id="h", budgets=(BudgetWindow(limit=10**9, duration="1h", resets_at=clock.now() + 60),))
    now, before = team_of(5_000, Scope(kind="key", id="k")), team_of(10**6, hourly)
    for scopes in (before, now):
        async with held(ledger, scopes, ASK, "sonnet"):
            pass
    await ledger.lease_ahead()
    async with held(ledger, now, ASK, "sonnet") as hold:
        (account,) = hold.accounts
        assert account.limit == 5_000


async def test_an_account_is_not_forgotten_while_a_call_waits_for_its_lease() -> None:
    clock, escrow = ManualClock(), SlowEscrow(Book())
    ledger = Ledger(clock, Lessor(escrow, clock), RateLimits(clock), 402)
    async with held(ledger, (SCOPE,), ASK, "sonnet"):
        pass
    for account in ledger.accounts().values():
        account.take_idle(keep=0)
    clock.advance(60)
    escrow.answers.clear()
    escrow.begun.clear()
    calling = asyncio.create_task(ledger.hold((SCOPE,), ASK, "sonnet"))
    await escrow.begun.wait()
    ledger.forget_idle()
    escrow.answers.set()
    hold = await calling
    assert list(ledger.accounts().values()) == hold.accounts


def test_plans_are_made_once_for_the_same_scopes_and_not_kept_for_ever() -> None:
    made: list[str] = []

    def make(scopes: object, group: str) -> str:
        made.append(group)
        return f"{group} {len(made)}"

    plans = Plans(make)
    same = [Scope(kind="key", id="k")]
    assert [plans.get(same, "a"), plans.get(same, "b"), plans.get(same, "a")] == ["a 1", "b 2", "a 1"]
    assert plans.get(list(same), "a") == "a 3"
    assert plans.renew(same, "a") == plans.get(same, "a") == "a 4"
    for number in range(20_000):
        plans.get([], str(number))
    assert len(plans._known) <= 10_000
    plans.forget()
    assert len(plans._known) == 0
