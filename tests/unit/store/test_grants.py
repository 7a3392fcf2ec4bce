import asyncio

import sqlalchemy as sa

from sekisho.core.clock import ManualClock
from sekisho.core.escrow import RateGrant, RateWant, Span
from sekisho.store.engine import Store
from sekisho.store.grants import GrantRepository, purge_grants
from sekisho.store.tables import grants

MINUTE, DAY = Span(60, 1), Span(86_400, 900)


def want(needed: int, *, limit: int = 100, span: Span = MINUTE, name: str = "team:t:rpm", **more: object) -> RateWant:
    known = {"least": needed, "needed": needed, **more}
    return RateWant(name=name, limit=limit, span=span, **known)  # type: ignore[arg-type]  # the fields of a test


async def ask(worker: GrantRepository, asked: RateWant) -> RateGrant:
    (grant,) = await worker.exchange([asked])
    return grant


async def count(store: Store) -> int:
    async with store._database.read() as connection:
        return await connection.scalar(sa.select(sa.func.count()).select_from(grants)) or 0


async def test_workers_share_a_limit_and_are_told_when_there_is_more(store: Store, clock: ManualClock) -> None:
    one, two = (GrantRepository(store._database, clock, name) for name in ("one", "two"))
    first = await ask(one, want(60))
    assert (first.amount, first.used, first.wait) == (60, 0, 0.0)
    clock.advance(10)
    assert (await ask(two, want(40))).amount == 40
    refused = await ask(one, want(50))
    assert (refused.amount, refused.used) == (0, 100)
    assert 50 < refused.wait <= 53
    assert (await ask(two, want(80))).wait > 60
    clock.advance(refused.wait)
    assert (await ask(one, want(50))).amount == 50


async def test_a_grant_counts_for_a_minute_after_its_last_moment(store: Store, clock: ManualClock) -> None:
    one = GrantRepository(store._database, clock, "one")
    grant = await ask(one, want(100))
    clock.advance(grant.seconds)  # all of it is used now
    clock.advance(59.99)
    assert (await ask(one, want(1))).amount == 0
    clock.advance(1.01)
    assert (await ask(one, want(1))).amount == 1


async def test_what_was_not_used_is_free_again_and_what_was_used_beyond_counts(
    store: Store, clock: ManualClock
) -> None:
    one, two = (GrantRepository(store._database, clock, name) for name in ("one", "two"))
    grant = await ask(one, want(100))
    again = await ask(one, want(30, unused={grant.stamp: 70}))
    assert (again.amount, again.used) == (30, 30)
    assert (await ask(two, want(0, extra=25))).used == 85
    assert (await ask(two, want(16))).amount == 0
    assert (await ask(two, want(15))).amount == 15


async def test_what_is_due_and_what_comes_back_may_be_of_one_moment(store: Store, clock: ManualClock) -> None:
    one, two = (GrantRepository(store._database, clock, name) for name in ("one", "two"))
    grant = await ask(one, want(100))
    clock.advance(grant.seconds)  # so that what is due is booked under the stamp of what comes back
    assert (await ask(one, want(0, unused={grant.stamp: 70}, extra=25))).used == 55
    assert (await ask(two, want(45))).amount == 45


async def test_what_comes_back_too_late_frees_nothing(store: Store, clock: ManualClock) -> None:
    one = GrantRepository(store._database, clock, "one")
    grant = await ask(one, want(100))
    clock.advance(63)
    assert (await ask(one, want(100, unused={grant.stamp: 100}))).amount == 100
    assert (await ask(one, want(1, unused={grant.stamp: 100}))).amount == 0


async def test_more_than_is_needed_is_granted_only_from_plenty(store: Store, clock: ManualClock) -> None:
    one = GrantRepository(store._database, clock, "one")
    assert (await ask(one, want(1, ahead=1_000))).amount == 1 + 99 // 8
    assert (await ask(one, want(0, ahead=10))).amount == 87 // 8
    assert (await ask(one, want(70, ahead=10))).amount == 70
    assert (await ask(one, want(0, ahead=10))).amount == 0


async def test_an_amount_beyond_the_limit_passes_alone(store: Store, clock: ManualClock) -> None:
    one = GrantRepository(store._database, clock, "one")
    assert (await ask(one, want(500))).amount == 0
    assert (await ask(one, want(500, alone=True))).amount == 500
    assert (await ask(one, want(1, alone=True))).amount == 0


async def test_days_are_kept_by_the_quarter_of_an_hour(store: Store, clock: ManualClock) -> None:
    one = GrantRepository(store._database, clock, "one")
    for _ in range(20):
        assert (await ask(one, want(5, span=DAY, name="team:t:tpd"))).amount == 5
        clock.advance(60)
    assert await count(store) <= 3
    assert (await ask(one, want(1, span=DAY, name="team:t:tpd"))).amount == 0
    clock.advance(86_400 + 900)
    assert (await ask(one, want(1, span=DAY, name="team:t:tpd"))).amount == 1


async def test_grants_that_count_no_more_leave_no_rows(store: Store, clock: ManualClock) -> None:
    one = GrantRepository(store._database, clock, "one")
    for _ in range(100):
        await ask(one, want(1))
        clock.advance(1)
    assert await count(store) <= 64
    clock.advance(90_000)
    await purge_grants(store._database, clock.now())
    assert await count(store) == 0


async def test_a_clock_that_is_set_back_blocks_no_limit_for_long(store: Store, clock: ManualClock) -> None:
    one = GrantRepository(store._database, clock, "one")
    for span, name in ((MINUTE, "team:t:rpm"), (DAY, "team:t:tpd")):
        assert (await ask(one, want(100, span=span, name=name))).amount == 100
        clock.step(-30)
        assert (await ask(one, want(1, span=span, name=name))).amount == 0  # hosts may differ by so much
        clock.step(-3 * 3600)
        assert (await ask(one, want(100, span=span, name=name))).amount == 100
        assert (await ask(one, want(1, span=span, name=name))).amount == 0


async def test_workers_that_ask_at_once_never_get_more_than_the_limit(store: Store, clock: ManualClock) -> None:
    names = ["a", "b", "c"]

    async def churn(number: int) -> int:
        one = GrantRepository(store._database, clock, f"w{number}")
        got = 0
        for _ in range(10):
            mine = names[number % 3 :] + names[: number % 3]
            got += sum(grant.amount for grant in await one.exchange([want(3, name=name) for name in mine]))
        return got

    assert sum(await asyncio.gather(*map(churn, range(4)))) == 3 * 99
