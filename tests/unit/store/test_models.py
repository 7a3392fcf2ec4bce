import pytest

from sekisho.core.clock import ManualClock
from sekisho.core.errors import Conflict, InvalidRequest
from sekisho.store import engine
from sekisho.store.engine import Store
from sekisho.store.records import AddedFallbacks, AddedModel

MODEL = AddedModel(
    model_id="m",
    model_name="haiku",
    litellm_params={"model": "x/y", "api_key": "os.environ/KEY", "rpm": 5, "stop": ["a", None]},
    model_info={"mode": "chat", "ünïcode": "日本"},
    created_at=1.5,
    created_by="me",
    updated_at=2.5,
    updated_by="you",
)


async def test_a_model_comes_back_as_it_was_stored(store: Store) -> None:
    await store.models.insert(MODEL)
    assert await store.models.find() == [MODEL]
    with pytest.raises(Conflict):
        await store.models.insert(MODEL)
    assert await store.models.delete("m")
    assert not await store.models.delete("m")
    assert await store.models.find() == []


async def test_an_update_that_raises_leaves_everything_as_it_was(store: Store, clock: ManualClock) -> None:
    await store.models.insert(MODEL)
    counter = await store.changes()

    def refuse(record: AddedModel) -> AddedModel:
        assert record == MODEL
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest):
        await store.models.update("m", refuse)
    assert await store.models.find() == [MODEL]
    assert await store.changes() == counter
    assert await store.models.update("other", refuse) is None


async def test_every_change_moves_the_counter_and_leaves_an_audit_record(store: Store) -> None:
    seen = [await store.changes()]
    await store.models.insert(MODEL)
    seen.append(await store.changes())
    changed = await store.models.update("m", lambda _: AddedModel(model_id="m", model_name="new"))
    assert changed is not None
    assert changed.model_name == "new"
    seen.append(await store.changes())
    await store.fallbacks.put(AddedFallbacks(model="new", fallback_models=("a",)))
    seen.append(await store.changes())
    await store.models.delete("m")
    seen.append(await store.changes())
    assert sorted(set(seen)) == seen


async def test_changes_are_told_row_by_row_unless_they_are_too_many(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    store.follow(told.extend)
    before = await store.changes()
    assert await store.changes_after(before) == (before, ())
    await store.models.insert(MODEL)
    await store.fallbacks.put(AddedFallbacks(model="new", fallback_models=("a",)))
    now, rows = await store.changes_after(before)
    assert rows == told == [("models", "m"), ("fallbacks", "new")]
    assert now == await store.changes()
    assert await store.changes_after(now + 1) == (now, None), "the trail was cut: nothing is known"
    monkeypatch.setattr(engine, "_MOST_CHANGES", 1)
    assert await store.changes_after(before) == (now, None)


async def test_fallbacks_are_replaced_and_keep_their_first_author(store: Store) -> None:
    first = AddedFallbacks(model="m", fallback_models=("a", "b"), created_at=1, created_by="me", updated_at=1)
    await store.fallbacks.put(first)
    await store.fallbacks.put(
        AddedFallbacks(model="m", fallback_models=("c",), created_at=9, created_by="you", updated_at=9)
    )
    (found,) = await store.fallbacks.find()
    assert (found.fallback_models, found.created_at, found.created_by) == (("c",), 1, "me")
    assert (found.updated_at, found.updated_by) == (9, None)
    assert await store.fallbacks.delete("m")
    assert not await store.fallbacks.delete("m")
