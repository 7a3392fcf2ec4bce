"""Which models may stand in for another: in which order, how many, and never one that the caller may not use."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.caller import Caller, Scope
from sekisho.core.errors import RejectionReason, SekishoError, UpstreamRejected, UpstreamThrottled
from sekisho.policy.routing.fallbacks import find_budget_fallbacks, find_fallbacks

ADMIN = Caller(role="proxy_admin")
NAMES = ("opus", "sonnet", "haiku", "nova", "long", "mild")


def snapshot(**fields: Any) -> Snapshot:
    made: dict[str, tuple[Deployment, ...]] = {
        name: (Deployment(id=name, model_name=name, model=f"x/{name}", params={}, model_info={}, where="f:1"),)
        for name in NAMES
    }
    return Snapshot(deployments=tuple(one for group in made.values() for one in group), groups=made, **fields)


def limited_to(*models: str) -> Caller:
    return Caller(role="internal_user", scopes=(Scope(kind="key", id="k", models=models),))


def rejection(reason: RejectionReason) -> SekishoError:
    error = UpstreamRejected("no", verdict="never")
    error.reason = reason
    return error


def test_what_is_listed_for_the_model_comes_before_the_fallbacks_of_fallbacks() -> None:
    shot = snapshot(fallbacks={"opus": ("sonnet", "haiku"), "sonnet": ("nova", "opus"), "haiku": ("long",)})
    assert find_fallbacks(shot, ADMIN, "opus").regular == ("sonnet", "haiku", "nova", "long")


def test_defaults_serve_models_that_have_none_of_their_own_also_in_chains() -> None:
    shot = snapshot(fallbacks={"opus": ("sonnet",)}, default_fallbacks=("haiku",))
    assert find_fallbacks(shot, ADMIN, "opus").regular == ("sonnet", "haiku")
    assert find_fallbacks(shot, ADMIN, "nova").regular == ("haiku",)
    assert find_fallbacks(shot, ADMIN, "haiku").regular == ()


def test_the_kind_of_failure_decides() -> None:
    shot = snapshot(
        fallbacks={"opus": ("sonnet",)},
        context_window_fallbacks={"opus": ("long",)},
        content_policy_fallbacks={"opus": ("mild",)},
        budget_fallbacks={"opus": ("haiku", "nova")},
    )
    found = find_fallbacks(shot, ADMIN, "opus")
    assert found.after(UpstreamThrottled("slow", verdict="elsewhere")) == ("sonnet",)
    assert found.after(rejection("context_window")) == ("long",)
    assert found.after(rejection("content_policy")) == ("mild",)
    assert found.groups == ("sonnet", "long", "mild")
    assert find_budget_fallbacks(shot, ADMIN, "opus") == ("haiku", "nova")


def test_a_requests_own_fallbacks_replace_the_regular_ones_and_have_none_in_turn() -> None:
    shot = snapshot(fallbacks={"opus": ("sonnet",), "haiku": ("nova",)}, context_window_fallbacks={"opus": ("long",)})
    found = find_fallbacks(shot, ADMIN, "opus", ["haiku", "x/mild", "opus", "haiku", "unknown"])
    assert (found.regular, found.context_window, found.wished) == (("haiku", "mild"), ("long",), True)
    assert find_fallbacks(shot, ADMIN, "opus", []).regular == ()


def test_models_that_the_caller_may_not_use_are_left_out_with_their_own_fallbacks() -> None:
    shot = snapshot(fallbacks={"opus": ("sonnet", "haiku"), "sonnet": ("nova",)}, budget_fallbacks={"opus": ("nova",)})
    caller = limited_to("opus", "haiku")
    assert find_fallbacks(shot, caller, "opus").regular == ("haiku",)
    assert find_fallbacks(shot, caller, "opus", ["nova", "haiku"]).regular == ("haiku",)
    assert find_budget_fallbacks(shot, caller, "opus") == ()


def test_without_failover_nothing_stands_in() -> None:
    shot = snapshot(fallbacks={"opus": ("sonnet",)}, budget_fallbacks={"opus": ("nova",)}, failover=False)
    assert find_fallbacks(shot, ADMIN, "opus", ["haiku"]).groups == ()
    assert find_budget_fallbacks(shot, ADMIN, "opus") == ()


@pytest.mark.parametrize("most", [0, 1, 3])
def test_their_number_is_bounded(most: int) -> None:
    shot = snapshot(fallbacks={"opus": NAMES}, max_fallbacks=most)
    assert find_fallbacks(shot, ADMIN, "opus").regular == NAMES[1 : 1 + most]


@given(
    lists=st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4)),
    default=st.lists(st.sampled_from(NAMES), max_size=3),
    allowed=st.sets(st.sampled_from(NAMES), min_size=1),
    most=st.integers(0, 6),
)
def test_chains_of_any_shape_end_without_loops_or_forbidden_models(
    lists: dict[str, list[str]], default: list[str], allowed: set[str], most: int
) -> None:
    shot = snapshot(
        fallbacks={name: tuple(names) for name, names in lists.items()},
        default_fallbacks=tuple(default),
        max_fallbacks=most,
    )
    found = find_fallbacks(shot, limited_to(*allowed), "opus").regular
    assert len(found) == len(set(found)) <= most
    assert set(found) <= allowed - {"opus"}
