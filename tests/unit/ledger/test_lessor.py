"""Leases: what goes back when it is idle, and what a worker may do that hears nothing from the database."""

import asyncio
from contextlib import suppress

import pytest
from tests.support.escrow import Book
from tests.support.holds import held
from tests.unit.ledger.test_ledger import PRICE, Worker, key

from sekisho.core.caller import BudgetWindow, Scope
from sekisho.core.errors import AccessDenied, BudgetExceeded, RateLimited, StoreUnavailable
from sekisho.core.escrow import LEASE_SECONDS
from sekisho.ledger import lessor as lessor_module
from sekisho.ledger.asks import Ask
from sekisho.ledger.lessor import RESERVE_SECONDS

MONEY = "key:k:money@0/all"
SLOT = Ask(input=1, output=1, ceiling=1)


async def have_a_round(worker: Worker) -> None:
    await worker.lessor.give_back(worker.ledger.accounts(), list(worker.ledger.accounts().values()))


async def go_idle(worker: Worker, seconds: float) -> None:
    worker.clock.advance(seconds)
    worker.lessor.heard(worker.clock.monotonic(), 2)
    await have_a_round(worker)


async def test_what_is_idle_goes_back_but_for_a_reserve_which_follows_later() -> None:
    worker = Worker()
    await worker.call([key(900, max_parallel_requests=8)], 100)
    assert worker.book.leased(MONEY) == 350_000  # a half of it, less what is spent
    await go_idle(worker, 5)
    assert worker.book.leased(MONEY) == 100_000  # an eighth of what is left
    assert worker.book.leased("key:k:parallel") == 0
    await go_idle(worker, RESERVE_SECONDS)
    assert worker.book.leased(MONEY) == 0


async def test_a_worker_that_is_alone_keeps_what_it_has_until_nobody_calls_any_more() -> None:
    worker = Worker()
    await worker.call([key(900, max_parallel_requests=8)], 100)
    for idle in (RESERVE_SECONDS - 1, 2):
        leased = worker.book.leased(MONEY)
        worker.clock.advance(idle)
        await have_a_round(worker)
    assert leased == 350_000
    assert worker.book.leased(MONEY) == worker.book.leased("key:k:parallel") == 0


async def test_a_first_call_asks_once_for_all_its_levels() -> None:
    worker = Worker()
    budgets = key(900).budgets
    scopes = [key(900), *(Scope(kind=kind, id="x", budgets=budgets) for kind in ("user", "team", "organization"))]
    await worker.call(scopes, 10)
    assert worker.escrow.asked == 1
    assert len(worker.ledger.accounts()) == 4


async def test_a_call_waits_for_long_while_others_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy database is not one that is away."""
    monkeypatch.setattr(lessor_module, "ANSWER_SECONDS", 2)
    monkeypatch.setattr(lessor_module, "WAIT_SECONDS", 0.0)
    worker = Worker()
    gate = asyncio.Event()
    lease = worker.escrow.lease

    async def lease_slowly(wants: list[object]) -> object:
        await gate.wait()
        return await lease(wants)  # type: ignore[arg-type]  # passed on as they are

    worker.escrow.lease = lease_slowly  # type: ignore[assignment,method-assign]  # the store is slow
    asked = asyncio.create_task(worker.call([key(900)], 1))
    for _ in range(100):
        await worker.lessor._hear(worker.escrow.wanted([]))
        await asyncio.sleep(0)
    assert not asked.done()
    gate.set()
    await asyncio.wait_for(asked, 5)


async def test_the_reserve_goes_to_whoever_wants_it() -> None:
    book = Book()
    one, two = Worker(book, "one"), Worker(book, "two", share=8)
    await one.call([key(900)], 100)
    await go_idle(one, 5)
    asked = asyncio.create_task(two.call([key(900)], 800))
    for _ in range(10):
        await asyncio.sleep(0)
    await have_a_round(one)
    await asyncio.wait_for(asked, 5)
    assert book.spent == {MONEY: 900_000}


async def test_with_the_database_away_an_idle_key_goes_on_within_its_reserve() -> None:
    worker = Worker()
    await worker.call([key(9_000)], 1_000)
    await go_idle(worker, 60)
    worker.escrow.away = True
    ask = Ask(input=5, output=10, ceiling=64_000, caches="no", price=PRICE)
    ceilings: list[int | None] = []

    async def call() -> None:
        async with held(worker.ledger, [key(9_000)], ask, "m") as hold:
            hold.settle(20, 20_000)
        ceilings.append(hold.ceiling)

    for _ in range(100):
        with suppress(StoreUnavailable):
            await call()
    assert 45 <= len(ceilings) <= 50  # a thousand tokens, less what is too short an answer
    assert None not in ceilings
    worker.escrow.away = False
    worker.lessor.heard(worker.clock.monotonic(), 1)
    await worker.call([key(9_000)], 100)


async def test_a_key_that_has_nothing_leased_is_refused_while_the_database_is_away() -> None:
    worker = Worker()
    worker.escrow.away = True
    with pytest.raises(StoreUnavailable):
        await worker.call([key(900)], 1)
    await worker.call([key()], 1)  # it needs none


async def test_a_database_that_did_not_answer_is_not_asked_for_every_call() -> None:
    worker = Worker()
    worker.escrow.away = True
    for number in range(20):
        with pytest.raises(StoreUnavailable):
            await worker.call([Scope(kind="user", id=f"u{number}", budgets=key(900).budgets)], 1)
    assert worker.escrow.asked == 1
    worker.clock.advance(2)
    worker.escrow.away = False
    await worker.call([key(900)], 1)


async def test_a_call_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessor_module, "ANSWER_SECONDS", 0.0)
    worker = Worker()
    gate = asyncio.Event()
    lease = worker.escrow.lease

    async def lease_slowly(wants: list[object]) -> object:
        await gate.wait()
        return await lease(wants)  # type: ignore[arg-type]  # passed on as they are

    worker.escrow.lease = lease_slowly  # type: ignore[assignment,method-assign]  # the store hangs
    with pytest.raises(StoreUnavailable):
        await worker.call([key(900)], 1)
    gate.set()
    for _ in range(5):
        await asyncio.sleep(0)
    worker.clock.advance(2)
    await worker.call([key(900)], 1)  # what came late is there
    await have_a_round(worker)
    (account,) = worker.ledger.accounts().values()
    assert account.leased == worker.book.leased(MONEY)


@pytest.mark.parametrize("forgotten", [False, True])
async def test_what_the_database_did_without_telling_is_found_out(forgotten: bool) -> None:
    worker = Worker()
    worker.escrow.deaf = True
    with pytest.raises(StoreUnavailable):
        await worker.call([key(900)], 1)
    worker.escrow.deaf = False
    assert worker.book.leased(MONEY) == 450_000
    if forgotten:
        worker.clock.advance(60)
        worker.ledger.forget_idle()
        assert not worker.ledger.accounts()
    worker.clock.advance(2)
    await have_a_round(worker)
    assert worker.book.leased(MONEY) == sum(account.leased for account in worker.ledger.accounts().values())
    await go_idle(worker, RESERVE_SECONDS)
    assert worker.book.leased(MONEY) == 0


async def test_what_may_have_gone_back_is_not_spent() -> None:
    """The answer to a giving back is lost; others have it by now."""
    book = Book()
    one, two = Worker(book, "one"), Worker(book, "two")
    await one.call([key(900)], 100)
    one.clock.advance(5)
    one.lessor.heard(one.clock.monotonic(), 2)
    one.escrow.deaf = True
    with pytest.raises(StoreUnavailable):
        await have_a_round(one)
    one.escrow.deaf, one.escrow.away = False, True
    await two.call([key(900)], 700)
    with pytest.raises(StoreUnavailable):
        await one.call([key(900)], 200)
    await one.call([key(900)], 100)
    assert book.spent == {MONEY: 900_000}


async def test_a_worker_that_nobody_heard_of_for_long_spends_nothing() -> None:
    worker = Worker()
    await worker.call([key(900)], 100)
    worker.escrow.away = True
    worker.clock.advance(LEASE_SECONDS - 1)
    await worker.call([key(900)], 10)
    worker.clock.advance(1)
    with pytest.raises(StoreUnavailable, match="for so long"):
        await worker.call([key(900)], 10)
    await worker.call([key()], 10)
    worker.escrow.away = False
    worker.lessor.heard(worker.clock.monotonic(), 1)
    await worker.call([key(900)], 10)


async def test_a_place_that_lies_idle_elsewhere_is_waited_for() -> None:
    book = Book()
    one, two = Worker(book, "one"), Worker(book, "two")
    scope = key(max_parallel_requests=1)
    async with held(one.ledger, [scope], SLOT, "m"):
        pass
    asked = asyncio.create_task(two.call([scope], 1))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not asked.done()
    await have_a_round(one)
    await asyncio.wait_for(asked, 5)


async def test_a_place_that_is_taken_elsewhere_is_refused_after_a_while() -> None:
    book = Book()
    one, two = Worker(book, "one"), Worker(book, "two")
    scope = key(max_parallel_requests=1)
    async with held(one.ledger, [scope], SLOT, "m"):
        asked = asyncio.create_task(two.call([scope], 1))
        for _ in range(10):
            await asyncio.sleep(0)
        await have_a_round(one)
        two.clock.advance(5)
        with pytest.raises(RateLimited, match="parallel"):
            await asyncio.wait_for(asked, 5)


async def test_with_the_database_away_calls_under_way_have_an_even_share() -> None:
    worker = Worker()
    worker.lessor.heard(worker.clock.monotonic(), 3)
    worker.escrow.away = True
    small, large = key(max_parallel_requests=1), Scope(kind="user", id="u", max_parallel_requests=7)
    async with held(worker.ledger, [small, large], SLOT, "m"):
        with pytest.raises(StoreUnavailable):
            await worker.call([small], 1)
        async with held(worker.ledger, [large], SLOT, "m"):
            with pytest.raises(StoreUnavailable):
                await worker.call([large], 1)
            worker.escrow.away = False
            worker.lessor.heard(worker.clock.monotonic(), 3)
            await worker.call([large], 1)
    with pytest.raises(AccessDenied):
        await worker.call([key(max_parallel_requests=0)], 1)


async def test_a_budget_that_is_used_up_is_refused_as_such_while_the_database_is_there() -> None:
    worker = Worker()
    await worker.call([key(100)], 100)
    await go_idle(worker, 5)
    with pytest.raises(BudgetExceeded):
        await worker.call([key(100)], 1)


HOUR = 3600.0


def hourly(worker: Worker, budget: int) -> Scope:
    window = BudgetWindow(limit=budget * 1000, duration="1h", resets_at=worker.clock.now() + HOUR)
    return Scope(kind="key", id="k", budgets=(window,))


async def test_a_window_that_begins_while_the_database_is_away_is_leased_ahead() -> None:
    worker = Worker()
    scopes = [hourly(worker, 800)]
    await worker.call(scopes, 700)
    await worker.ledger.lease_ahead()
    assert worker.escrow.asked == 1  # the end is far
    worker.clock.advance(HOUR - LEASE_SECONDS)
    worker.lessor.heard(worker.clock.monotonic(), 1)
    for _ in range(2):
        await worker.ledger.lease_ahead()
    assert worker.escrow.asked == 2
    worker.escrow.away = True
    worker.clock.advance(LEASE_SECONDS - 1)
    with pytest.raises(StoreUnavailable):
        await worker.call(scopes, 701)  # this window's budget has no more than a hundred left
    worker.lessor.heard(worker.clock.monotonic(), 1)
    worker.clock.advance(2)
    await worker.call(scopes, 300)
    with pytest.raises(StoreUnavailable):
        await worker.call(scopes, 300)
    worker.escrow.away = False
    worker.clock.advance(2)
    await worker.call(scopes, 500)
    with pytest.raises(BudgetExceeded):
        await worker.call(scopes, 1)


async def test_without_a_lease_a_new_window_waits_for_the_database() -> None:
    """Others may reach it meanwhile, and lease all of it."""
    worker = Worker()
    scopes = [hourly(worker, 800)]
    await worker.call(scopes, 1)
    worker.clock.advance(HOUR)
    worker.lessor.heard(worker.clock.monotonic(), 1)
    worker.escrow.away = True
    with pytest.raises(StoreUnavailable):
        await worker.call(scopes, 1)
