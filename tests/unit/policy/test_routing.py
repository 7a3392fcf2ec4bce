from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.caller import Caller, Scope
from sekisho.core.errors import AccessDenied, InvalidRequest, UnknownModel
from sekisho.policy.naming import choose_model
from sekisho.policy.routing import Stage, chance_of_session, plan_roads

ADMIN = Caller(role="proxy_admin")


def deployment(name: str, group: str, **more: Any) -> Deployment:
    model = f"bedrock/converse/us.{name}"
    return Deployment(id=name, model_name=group, model=model, params={}, model_info={}, where="x:1", **more)


def snapshot(*deployments: Deployment, **more: Any) -> Snapshot:
    groups: dict[str, tuple[Deployment, ...]] = {}
    for one in deployments:
        groups[one.model_name] = (*groups.get(one.model_name, ()), one)
    return Snapshot(deployments=deployments, groups=groups, **more)


def chance_of(seed: int) -> Callable[[str], float]:
    dice = Random(seed)
    return lambda _: dice.random()


def plan(
    shot: Snapshot, group: str, resting: dict[str, float] | None = None, who: Caller = ADMIN, seed: int = 0
) -> list[tuple[str, list[str]]]:
    rest = resting or {}
    stages: list[Stage] = plan_roads(shot, who, group, None, lambda name: rest.get(name, 0.0), chance_of(seed))
    return [(stage.group, [one.id for one in stage.deployments]) for stage in stages]


def test_weights_decide_how_often_a_deployment_comes_first() -> None:
    shot = snapshot(deployment("a", "g", weight=9), deployment("b", "g", weight=1))
    firsts = Counter(plan(shot, "g", seed=seed)[0][1][0] for seed in range(2000))
    assert 1700 < firsts["a"] < 1900


def test_order_comes_before_weight() -> None:
    shot = snapshot(deployment("a", "g", order=2, weight=100), deployment("b", "g", order=1, weight=1))
    assert all(plan(shot, "g", seed=seed) == [("g", ["b", "a"])] for seed in range(20))


def test_what_rests_comes_last_and_the_first_to_wake_first() -> None:
    shot = snapshot(
        deployment("a", "g"),
        deployment("b", "g"),
        deployment("c", "g"),
        deployment("d", "f"),
        fallbacks={"g": ("f",)},
    )
    assert plan(shot, "g", {"a": 50, "b": 5}) == [("g", ["c"]), ("f", ["d"]), ("g", ["b", "a"])]
    assert plan(shot, "g", {"a": 50, "b": 5, "c": 9, "d": 1}) == [("g", ["b", "c", "a"]), ("f", ["d"])]


def test_fallbacks_are_bounded_without_loops_and_only_to_what_the_caller_may_use() -> None:
    shot = snapshot(
        *(deployment(name, name) for name in "abcd"), fallbacks={"a": ("a", "b", "b", "c", "d")}, max_fallbacks=2
    )
    assert [group for group, _ in plan(shot, "a")] == ["a", "b", "c"]
    who = Caller(role="internal_user", scopes=(Scope(kind="key", id="k", models=("a", "c")),))
    assert [group for group, _ in plan(shot, "a", who=who)] == ["a", "c"]


def test_without_failover_there_is_one_road() -> None:
    shot = snapshot(
        deployment("a", "g"), deployment("b", "g"), deployment("c", "f"), fallbacks={"g": ("f",)}, failover=False
    )
    assert len(plan(shot, "g")) == 1
    assert len(plan(shot, "g")[0][1]) == 1
    assert plan(shot, "g", {"a": 5, "b": 9}) == [("g", ["a"])]


def test_names_resolve_by_group_alias_and_upstream_id() -> None:
    shot = snapshot(deployment("claude", "g"), model_group_alias={"sonnet": "g"})
    for name in ("g", "sonnet", "bedrock/converse/us.claude", "us.claude", "bedrock/us.claude"):
        chosen = choose_model(shot, ADMIN, name)
        assert (chosen.group, chosen.asked) == ("g", name)


def test_an_unknown_name_is_answered_with_the_nearest_that_the_caller_may_use() -> None:
    shot = snapshot(deployment("a", "claude-sonnet"), deployment("b", "claude-sonnet-secret"))
    who = Caller(role="internal_user", scopes=(Scope(kind="key", id="k", models=("claude-sonnet",)),))
    with pytest.raises(UnknownModel, match="claude-sonnet") as unknown:
        choose_model(shot, who, "claude-sonet")
    assert "secret" not in unknown.value.message
    assert unknown.value.param == "model"


def test_the_default_model_serves_requests_without_a_model_and_unknown_ones_only_if_told_so() -> None:
    shot = snapshot(deployment("a", "g"), default_model="g")
    assert choose_model(shot, ADMIN, None).group == "g"
    with pytest.raises(UnknownModel):
        choose_model(shot, ADMIN, "nope")
    generous = snapshot(deployment("a", "g"), default_model="g", default_model_for_unknown=True)
    chosen = choose_model(generous, ADMIN, "nope")
    assert (chosen.group, chosen.asked) == ("g", "nope")
    assert chosen.warning is not None
    with pytest.raises(InvalidRequest, match="default_model"):
        choose_model(snapshot(deployment("a", "g")), ADMIN, None)


def test_the_default_model_too_must_be_allowed() -> None:
    who = Caller(role="internal_user", scopes=(Scope(kind="key", id="k", models=("other",)),))
    shot = snapshot(deployment("a", "g"), default_model="g", default_model_for_unknown=True)
    for name in (None, "nope", "g"):
        with pytest.raises(AccessDenied):
            choose_model(shot, who, name)


def first_of_session(shot: Snapshot, session: str, resting: str | None = None) -> str:
    rest = {resting: 5.0}
    stages = plan_roads(shot, ADMIN, "g", None, lambda name: rest.get(name, 0.0), chance_of_session(session))
    return stages[0].deployments[0].id


def test_a_session_stays_on_its_deployment_and_only_those_of_a_resting_one_move() -> None:
    shot = snapshot(deployment("a", "g", weight=3), deployment("b", "g", weight=1), deployment("c", "g", weight=1))
    sessions = [f"session-{number}" for number in range(2000)]
    homes = {session: first_of_session(shot, session) for session in sessions}
    assert homes == {session: first_of_session(shot, session) for session in sessions}
    shares = Counter(homes.values())
    assert 1100 < shares["a"] < 1300
    assert 320 < shares["b"] < 480
    without_b = {session: first_of_session(shot, session, resting="b") for session in sessions}
    assert all(without_b[session] == home for session, home in homes.items() if home != "b")
    assert "b" not in without_b.values()
