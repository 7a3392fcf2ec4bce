"""The configuration in use: the file's, with the models and fallbacks that lie in the store."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from sekisho.config.deployments import group_deployments
from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.clock import ManualClock
from sekisho.core.errors import ConfigError, InvalidRequest, StoreUnavailable
from sekisho.core.target import Target
from sekisho.gateway.catalogue import Catalogue
from sekisho.gateway.traffic import Traffic
from sekisho.gateway.worlds import WorldKeeper
from sekisho.store.engine import Store, open_store
from sekisho.store.records import AddedFallbacks, AddedModel

FILED = Deployment(
    id="filed",
    model_name="sonnet",
    model="good/sonnet",
    params={"model": "good/sonnet"},
    model_info={"access_groups": ["fine"]},
    where="config.yaml:2",
)
FILES = Snapshot(
    deployments=(FILED,),
    groups=group_deployments((FILED,)),
    deployment_defaults={"aws_region_name": "eu-west-1"},
    fallbacks={"sonnet": ("haiku",)},
    access_groups={"fine": ("sonnet",)},
)


class Stub:
    """A target that knows only what it was made of."""

    provider = "stub"
    facts = price = None
    dialects = {"chat": ("openai_chat",)}  # noqa: RUF012

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment


def resolve(deployment: Deployment) -> Target:
    if deployment.model.startswith("odd/"):
        raise ZeroDivisionError
    if not deployment.model.startswith("good/"):
        raise ConfigError(f"no provider here serves '{deployment.model}'", where=deployment.where)
    return cast(Target, Stub(deployment))


def model(identity: str, name: str = "haiku", **params: Any) -> AddedModel:
    return AddedModel(model_id=identity, model_name=name, litellm_params={"model": "good/haiku", **params})


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(str(tmp_path / "sekisho.db"), ManualClock())
    yield store
    await store.close()


@pytest.fixture
def told() -> list[Snapshot]:
    return []


@pytest.fixture
def keeper(store: Store, told: list[Snapshot]) -> WorldKeeper:
    return WorldKeeper(FILES, store, resolve, {"NAME": "secret-value"}, told.append)


async def test_without_additions_the_world_is_that_of_the_file(keeper: WorldKeeper, told: list[Snapshot]) -> None:
    await keeper.refresh()
    assert keeper.snapshot is FILES
    assert list(keeper.world.targets) == ["filed"]
    assert told == []


async def test_added_models_join_their_groups_with_the_defaults_of_the_file(
    keeper: WorldKeeper, store: Store, told: list[Snapshot]
) -> None:
    await store.models.insert(model("a", "sonnet", api_key="os.environ/NAME", weight="3"))
    await store.models.insert(
        AddedModel(
            model_id="b",
            model_name="haiku",
            litellm_params={"model": "good/haiku", "aws_region_name": "us-east-1"},
            model_info={"access_groups": ["fine"]},
        )
    )
    await keeper.refresh()
    groups = keeper.snapshot.groups
    assert [deployment.id for deployment in groups["sonnet"]] == ["filed", "a"]
    added, other = groups["sonnet"][1], groups["haiku"][0]
    assert (added.weight, added.params["api_key"], added.params["aws_region_name"]) == (3, "secret-value", "eu-west-1")
    assert (other.id, other.params["aws_region_name"]) == ("b", "us-east-1")
    assert keeper.snapshot.access_groups == {"fine": ("sonnet", "haiku")}
    assert set(keeper.world.targets) == {"filed", "a", "b"}
    assert told == [keeper.snapshot]
    assert "secret-value" not in repr((keeper.snapshot, keeper.world.added))


async def test_what_did_not_change_keeps_its_target(keeper: WorldKeeper, store: Store) -> None:
    for identity in ("a", "b"):
        await store.models.insert(model(identity))
    await keeper.refresh()
    before = keeper.world
    await store.models.update("b", lambda record: model(record.model_id, timeout=5))
    await store.models.insert(model("c"))
    await keeper.refresh()
    after = keeper.world
    assert after.targets["filed"] is before.targets["filed"]
    assert after.targets["a"] is before.targets["a"]
    assert after.targets["b"] is not before.targets["b"]
    assert cast(Stub, after.targets["b"]).deployment.timeout == 5
    assert list(before.targets) == ["filed", "a", "b"]  # calls under way still see what they began with
    assert len(before.snapshot.groups["haiku"]) == 2


async def test_nothing_is_rebuilt_when_nothing_was_added(
    keeper: WorldKeeper, store: Store, told: list[Snapshot]
) -> None:
    await store.models.insert(model("a"))
    await keeper.refresh()
    before = keeper.world
    await keeper.refresh()
    assert keeper.world is before
    assert len(told) == 1


async def test_a_model_that_cannot_work_is_reported_and_the_others_serve(
    keeper: WorldKeeper, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = {
        "unknown": {"model": "bad/model"},
        "odd": {"model": "odd/model"},
        "malformed": {"rpm": "many"},
        "unset": {"api_key": "os.environ/UNSET"},
        "filed": {},  # the id of a model in the file
    }
    for identity, params in wrong.items():
        await store.models.insert(model(identity, **params))
    await store.models.insert(model("fine"))
    with caplog.at_level(logging.WARNING, "sekisho"):
        await keeper.refresh()
    assert set(keeper.world.targets) == {"filed", "fine"}
    assert keeper.world.targets["filed"] is not None
    assert set(keeper.world.problems) == {"unknown", "odd", "malformed", "unset"}
    assert "UNSET" in keeper.world.problems["unset"]
    for identity in wrong:
        assert f"id={identity} " in caplog.text
    caplog.clear()
    await store.models.delete("fine")
    await keeper.refresh()
    assert caplog.text == ""  # said once
    catalogue = Catalogue(lambda: keeper.world, Traffic(ManualClock()))
    assert {broken.deployment_id for broken in catalogue.broken()} == set(keeper.world.problems)
    assert [entry.deployment_id for entry in catalogue.entries()] == ["filed"]


async def test_added_fallbacks_replace_those_of_the_file(keeper: WorldKeeper, store: Store) -> None:
    await store.fallbacks.put(AddedFallbacks(model="sonnet", fallback_models=("a", "b")))
    await store.fallbacks.put(AddedFallbacks(model="haiku", fallback_models=("c",)))
    await keeper.refresh()
    assert keeper.snapshot.fallbacks == {"sonnet": ("a", "b"), "haiku": ("c",)}
    await store.fallbacks.delete("sonnet")
    await keeper.refresh()
    assert keeper.snapshot.fallbacks == {"sonnet": ("haiku",), "haiku": ("c",)}


async def test_the_catalogue_shows_what_was_written_and_no_values_of_variables(
    keeper: WorldKeeper, store: Store
) -> None:
    await store.models.insert(model("a", api_key="os.environ/NAME", api_version="os.environ/NAME"))
    await keeper.refresh()
    catalogue = Catalogue(lambda: keeper.world, Traffic(ManualClock()))
    (entry,) = (entry for entry in catalogue.entries() if entry.added)
    assert entry.params == {"model": "good/haiku", "api_version": "os.environ/NAME"}
    assert catalogue.entries() is catalogue.entries()


@pytest.mark.parametrize("params", [{"model": "bad/model"}, {"api_key": "sk-in-clear"}, {"rpm": "many"}])
async def test_checking_refuses_what_could_not_be_called(keeper: WorldKeeper, params: dict[str, Any]) -> None:
    entry = {"model_name": "m", "litellm_params": {"model": "good/haiku", **params}}
    with pytest.raises(InvalidRequest) as caught:
        keeper.check("id", entry)
    assert "in-clear" not in str(caught.value)


async def test_a_doubt_is_followed_by_a_look_also_after_the_database_was_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuilt = asyncio.Event()
    keeper = WorldKeeper(FILES, store, resolve, {}, lambda _: rebuilt.set())
    await keeper.start()
    await store.models.insert(model("a"))
    find: Callable[[], Awaitable[list[AddedModel]]] = store.models.find
    looks = 0

    async def find_at_the_second_look() -> list[AddedModel]:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise StoreUnavailable("away")
        return await find()

    monkeypatch.setattr(store.models, "find", find_at_the_second_look)
    keeper.doubt()
    async with asyncio.timeout(20):
        await rebuilt.wait()
    assert (looks, set(keeper.world.targets)) == (2, {"filed", "a"})
    await keeper.close()
