"""Two workers on one real database, one of which is cut off from it: no budget is passed by it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.holds import held
from tests.support.usage import check_books, read_accounts, usage_row
from tests.unit.ledger.test_ledger import PRICE, key

from sekisho.core.clock import ManualClock
from sekisho.core.errors import BudgetExceeded, StoreUnavailable
from sekisho.core.escrow import LEASE_SECONDS, RELEASE_SECONDS, Escrow
from sekisho.ledger.asks import Ask
from sekisho.ledger.ledger import Ledger
from sekisho.ledger.lessor import Lessor
from sekisho.ledger.rates import RateLimits
from sekisho.store.booking import Bookkeeper
from sekisho.store.engine import Store
from sekisho.store.escrow import EscrowRepository
from sekisho.store.recovery import Recovery
from sekisho.store.spool import Entry

MONEY = "key:k:money@0/all"
BUDGET = 1_000


class Line:
    """A worker's way to the database, which can be cut."""

    def __init__(self, escrow: EscrowRepository) -> None:
        self._escrow = escrow
        self.is_cut = False

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        ask = getattr(self._escrow, name)

        async def ask_if_there(*arguments: object) -> object:
            if self.is_cut:
                raise StoreUnavailable("cut off")
            return await ask(*arguments)

        return ask_if_there


class Worker:
    """A worker on a host of its own."""

    def __init__(self, name: str, store: Store, clock: ManualClock, folder: Path) -> None:
        self.name = name
        self.clock = clock
        self.books = Bookkeeper(store._database)
        self.line = Line(EscrowRepository(store._database, clock, name, name))
        escrow: Escrow = self.line  # type: ignore[assignment]  # it has whatever an escrow has
        self.lessor = Lessor(escrow, clock)
        self.ledger = Ledger(clock, self.lessor, RateLimits(clock), 402)
        self.recovery = Recovery(store._database, self.books, clock, folder / name)
        self.unbooked = 0
        self.spent = 0

    async def live(self) -> None:
        """What `Upkeep` does, once, if the database can be reached."""
        if self.line.is_cut:
            return
        asked_at = self.clock.monotonic()
        pulse = await self.line.beat()
        self.lessor.heard(asked_at, pulse.workers)
        if not pulse.known:
            self.ledger.lose_leases()
        if self.unbooked:
            await self.books.book(self.name, [Entry(usage_row(self.unbooked * 1000), {MONEY: True}, True)])
            self.ledger.confirm(MONEY, self.unbooked * 1000)
            self.unbooked = 0
        await self.lessor.give_back(self.ledger.accounts(), list(self.ledger.accounts().values()))
        await self.recovery.recover()

    async def spend(self, amount: int) -> None:
        """Make a call of so many thousand nano-dollars; it is booked when the worker lives next."""
        ask = Ask(input=amount, output=0, ceiling=0, caches="no", price=PRICE)
        async with held(self.ledger, [key(BUDGET)], ask, "m") as hold:
            hold.settle(amount, amount * 1000)
        self.unbooked += amount
        self.spent += amount


class Setting:
    """Both, at a time that the test moves."""

    def __init__(self, store: Store, clock: ManualClock, folder: Path) -> None:
        self.store = store
        self.clock = clock
        self.near, self.far = (Worker(name, store, clock, folder) for name in ("near", "far"))

    async def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds / 5)):
            self.clock.advance(5)
            for worker in (self.near, self.far):
                await worker.live()

    async def begin(self) -> None:
        for worker in (self.near, self.far):
            await worker.live()
        await self.far.spend(100)
        await self.far.live()
        self.far.line.is_cut = True


@pytest.fixture
async def setting(store: Store, clock: ManualClock, tmp_path: Path) -> Setting:
    made = Setting(store, clock, tmp_path)
    await made.begin()
    return made


async def test_who_comes_back_in_time_has_what_it_spent(setting: Setting) -> None:
    near, far = setting.near, setting.far
    await far.spend(20)
    await setting.pass_time(LEASE_SECONDS - 10)
    await far.spend(5)
    await setting.pass_time(15)
    with pytest.raises(StoreUnavailable):
        await far.spend(1)
    await near.spend(800)
    with pytest.raises(BudgetExceeded):  # what is left is leased to the other, and may be spent by now
        await impatiently(setting, near.spend(90))
    await setting.pass_time(RELEASE_SECONDS - LEASE_SECONDS - 100)
    far.line.is_cut = False
    await setting.pass_time(10)
    assert far.unbooked == 0
    await near.spend(75)
    await check(setting, 1_000)


async def test_who_is_away_for_too_long_finds_that_it_has_nothing_left(setting: Setting) -> None:
    near, far = setting.near, setting.far
    await setting.pass_time(RELEASE_SECONDS + 15)
    with pytest.raises(StoreUnavailable):
        await far.spend(1)
    await near.spend(900)
    far.line.is_cut = False
    with pytest.raises((StoreUnavailable, BudgetExceeded)):
        await far.spend(1)
    await setting.pass_time(10)
    with pytest.raises(BudgetExceeded):
        await far.spend(1)
    await check(setting, 1_000)


async def impatiently(setting: Setting, call: Awaitable[None]) -> None:
    """Without waiting for others."""
    waiting = asyncio.ensure_future(call)
    await asyncio.sleep(0.05)
    setting.clock.advance(2.5)
    await asyncio.wait_for(waiting, 10)


async def check(setting: Setting, total: int) -> None:
    await setting.pass_time(5)
    assert setting.near.spent + setting.far.spent == total <= BUDGET
    assert (await read_accounts(setting.store._database))[MONEY][0] == total * 1000
    await check_books(setting.store._database)
