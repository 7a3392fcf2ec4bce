"""Accounts that nobody asks for any more are deleted, and no others."""

from dataclasses import dataclass

import sqlalchemy as sa
from tests.support.usage import check_books

from sekisho.core.accounts import money_account
from sekisho.core.caller import BudgetWindow
from sekisho.core.clock import ManualClock
from sekisho.core.durations import next_reset
from sekisho.core.escrow import RateWant, Span, Want
from sekisho.store.engine import Store
from sekisho.store.escrow import EscrowRepository
from sekisho.store.spend import set_spend
from sekisho.store.tables import accounts

DAY = 86_400.0


@dataclass
class Books:
    """A store's accounts at a time that the test moves."""

    store: Store
    clock: ManualClock

    def window(self, duration: str) -> str:
        """The account of a key's window that is open now."""
        now = self.clock.now()
        resets_at = next_reset(duration, now)
        return money_account("key", "k", BudgetWindow(limit=1, duration=duration, resets_at=resets_at), now)

    async def spend(self, name: str, amount: int = 5) -> None:
        async with self.store._database.write() as connection:
            await set_spend(self.store._database, connection, name, amount)

    async def names(self) -> set[str]:
        async with self.store._database.read() as connection:
            return set((await connection.execute(sa.select(accounts.c.account))).scalars())


async def test_windows_go_when_what_they_left_is_of_no_use_to_anybody(store: Store, clock: ManualClock) -> None:
    books = Books(store, clock)
    day, month = books.window("1d"), books.window("1mo")
    for name in (day, month, "key:k:money@0/all", "key:k:model:a%3A:money@0/all"):
        await books.spend(name)
    clock.advance(3 * DAY)
    assert await store.retention.purge_accounts() == 0  # a late call may still come in, and something be carried over
    clock.advance(1 * DAY)
    assert await store.retention.purge_accounts() == 1
    assert await books.names() == {month, "key:k:money@0/all", "key:k:model:a%3A:money@0/all"}
    clock.advance(60 * DAY)
    assert await store.retention.purge_accounts() == 1
    await books.spend(day)  # one that came from the spool of a host that was long away
    assert await store.retention.purge_accounts() == 1
    assert await books.names() == {"key:k:money@0/all", "key:k:model:a%3A:money@0/all"}


async def test_what_is_leased_stays_and_what_says_nothing_goes(store: Store, clock: ManualClock) -> None:
    books = Books(store, clock)
    escrow = EscrowRepository(store._database, clock, "one", "host")
    await escrow.beat()
    day = books.window("1d")
    await escrow.lease([Want(account=name, limit=100, wished=10) for name in (day, "a", "b", "c", "d")])
    await escrow.give_back([("b", 50), ("c", 60), ("d", 50)])
    await EscrowRepository(store._database, clock, "two", "host").beat()
    await escrow.lease([Want(account="d", limit=0, wished=0)])
    minute = Span(60, 1)
    want = RateWant(name="team:t:rpm", limit=10, span=minute, least=1, needed=1)
    (granted,) = await store.grants.exchange([want])
    clock.advance(60)  # and not beyond what the limit remembers
    assert await store.retention.purge_accounts() == 3
    assert await books.names() == {day, "a", "c"}
    (again,) = await store.grants.exchange([want])
    assert (granted.used, again.used, again.amount) == (0, 1, 1)
    clock.advance(90 * DAY)
    assert await store.retention.purge_accounts() == 1
    await check_books(store._database)
    await escrow.retire()
    assert await store.retention.purge_accounts() == 3
    assert await books.names() == set()


async def test_more_accounts_than_fit_in_one_statement(store: Store, clock: ManualClock) -> None:
    books = Books(store, clock)
    async with store._database.write() as connection:
        rows = [{"account": f"key:{n}:money@{1_600_000_000 + n}/1h", "spent": 1, "leased": 0} for n in range(2_500)]
        rows.append({"account": "key:z:money@0/all", "spent": 1, "leased": 0})
        await connection.execute(sa.insert(accounts), rows)
    assert await store.retention.purge_accounts() == 2_500
    assert await books.names() == {"key:z:money@0/all"}


async def test_one_worker_at_a_time_deletes(store: Store, clock: ManualClock) -> None:
    await Books(store, clock).spend("a", 0)
    async with store.retention._turn("account retention") as has_turn:
        assert has_turn
        assert await store.retention.purge_accounts() == 0
    assert await store.retention.purge_accounts() == 1


async def test_a_store_can_be_closed_twice(store: Store) -> None:
    await store.close()
    await store.close()
