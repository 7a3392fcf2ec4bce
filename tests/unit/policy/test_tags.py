"""Tag routing, by LiteLLM's rules."""

import pytest

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.caller import Caller
from sekisho.core.errors import AccessDenied, InvalidRequest
from sekisho.policy.tags import check_client_tags, check_tags, match_tags, tags_of


def deployments(**tags: tuple[str, ...]) -> tuple[Deployment, ...]:
    return tuple(
        Deployment(id=name, model_name="m", model="m", params={}, model_info={}, where="", tags=own)
        for name, own in tags.items()
    )


GROUP = deployments(a=("team-a",), b=("team-b", "fast"), plain=(), spare=("default",))


@pytest.mark.parametrize(
    ("tags", "any_of", "all_of"),
    [
        ({"team-a"}, ["a"], ["a"]),
        ({"team-a", "fast"}, ["a", "b"], ["spare"]),
        ({"team-b", "fast"}, ["b"], ["b"]),
        ({"team-c"}, ["spare"], ["spare"]),
        (set(), ["spare"], ["spare"]),
    ],
)
def test_tags_choose_deployments(tags: set[str], any_of: list[str], all_of: list[str]) -> None:
    for match_any, expected in ((True, any_of), (False, all_of)):
        snapshot = Snapshot(
            deployments=GROUP, groups={"m": GROUP}, enable_tag_filtering=True, tag_filtering_match_any=match_any
        )
        assert [found.id for found in match_tags(snapshot, GROUP, frozenset(tags))] == expected


def test_without_a_default() -> None:
    group = deployments(a=("team-a",), plain=())
    snapshot = Snapshot(deployments=group, groups={"m": group}, enable_tag_filtering=True)
    assert match_tags(snapshot, group, frozenset({"team-b"})) == ()  # all are for others
    assert match_tags(snapshot, group, frozenset()) == group


def test_tags_mean_nothing_unless_switched_on() -> None:
    snapshot = Snapshot(deployments=GROUP, groups={"m": GROUP})
    assert match_tags(snapshot, GROUP, frozenset({"team-a"})) is GROUP


def test_the_tags_of_a_call_are_those_of_its_caller_and_its_own() -> None:
    assert tags_of(Caller(role="internal_user", tags=("team-a",)), ["fast"]) == {"team-a", "fast"}


def test_requests_may_be_kept_from_giving_tags() -> None:
    strict = Snapshot(deployments=GROUP, groups={"m": GROUP}, reject_client_tags=True)
    check_client_tags(strict, [])
    check_client_tags(Snapshot(deployments=GROUP, groups={"m": GROUP}), ["team-a"])
    with pytest.raises(AccessDenied):
        check_client_tags(strict, ["team-a"])


def test_a_call_that_all_deployments_are_not_for_is_refused() -> None:
    group = deployments(a=("team-a",))
    snapshot = Snapshot(deployments=group, groups={"m": group}, enable_tag_filtering=True)
    check_tags(snapshot, "m", frozenset({"team-a"}))
    with pytest.raises(InvalidRequest, match="other, team-b"):
        check_tags(snapshot, "m", frozenset({"team-b", "other"}))
