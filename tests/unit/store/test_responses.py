from sekisho.core.clock import ManualClock
from sekisho.store.engine import Store


async def test_a_response_is_kept_for_its_owner_until_its_time(store: Store, clock: ManualClock) -> None:
    now = clock.now()
    await store.responses.put("one", "resp_1", b"a\0\xff", now + 10)
    assert await store.responses.get("one", "resp_1", now) == b"a\0\xff"
    assert await store.responses.get("two", "resp_1", now) is None
    assert await store.responses.get("one", "resp_2", now) is None
    assert await store.responses.get("one", "resp_1", now + 10) is None


async def test_owners_keep_responses_of_the_same_id_apart(store: Store, clock: ManualClock) -> None:
    for owner in ("one", "two"):
        await store.responses.put(owner, "resp_1", owner.encode(), clock.now() + 10)
    assert await store.responses.delete("one", "resp_1")
    assert not await store.responses.delete("one", "resp_1")
    assert await store.responses.get("two", "resp_1", clock.now()) == b"two"


async def test_a_response_of_the_same_id_is_replaced(store: Store, clock: ManualClock) -> None:
    await store.responses.put("one", "resp_1", b"a", clock.now() + 1)
    await store.responses.put("one", "resp_1", b"b", clock.now() + 10)
    assert await store.responses.get("one", "resp_1", clock.now() + 5) == b"b"


async def test_purging_forgets_what_has_expired(store: Store, clock: ManualClock) -> None:
    for number in range(3):
        await store.responses.put("one", f"resp_{number}", b"", clock.now() + number)
    assert await store.responses.purge(clock.now() + 1) == 2
    assert await store.responses.get("one", "resp_2", clock.now()) == b""
