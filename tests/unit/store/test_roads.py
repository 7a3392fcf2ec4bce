"""What processes tell each other of the upstreams that they share."""

import pytest

from sekisho.core.clock import ManualClock
from sekisho.core.errors import StoreUnavailable
from sekisho.store.database import Database
from sekisho.store.engine import Store
from sekisho.store.roads import FRESH_SECONDS, RoadRepository


@pytest.fixture
def other(store: Store, clock: ManualClock) -> RoadRepository:
    return RoadRepository(store._database, clock, "another-worker")


async def test_each_hears_what_the_others_say_and_not_itself(store: Store, other: RoadRepository) -> None:
    assert await store.roads.exchange(b"mine") == {}
    assert list((await other.exchange(b"theirs")).values()) == [b"mine"]
    assert await store.roads.exchange(None) == {"another-worker": b"theirs"}
    await other.exchange(b"theirs anew")
    assert await store.roads.exchange(b"mine") == {"another-worker": b"theirs anew"}


async def test_who_falls_silent_is_not_heard_for_long(store: Store, other: RoadRepository, clock: ManualClock) -> None:
    await other.exchange(b"theirs")
    clock.advance(FRESH_SECONDS - 0.1)
    assert await store.roads.exchange(b"mine") != {}
    clock.advance(0.2)
    assert await store.roads.exchange(b"mine") == {}


async def test_who_leaves_is_forgotten_at_once(store: Store, other: RoadRepository) -> None:
    await other.exchange(b"theirs")
    await other.leave()
    assert await store.roads.exchange(None) == {}


async def test_without_a_database_nobody_is_heard(clock: ManualClock) -> None:
    repository = RoadRepository(Database("postgresql://nobody@127.0.0.1:9/none", clock), clock, "worker")
    with pytest.raises(StoreUnavailable):
        await repository.exchange(b"mine")
