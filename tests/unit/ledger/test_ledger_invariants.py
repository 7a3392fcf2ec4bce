"""The ledger's promise under any order of events: what is spent and held never passes a limit, over all workers."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from tests.support.escrow import Book, MemoryEscrow
from tests.support.holds import held

from sekisho.core.caller import BudgetWindow, Scope
from sekisho.core.clock import ManualClock
from sekisho.core.errors import BudgetExceeded, StoreUnavailable
from sekisho.core.escrow import RELEASE_SECONDS
from sekisho.core.money import Price, Rates
from sekisho.ledger import ledger as ledger_module
from sekisho.ledger.asks import Ask
from sekisho.ledger.holds import Hold
from sekisho.ledger.ledger import Ledger
from sekisho.ledger.lessor import Lessor
from sekisho.ledger.rates import RateLimits

PRICE = Price("test", Rates(3 * 10**9, 15 * 10**9, 3 * 10**8, 3_750_000_000, 6 * 10**9))
_T = TypeVar("_T")


class Worker:
    """A worker with its calls under way, and what it has settled but the store does not know yet."""

    def __init__(self, name: str, book: Book, clock: ManualClock) -> None:
        self.name = name
        self.book = book
        self.escrow = MemoryEscrow(book, name)
        self.lessor = Lessor(self.escrow, clock)
        self.silent_since: float | None = None
        self.buried = False
        self.ledger = Ledger(clock, self.lessor, RateLimits(clock), 402)
        self.unwritten: list[tuple[str, int]] = []


class Call:
    """A call under way."""

    def __init__(self, worker: Worker, stack: AsyncExitStack, hold: Hold, ask: Ask) -> None:
        self.worker = worker
        self.stack = stack
        self.hold = hold
        self.ask = ask


class LedgerMachine(RuleBasedStateMachine):
    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.book = Book()
        self.limits = {"key": 0, "team": 0}
        self.highest: dict[str, int] = {}
        self.under_way: list[Call] = []

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self.loop.run_until_complete(work)

    @initialize(key=st.integers(0, 3_000_000), team=st.integers(0, 5_000_000), workers=st.integers(1, 3))
    def set_up(self, key: int, team: int, workers: int) -> None:
        self.limits = {"key": key, "team": team}
        self.highest = dict(self.limits)
        self.workers = [Worker(f"w{number}", self.book, self.clock) for number in range(workers)]
        self.names = workers

    def scopes(self) -> list[Scope]:
        key = Scope(kind="key", id="k", budgets=(BudgetWindow(limit=self.limits["key"]),))
        window = BudgetWindow(limit=self.limits["team"])
        return [key, Scope(kind="team", id="t", budgets=(window,))]

    @rule(
        target=calls,
        who=st.integers(0, 2),
        tokens=st.integers(1, 2000),
        output=st.integers(0, 500),
        ceiling=st.integers(1, 64_000),
    )
    def start(self, who: int, tokens: int, output: int, ceiling: int) -> Any:
        worker = self.workers[who % len(self.workers)]
        ask = Ask(input=tokens, output=output, ceiling=ceiling, price=PRICE)
        stack = AsyncExitStack()
        try:
            hold = self.run(stack.enter_async_context(held(worker.ledger, self.scopes(), ask, "sonnet")))
        except BudgetExceeded:
            return multiple()
        except StoreUnavailable:
            if not (worker.escrow.away or worker.lessor.is_away):
                raise
            return multiple()
        call = Call(worker, stack, hold, ask)
        self.under_way.append(call)
        return call

    @rule(call=consumes(calls), share=st.floats(0, 1))
    def finish(self, call: Call, share: float) -> None:
        self.under_way.remove(call)
        if call.worker not in self.workers:
            return
        ceiling = call.ask.ceiling if call.hold.ceiling is None else call.hold.ceiling
        cost = call.ask.cost(int(ceiling * share))
        call.hold.settle(1, cost)
        self.run(call.stack.aclose())
        call.worker.unwritten += [(account, cost) for account, leased in call.hold.booked.items() if leased]

    @rule(call=consumes(calls))
    def fail(self, call: Call) -> None:
        self.under_way.remove(call)
        if call.worker in self.workers:
            self.run(call.stack.aclose())

    @rule(who=st.integers(0, 2))
    def write(self, who: int) -> None:
        worker = self.workers[who % len(self.workers)]
        if worker.escrow.away:
            return
        for account, cost in worker.unwritten:
            self.book.book(worker.name, account, cost)
            worker.ledger.confirm(account, cost)
        worker.unwritten = []

    @rule(who=st.integers(0, 2), seconds=st.sampled_from([0.0, 0.5, 2.0, 4.0, 10.0, 250.0]), deaf=st.booleans())
    def give_back(self, who: int, seconds: float, deaf: bool) -> None:
        """Time passes, in which everybody who can says that he lives; then one has his round."""
        self.clock.advance(seconds)
        for each in self.workers:
            if not each.escrow.away:
                each.lessor.heard(self.clock.monotonic(), len(self.workers))
        worker = self.workers[who % len(self.workers)]
        worker.escrow.deaf = deaf
        with suppress(StoreUnavailable):
            self.run(worker.lessor.give_back(worker.ledger.accounts(), list(worker.ledger.accounts().values())))
        worker.escrow.deaf = False

    @rule(who=st.integers(0, 2))
    def cut_off(self, who: int) -> None:
        """From now on this worker does not reach the store, and knows it only when it asks."""
        worker = self.workers[who % len(self.workers)]
        worker.escrow.away = True
        worker.silent_since = worker.silent_since or self.clock.monotonic()

    @rule(who=st.integers(0, 2))
    def release_silent(self, who: int) -> None:
        """The others give away what it had leased, when it is allowed: its calls are over and booked by then."""
        worker = self.workers[who % len(self.workers)]
        silent = worker.silent_since is not None and self.clock.monotonic() - worker.silent_since >= RELEASE_SECONDS
        if silent and not worker.unwritten and all(call.worker is not worker for call in self.under_way):
            self.book.bury(worker.name)
            worker.buried = True

    @rule(who=st.integers(0, 2))
    def come_back(self, who: int) -> None:
        worker = self.workers[who % len(self.workers)]
        worker.escrow.away, worker.silent_since = False, None
        worker.lessor.heard(self.clock.monotonic(), len(self.workers))
        if worker.buried:
            worker.ledger.lose_leases()
            worker.buried = False

    @rule(who=st.integers(0, 2))
    def kill(self, who: int) -> None:
        """Its spool is read by another: what was settled is booked, then its leases go back, and a new one starts."""
        worker = self.workers.pop(who % len(self.workers))
        for account, cost in worker.unwritten:
            self.book.book(worker.name, account, cost)
        self.book.bury(worker.name)
        self.names += 1
        self.workers.append(Worker(f"w{self.names}", self.book, self.clock))

    @rule(which=st.sampled_from(["key", "team"]), more=st.integers(0, 2_000_000))
    def raise_limit(self, which: str, more: int) -> None:
        self.limits[which] += more
        self.highest[which] = max(self.highest[which], self.limits[which])

    @rule(which=st.sampled_from(["key", "team"]), less=st.integers(0, 2_000_000))
    def lower_limit(self, which: str, less: int) -> None:
        self.limits[which] = max(0, self.limits[which] - less)

    @invariant()
    def nothing_passes_a_limit(self) -> None:
        for which, name in (("key", "key:k:money@0/all"), ("team", "team:t:money@0/all")):
            total = self.book.spent.get(name, 0)
            for worker in getattr(self, "workers", []):
                for account in worker.ledger.accounts().values():
                    if account.name == name:
                        total += account.used + account.held
            assert total <= self.highest.get(which, 0)

    @invariant()
    def the_books_agree(self) -> None:
        for worker in getattr(self, "workers", []):
            for account in worker.ledger.accounts().values():
                if not worker.lessor._doubtful and not worker.buried:
                    assert account.leased == self.book.leases.get((worker.name, account.name), 0)
                assert account.held >= 0
                assert account.used == sum(cost for name, cost in worker.unwritten if name == account.name)

    def teardown(self) -> None:
        self.loop.close()


@pytest.fixture(autouse=True, scope="module")
def _impatient() -> Any:
    """Nobody waits for others here: the machine's events come one at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_module, "_PATIENCE_SECONDS", 0.0)
        yield


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
