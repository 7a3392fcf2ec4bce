"""The SQL of leases, held against the model that the ledger's own tests run on."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.support.escrow import Book, MemoryEscrow
from tests.support.usage import check_books, read_accounts, read_leases, usage_row

from sekisho.core.clock import ManualClock
from sekisho.core.errors import StoreUnavailable
from sekisho.core.escrow import Grant, Pulse, Want
from sekisho.store.booking import Bookkeeper
from sekisho.store.database import Database
from sekisho.store.engine import Store
from sekisho.store.escrow import EscrowRepository, release_slots
from sekisho.store.schema import bring_up_to_date
from sekisho.store.spend import read_spend, set_spend
from sekisho.store.spool import Entry
from sekisho.store.tables import metadata

ACCOUNTS = ["key:k:money@0/all", "team:t:money@0/all", "user:ü:parallel"]


def worker(database: Database, clock: ManualClock, name: str) -> EscrowRepository:
    return EscrowRepository(database, clock, name, "host")


def want(account: str, limit: int, wished: int) -> Want:
    return Want(account=account, limit=limit, wished=wished)


async def test_a_lone_worker_gets_half_of_what_is_left_and_one_of_many_an_eighth(
    store: Store, clock: ManualClock
) -> None:
    one, two = worker(store._database, clock, "one"), worker(store._database, clock, "two")
    await one.beat()
    assert await one.lease([want("a", 800, 10)]) == [Grant(amount=400, spent=0, left=400)]
    await two.beat()
    assert await one.lease([want("a", 800, 10)]) == [Grant(amount=50, spent=0, left=350)]
    assert await two.lease([want("a", 800, 10)]) == [Grant(amount=43, spent=0, left=307)]
    assert await two.lease([want("a", 800, 1_000)]) == [Grant(amount=307, spent=0, left=0)]
    clock.advance(16)
    await two.give_back([("a", 350)])
    assert await two.lease([want("a", 800, 1)]) == [Grant(amount=175, spent=0, left=175)]  # one is silent
    await check_books(store._database)


async def test_a_limit_that_was_lowered_leaves_nothing(store: Store, clock: ManualClock) -> None:
    one = worker(store._database, clock, "one")
    await one.beat()
    await one.lease([want("a", 100, 100)])
    assert await one.lease([want("a", 50, 10)]) == [Grant(amount=0, spent=0, left=-50)]


async def test_what_somebody_could_not_get_is_wanted_for_a_while(store: Store, clock: ManualClock) -> None:
    one, two = worker(store._database, clock, "one"), worker(store._database, clock, "two")
    await one.beat()
    await two.beat()
    await one.lease([want("a", 100, 100), want("b", 100, 1)])
    long = "a" * 3_000
    await one.lease([want(long, 100, 100)])
    assert await one.wanted(["a", "b", long]) == []
    assert await two.lease([want("a", 100, 1)]) == [Grant(amount=0, spent=0, left=0)]
    await two.lease([want(long, 100, 1)])
    assert await one.wanted(["b", "a", long]) == ["a", long]
    assert await one.wanted(["b"]) == []
    clock.step(-3600)
    assert await one.wanted(["a", "b"]) == []
    clock.step(3603.5)
    assert await one.wanted(["a", "b"]) == []


async def test_a_worker_that_was_taken_for_dead_leases_nothing_before_it_is_heard_of(
    store: Store, clock: ManualClock
) -> None:
    one = worker(store._database, clock, "one")
    assert not (await one.beat()).known
    assert (await one.beat()).known
    await one.lease([want("a", 100, 10)])
    await worker(store._database, clock, "one").retire()
    with pytest.raises(StoreUnavailable, match="not been heard of"):
        await one.lease([want("a", 100, 10)])
    await one.give_back([("a", 10)])  # it has none
    await Bookkeeper(store._database).book("one", [Entry(usage_row(7), {"a": True}, True)])
    assert await read_accounts(store._database) == {"a": (7, 0)}
    assert not (await one.beat()).known
    assert await one.lease([want("a", 100, 100)]) == [Grant(amount=93, spent=7, left=0)]
    await check_books(store._database)


async def test_a_worker_is_told_how_many_live_and_what_it_has(store: Store, clock: ManualClock) -> None:
    one, two = worker(store._database, clock, "one"), worker(store._database, clock, "two")
    assert await one.beat() == Pulse(known=False, workers=1)
    assert await two.beat() == Pulse(known=False, workers=2)
    clock.advance(10)
    await one.beat()
    clock.advance(10)
    assert await one.beat() == Pulse(known=True, workers=1)
    long = "a" * 3_000
    await one.lease([want("a", 100, 100), want(long, 100, 60)])
    await two.lease([want("b", 100, 100)])
    assert await one.held([long, "b"]) == {"a": 100, long: 60}


async def test_places_for_calls_go_back_before_money_does(store: Store, clock: ManualClock) -> None:
    one = worker(store._database, clock, "one")
    await one.beat()
    await one.lease([want(name, 100, 100) for name in ACCOUNTS])
    for released in (1, 0):
        assert await store._database.transact(partial(release_slots, worker="one")) == released
        assert set(await one.held([])) == set(ACCOUNTS[:2])
    await check_books(store._database)
    assert (await one.beat()).known


async def test_leases_that_were_given_back_leave_no_rows(store: Store, clock: ManualClock) -> None:
    one = worker(store._database, clock, "one")
    await one.beat()
    await one.lease([want(name, 100, 10) for name in ACCOUNTS])
    held = await read_leases(store._database)
    await one.give_back([(name, amount) for (_, name), amount in held.items()])
    assert await read_leases(store._database) == {}
    await check_books(store._database)


async def test_spend_is_read_and_set(store: Store, clock: ManualClock) -> None:
    one = worker(store._database, clock, "one")
    await one.beat()
    await one.lease([want("a", 100, 10)])
    names = ["a", "b" * 3_000, "c"]
    async with store._database.write() as connection:
        await set_spend(store._database, connection, "a", 40)
        await set_spend(store._database, connection, "b" * 3_000, 41)
        await set_spend(store._database, connection, "b" * 3_000, 42)
    async with store._database.read() as connection:
        assert await connection.run_sync(read_spend, names) == {"a": 40, "b" * 3_000: 42, "c": 0}
        assert await connection.run_sync(read_spend, []) == {}
        assert len(await connection.run_sync(read_spend, [f"n{number}" for number in range(40_000)])) == 40_000
    assert (await read_accounts(store._database))["a"] == (40, 50)


async def test_workers_that_lease_at_once_never_get_more_than_there_is(store: Store, clock: ManualClock) -> None:
    """In any order of accounts, and while others book, give back and die: without a deadlock."""
    workers = [worker(store._database, clock, f"w{number}") for number in range(4)]
    for one in workers:
        await one.beat()

    async def churn(number: int) -> None:
        one, name = workers[number], f"w{number}"
        mine = ACCOUNTS[number % 3 :] + ACCOUNTS[: number % 3]
        for turn in range(12):
            await one.lease([want(account, 1_000, 100) for account in mine])
            await Bookkeeper(store._database).book(name, [Entry(usage_row(3), dict.fromkeys(mine, True), True)])
            await one.give_back([(account, 5) for account in reversed(mine)])
            if turn % 5 == 4:
                await one.retire()
                await one.beat()

    await asyncio.gather(*map(churn, range(4)))
    for spent, leased in (await read_accounts(store._database)).values():
        assert spent + leased <= 1_000
    await check_books(store._database)


class EscrowMachine(RuleBasedStateMachine):
    """Leases, bookings and deaths in any order leave the SQL with the same books as the model."""

    url = ""
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.book = Book()
        self.database = Database(self.url)

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    @initialize()
    def set_up(self) -> None:
        self.run(bring_up_to_date(self.database))

        async def empty() -> None:
            async with self.database.write() as connection:
                for table in reversed(metadata.sorted_tables):
                    await connection.execute(sa.delete(table))

        self.run(empty())
        self.workers = {name: worker(self.database, self.clock, name) for name in ("one", "two")}
        self.models = {name: MemoryEscrow(self.book, name, share=8) for name in ("one", "two")}
        for one in self.workers.values():
            self.run(one.beat())

    @rule(
        who=st.sampled_from(["one", "two"]),
        wants=st.lists(
            st.tuples(st.sampled_from(ACCOUNTS), st.integers(0, 1_000), st.integers(0, 400)), min_size=1, max_size=4
        ),
    )
    def lease(self, who: str, wants: Sequence[tuple[str, int, int]]) -> None:
        asked = [want(*each) for each in wants]
        assert self.run(self.workers[who].lease(asked)) == self.run(self.models[who].lease(asked))

    @rule(who=st.sampled_from(["one", "two"]), account=st.sampled_from(ACCOUNTS), share=st.floats(0, 1))
    def give_back(self, who: str, account: str, share: float) -> None:
        amount = int(max(0, self.book.leases.get((who, account), 0)) * share)
        if amount:
            self.run(self.workers[who].give_back([(account, amount)]))
            self.run(self.models[who].give_back([(account, amount)]))

    @rule(who=st.sampled_from(["one", "two"]), booked=st.sets(st.sampled_from(ACCOUNTS)), cost=st.integers(0, 300))
    def spend(self, who: str, booked: set[str], cost: int) -> None:
        """A call that was held, so that there is a lease behind it, but which may cost more than that."""
        leased = [name for name in sorted(booked) if self.book.leases.get((who, name))]
        self.run(Bookkeeper(self.database).book(who, [Entry(usage_row(cost), dict.fromkeys(leased, True), True)]))
        for name in leased:
            self.book.book(who, name, cost)

    @rule(who=st.sampled_from(["one", "two"]))
    def die(self, who: str) -> None:
        self.run(self.workers[who].retire())
        self.run(self.workers[who].beat())
        self.book.bury(who)

    @invariant()
    def the_books_agree(self) -> None:
        if not hasattr(self, "workers"):
            return
        assert self.run(read_leases(self.database)) == {
            key: amount for key, amount in self.book.leases.items() if amount
        }
        stored = self.run(read_accounts(self.database))
        assert {name: spent for name, (spent, _) in stored.items() if spent} == {
            name: spent for name, spent in self.book.spent.items() if spent
        }
        self.run(check_books(self.database))

    def teardown(self) -> None:
        self.run(self.database.close())


@pytest.mark.parametrize("steps", [30])
def test_the_sql_does_what_the_model_does(database_url: str, steps: int, tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        machine = type("Machine", (EscrowMachine,), {"url": database_url, "runner": runner})
        budget = settings(max_examples=8, stateful_step_count=steps, deadline=None)
        run_state_machine_as_test(machine, settings=budget)
