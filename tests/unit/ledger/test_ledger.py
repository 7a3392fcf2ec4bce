import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
from tests.support.escrow import Book, MemoryEscrow
from tests.support.holds import held

from sekisho.core.caller import BudgetWindow, ModelLimits, Scope
from sekisho.core.clock import ManualClock
from sekisho.core.errors import AccessDenied, BudgetExceeded, RateLimited, StoreUnavailable
from sekisho.core.escrow import LEASE_SECONDS, Grant, Want
from sekisho.core.money import Price, Rates
from sekisho.ledger.asks import Ask
from sekisho.ledger.ledger import Ledger
from sekisho.ledger.lessor import Lessor
from sekisho.ledger.rates import RateLimits

PRICE = Price("test", Rates(input=10**9, output=10**9, cache_read=0, cache_write_5m=0, cache_write_1h=0))
"""A thousand nano-dollars per token, so that a call of n tokens costs n thousand."""
SONNET = Price("test", Rates(3 * 10**9, 15 * 10**9, 3 * 10**8, 3_750_000_000, 6 * 10**9))


class Worker:
    """One worker's ledger; what it settles becomes durable when `book` is called."""

    def __init__(self, book: Book | None = None, name: str = "one", share: int = 2) -> None:
        self.clock = ManualClock()
        self.book = book or Book()
        self.name = name
        self.escrow = MemoryEscrow(self.book, name, share)
        self.lessor = Lessor(self.escrow, self.clock)
        self.ledger = Ledger(self.clock, self.lessor, RateLimits(self.clock), 402)

    async def call(
        self, scopes: list[Scope], tokens: int, *, output: int | None = None, ceiling: int = 0
    ) -> int | None:
        """A call that costs `tokens` thousand; returns the ceiling it was given."""
        ask = Ask(input=tokens, output=output or 0, ceiling=ceiling, caches="no", price=PRICE)
        async with held(self.ledger, scopes, ask, "sonnet") as hold:
            hold.settle(tokens, tokens * 1000)
        self.settle_durably(hold.booked, tokens * 1000)
        return hold.ceiling

    def settle_durably(self, booked: dict[str, bool], cost: int) -> None:
        for account, leased in booked.items():
            if leased:
                self.book.book(self.name, account, cost)
                self.ledger.confirm(account, cost)


def key(budget: int | None = None, **more: int | None) -> Scope:
    budgets = () if budget is None else (BudgetWindow(limit=budget * 1000),)
    return Scope(kind="key", id="k", budgets=budgets, **more)  # type: ignore[arg-type]  # limits are integers


async def test_a_budget_is_spent_to_the_last_and_no_further() -> None:
    worker = Worker()
    for _ in range(10):
        await worker.call([key(100)], 10)
    with pytest.raises(BudgetExceeded, match=r"budget of this key is used up: \$0\.000100 of \$0\.000100") as refused:
        await worker.call([key(100)], 1)
    assert refused.value.status == 402


async def test_the_usual_call_asks_nobody() -> None:
    worker = Worker()
    for _ in range(200):
        await worker.call([key(1_000_000)], 10)
    assert worker.escrow.asked <= 2


async def test_a_refusal_holds_nothing_in_any_scope() -> None:
    worker = Worker()
    open_scope = key(100)
    full = Scope(kind="team", id="t", alias="backend", budgets=(BudgetWindow(limit=0),))
    for _ in range(3):
        with pytest.raises(BudgetExceeded, match="team 'backend'"):
            await worker.call([open_scope, full], 10)
    await worker.call([open_scope], 100)


async def test_six_small_calls_without_max_tokens_share_a_small_budget() -> None:
    worker = Worker()
    scope = Scope(kind="key", id="k", budgets=(BudgetWindow(limit=100_000_000),))  # ten cents
    ask = Ask(input=20, output=28, ceiling=64_000, price=SONNET)  # the worst case would be 96 cents
    async with AsyncExitStack() as stack:
        holds = [await stack.enter_async_context(held(worker.ledger, [scope], ask, "sonnet")) for _ in range(6)]
        ceilings = [hold.ceiling for hold in holds]
        assert all(ceiling is not None and ceiling >= 64 for ceiling in ceilings)
        assert sum(ask.cost(ceiling or 0) for ceiling in ceilings) <= 100_000_000
        for hold in holds:
            hold.settle(48, 450_000)


async def test_small_calls_one_after_the_other_on_a_half_used_budget_all_pass() -> None:
    worker = Worker()
    scope = Scope(kind="key", id="k", budgets=(BudgetWindow(limit=10_000_000),))
    ask = Ask(input=20, output=28, ceiling=64_000, price=SONNET)
    for _ in range(20):
        async with held(worker.ledger, [scope], ask, "sonnet") as hold:
            hold.settle(48, 450_000)
        worker.settle_durably(hold.booked, 450_000)
    assert worker.book.spent == {"key:k:money@0/all": 9_000_000}


async def test_a_tiny_budget_is_never_passed_by_one_call() -> None:
    worker = Worker()
    scope = Scope(kind="key", id="k", budgets=(BudgetWindow(limit=300_000),))
    ask = Ask(input=20, output=28, ceiling=64_000, price=SONNET)
    with pytest.raises(BudgetExceeded):
        async with held(worker.ledger, [scope], ask, "sonnet"):
            pass


async def test_a_large_budget_leaves_the_clients_own_limit_alone() -> None:
    worker = Worker()
    scope = Scope(kind="key", id="k", budgets=(BudgetWindow(limit=100 * 10**9),))
    ask = Ask(input=2000, output=500, ceiling=64_000, price=SONNET)
    async with held(worker.ledger, [scope], ask, "sonnet") as hold:
        assert hold.ceiling is None


async def test_a_call_waits_for_those_that_hold_the_rest() -> None:
    worker = Worker()
    async with held(worker.ledger, [key(100)], Ask(input=80, output=0, ceiling=0, caches="no", price=PRICE), "m"):
        waiting = asyncio.create_task(worker.call([key(100)], 50))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 5)


async def test_a_call_that_fails_without_settling_costs_nothing() -> None:
    worker = Worker()
    with pytest.raises(ZeroDivisionError):
        async with held(worker.ledger, [key(100)], Ask(input=80, output=0, ceiling=0, price=PRICE), "m"):
            raise ZeroDivisionError
    await worker.call([key(100)], 100)


async def test_a_new_window_begins_with_nothing_spent() -> None:
    worker = Worker()
    end = worker.clock.now() + 100
    scope = Scope(kind="key", id="k", budgets=(BudgetWindow(limit=50_000, duration="7d", resets_at=end),))
    await worker.call([scope], 50)
    with pytest.raises(BudgetExceeded):
        await worker.call([scope], 1)
    worker.clock.advance(101)
    await worker.call([scope], 50)


async def test_every_window_and_the_model_within_the_scope_must_have_room() -> None:
    worker = Worker()
    month = BudgetWindow(limit=1000_000, duration="30d", resets_at=worker.clock.now() + 1000)
    day = BudgetWindow(limit=20_000, duration="1d", resets_at=worker.clock.now() + 1000)
    model = {"sonnet": ModelLimits(budgets=(BudgetWindow(limit=15_000),))}
    await worker.call([Scope(kind="user", id="u", budgets=(month, day))], 20)
    with pytest.raises(BudgetExceeded):
        await worker.call([Scope(kind="user", id="u", budgets=(month, day))], 1)
    with pytest.raises(BudgetExceeded):
        await worker.call([Scope(kind="user", id="v", model_limits=model)], 16)
    await worker.call([Scope(kind="user", id="v", model_limits=model)], 15)


async def test_a_lowered_limit_holds_at_once() -> None:
    worker = Worker()
    await worker.call([key(1000)], 100)
    with pytest.raises(BudgetExceeded):
        await worker.call([key(110)], 20)
    await worker.call([key(110)], 10)


async def test_workers_share_one_budget_and_give_back_what_others_want() -> None:
    book = Book()
    one, two = Worker(book, "one"), Worker(book, "two")
    await one.call([key(100)], 10)
    asked = asyncio.create_task(two.call([key(100)], 60))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not asked.done()
    await one.lessor.give_back(one.ledger.accounts(), list(one.ledger.accounts().values()))
    await asyncio.wait_for(asked, 5)
    with pytest.raises(BudgetExceeded):
        await one.call([key(100)], 31)
    two.clock.advance(5)
    await two.lessor.give_back(two.ledger.accounts(), list(two.ledger.accounts().values()))
    await one.call([key(100)], 30)
    assert book.spent == {"key:k:money@0/all": 100_000}


async def test_who_asks_while_the_store_answers_another_gets_an_answer_of_its_own() -> None:
    worker = Worker()
    answering = asyncio.Event()
    lease = worker.escrow.lease

    async def lease_slowly(wants: Sequence[Want]) -> list[Grant]:
        granted = await lease(wants)
        await answering.wait()
        return granted

    worker.escrow.lease = lease_slowly  # type: ignore[method-assign]  # the store is slow here
    other = Scope(kind="user", id="u", max_parallel_requests=1)
    first = asyncio.create_task(worker.call([key(max_parallel_requests=1)], 1))
    for _ in range(20):
        await asyncio.sleep(0)
    second = asyncio.create_task(worker.call([other], 1))
    await asyncio.sleep(0)
    answering.set()
    await asyncio.gather(first, second)


async def test_requests_per_minute_refuse_with_the_true_wait() -> None:
    worker = Worker()
    scopes = [Scope(kind="team", id="t", alias="backend", rpm_limit=2)]
    await worker.call(scopes, 1)
    worker.clock.advance(20)
    await worker.call(scopes, 1)
    with pytest.raises(RateLimited, match=r"team 'backend'.*2 of 2 requests per minute") as refused:
        await worker.call(scopes, 1)
    assert refused.value.retry_after is not None
    assert 40 <= refused.value.retry_after <= 41
    worker.clock.advance(refused.value.retry_after)
    await worker.call(scopes, 1)


async def test_parallel_calls_count_until_they_end() -> None:
    worker = Worker()
    scope = key(max_parallel_requests=2)
    ask = Ask(input=1, output=1, ceiling=1)
    async with held(worker.ledger, [scope], ask, "m"):
        async with held(worker.ledger, [scope], ask, "m"):
            with pytest.raises(RateLimited, match="2 of 2 parallel requests"):
                async with held(worker.ledger, [scope], ask, "m"):
                    pass
        async with held(worker.ledger, [scope], ask, "m"):
            pass


BUSY_TEAM = Scope(kind="team", id="t", alias="backend", rpm_limit=2, max_parallel_requests=1)


async def test_a_narrower_budget_is_told_before_the_rate_of_a_wider_scope() -> None:
    worker = Worker()
    for _ in range(2):
        await worker.call([BUSY_TEAM], 1)
    worker.book.spent["key:k:money@0/all"] = 90_000
    with pytest.raises(RateLimited, match="team 'backend'"):
        await worker.call([key(100), BUSY_TEAM], 10)
    with pytest.raises(BudgetExceeded, match="budget of this key"):
        await worker.call([key(100, rpm_limit=5), BUSY_TEAM], 11)
    with pytest.raises(AccessDenied, match="This key may make no calls: its limit is 0 requests per minute"):
        await worker.call([key(100, rpm_limit=0), BUSY_TEAM], 1)


async def test_with_the_database_away_a_refusal_is_told_as_it_is_known() -> None:
    worker = Worker()
    for _ in range(2):
        await worker.call([BUSY_TEAM], 1)
    worker.escrow.away = True
    with pytest.raises(RateLimited, match="team 'backend'"):
        await worker.call([key(100), BUSY_TEAM], 1)


async def test_a_narrower_rate_is_told_before_the_parallel_calls_of_a_wider_scope() -> None:
    worker = Worker()
    ask = Ask(input=1, output=1, ceiling=1)
    slow = key(rpm_limit=1)
    async with held(worker.ledger, [slow, BUSY_TEAM], ask, "m"):
        with pytest.raises(RateLimited, match="this key reached: 1 of 1 requests per minute"):
            await worker.ledger.hold([slow, BUSY_TEAM], ask, "m")
        with pytest.raises(RateLimited, match="team 'backend' reached: 1 of 1 parallel requests"):
            await worker.ledger.hold([key(), BUSY_TEAM], ask, "m")
    worker.clock.advance(120)
    await worker.call([slow, BUSY_TEAM], 1)  # what was refused has left nothing behind


async def test_a_call_goes_to_another_model_only_while_leases_may_be_spent() -> None:
    """Others may have been given them, when nobody has heard of this worker for long."""
    worker = Worker()
    of_model = {"opus": ModelLimits(budgets=(BudgetWindow(limit=10**6),))}
    scopes = [Scope(kind="key", id="k", model_limits=of_model)]
    await worker.call(scopes, 1)
    ask = Ask(input=10, output=0, ceiling=0, caches="no", price=PRICE)
    async with held(worker.ledger, scopes, ask, "opus"):  # so that there is a lease
        pass
    async with held(worker.ledger, scopes, ask, "haiku") as hold:
        worker.clock.advance(LEASE_SECONDS)
        with pytest.raises(StoreUnavailable):
            await worker.ledger.move(hold, scopes, "opus")
        assert (hold.group, hold.accounts) == ("haiku", [])
        worker.lessor.heard(worker.clock.monotonic(), 1)
        await worker.ledger.move(hold, scopes, "opus")
        assert (hold.group, [account.held for account in hold.accounts]) == ("opus", [10_000])


async def test_what_was_not_held_is_an_overrun() -> None:
    worker = Worker()
    async with held(worker.ledger, [key(100)], Ask(input=10, output=0, ceiling=0, price=PRICE), "m") as hold:
        hold.settle(15, 15_000)
    assert hold.overrun == 5_000


async def test_a_worker_that_was_taken_for_dead_leases_anew() -> None:
    worker = Worker()
    await worker.call([key(100)], 10)
    worker.book.bury("one")
    worker.ledger.lose_leases()
    await worker.call([key(100)], 90)
    with pytest.raises(BudgetExceeded):
        await worker.call([key(100)], 1)
    assert worker.book.spent == {"key:k:money@0/all": 100_000}


async def test_the_spend_of_the_key_is_nobody_elses() -> None:
    worker = Worker()
    team = Scope(kind="team", id="t", budgets=(BudgetWindow(limit=10**9),))
    of_model = {"m": ModelLimits(budgets=(BudgetWindow(limit=10**9),))}
    limited = Scope(kind="key", id="k", budgets=(BudgetWindow(limit=10**9),), model_limits=of_model)
    await worker.call([limited, team], 10)
    await worker.call([key(), team], 10)
    ask = Ask(input=1, output=1, ceiling=1, price=PRICE)
    async with held(worker.ledger, [limited, team], ask, "m") as hold:
        assert hold.key_spend(1000) == 11_000
    async with held(worker.ledger, [key(), team], ask, "m") as hold:
        assert hold.key_spend(0) is None


async def test_a_call_that_costs_nothing_is_told_what_others_have_spent() -> None:
    """And it is refused where others have spent more than there is, as any call is."""
    book = Book()
    other, worker = Worker(book), Worker(book, "two")
    await other.call([key(100)], 30)
    free = Ask(input=10, output=0, ceiling=0, caches="no")
    async with held(worker.ledger, [key(100)], free, "sonnet") as hold:
        assert hold.key_spend(0) == 30_000
    third = Worker(book, "three")
    with pytest.raises(BudgetExceeded):
        await third.ledger.hold([key(20)], free, "sonnet")
