"""What one call sees of the configuration, and what stays when the files say something else."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from sekisho.config import load
from sekisho.config.overrides import read_override
from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.caller import Caller
from sekisho.core.clock import ManualClock
from sekisho.core.errors import ConfigError
from sekisho.core.target import Target
from sekisho.gateway import worlds
from sekisho.gateway.worlds import WorldKeeper
from sekisho.store.engine import Store, open_store
from sekisho.store.records import AddedModel

CONFIG = """
model_list:
  - {model_name: sonnet, litellm_params: {model: good/sonnet}}
  - {model_name: haiku, litellm_params: {model: good/haiku}}
  - {model_name: "good/*", litellm_params: {model: "good/*"}}
  - {model_name: "bad/*", litellm_params: {model: "bad/*"}}
router_settings:
  fallbacks: [{sonnet: [good/standby]}]
"""
ANYONE = Caller(role="internal_user")


class Stub:
    """A target that knows only what it was made of."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment


def resolve(deployment: Deployment) -> Target:
    if not deployment.model.startswith("good/"):
        raise ConfigError(f"no provider here serves '{deployment.model}'")
    return cast(Target, Stub(deployment))


def read(folder: Path, text: str) -> Snapshot:
    path = folder / "config.yaml"
    path.write_text(text)
    return load(path, {}).snapshot


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(str(tmp_path / "sekisho.db"), ManualClock())
    yield store
    await store.close()


@pytest.fixture
def told() -> list[Snapshot]:
    return []


@pytest.fixture
def keeper(store: Store, tmp_path: Path, told: list[Snapshot]) -> WorldKeeper:
    return WorldKeeper(read(tmp_path, CONFIG), store, resolve, {}, told.append)


def test_what_the_file_itself_names_is_there_from_the_start(keeper: WorldKeeper) -> None:
    (standby,) = keeper.snapshot.groups["good/standby"]
    assert (standby.model, standby.id in keeper.world.targets) == ("good/standby", True)
    assert len(keeper.snapshot.deployments) == 4


def test_a_name_under_a_wildcard_is_made_once_and_stays(keeper: WorldKeeper) -> None:
    before = keeper.world
    seen = keeper.view(before, ANYONE, ["good/new", None, "sonnet"])
    (deployment,) = seen.snapshot.groups["good/new"]
    assert cast(Stub, seen.targets[deployment.id]).deployment is deployment
    assert "good/new" not in before.snapshot.groups
    assert keeper.view(keeper.world, ANYONE, ["good/new"]) is keeper.world is seen


def test_a_name_that_no_provider_serves_stays_unknown(keeper: WorldKeeper) -> None:
    assert "bad/new" not in keeper.view(keeper.world, ANYONE, ["bad/new"]).snapshot.groups


def test_names_under_wildcards_are_forgotten_in_the_end(keeper: WorldKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds, "MOST_NAMED", 10)
    own = set(keeper.snapshot.groups)
    for number in range(35):
        name = f"good/{number}"
        assert name in keeper.view(keeper.world, ANYONE, [name]).snapshot.groups
        assert len(keeper.snapshot.groups) <= len(own) + 10
    assert own < set(keeper.snapshot.groups)


def test_a_call_that_began_before_a_change_sees_its_own_world(keeper: WorldKeeper, tmp_path: Path) -> None:
    began = keeper.world
    assert keeper.adopt(read(tmp_path, CONFIG.replace("sonnet", "opus")))
    seen = keeper.view(began, ANYONE, ["good/late"])
    assert {"sonnet", "good/late"} < seen.snapshot.groups.keys()
    assert "good/late" not in keeper.snapshot.groups


def test_the_routing_of_a_caller_is_laid_over_once(keeper: WorldKeeper) -> None:
    routing = read_override({"num_retries": 7, "fallbacks": [{"haiku": ["good/spare"]}]})
    caller = Caller(role="internal_user", routing=routing, aliases={"mine": "good/own"})
    seen = keeper.view(keeper.world, caller, ["mine"])
    assert (seen.snapshot.num_retries, keeper.snapshot.num_retries) == (7, 2)
    assert seen.snapshot.fallbacks == {"sonnet": ("good/standby",), "haiku": ("good/spare",)}
    assert {"good/own", "good/spare"} < seen.snapshot.groups.keys()
    assert keeper.view(keeper.world, caller, ["mine"]) is seen
    other = Caller(role="internal_user", routing=read_override({"num_retries": 1}))
    assert keeper.view(keeper.world, other, ["haiku"]).snapshot.num_retries == 1
    assert keeper.view(keeper.world, ANYONE, ["haiku"]) is keeper.world


async def test_other_files_count_and_what_did_not_change_keeps_its_target(
    keeper: WorldKeeper, store: Store, tmp_path: Path, told: list[Snapshot]
) -> None:
    await store.models.insert(AddedModel(model_id="a", model_name="haiku", litellm_params={"model": "good/added"}))
    await keeper.refresh()
    keeper.view(keeper.world, ANYONE, ["good/new"])
    before = keeper.world
    text = "# a line that moves all others\n" + CONFIG.replace("sonnet", "opus") + "  num_retries: 9\n"
    assert keeper.adopt(read(tmp_path, text))
    after = keeper.world
    assert [deployment.model for deployment in after.snapshot.groups["haiku"]] == ["good/haiku", "good/added"]
    for group in ("haiku", "good/new", "good/standby"):
        for deployment in after.snapshot.groups[group]:
            assert after.targets[deployment.id] is before.targets[deployment.id]
    assert ("sonnet" in after.snapshot.groups, "opus" in after.snapshot.groups) == (False, True)
    assert after.snapshot.num_retries == 9
    assert told[-1] is keeper.snapshot
    assert before.snapshot.groups["sonnet"]


async def test_the_same_files_change_nothing(keeper: WorldKeeper, tmp_path: Path, told: list[Snapshot]) -> None:
    before = keeper.world
    assert not keeper.adopt(read(tmp_path, CONFIG))
    assert (keeper.world, told) == (before, [])


def test_what_of_other_files_cannot_be_called_is_logged(
    keeper: WorldKeeper, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="sekisho"):
        keeper.adopt(read(tmp_path, CONFIG.replace("good/sonnet", "nobody/sonnet")))
    assert "no provider here serves 'nobody/sonnet'" in caplog.text
    assert "haiku" in keeper.snapshot.groups
