"""Ways in which somebody might come by more rights, money or keys than are theirs; each is closed."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.admin import hash_of, serve_on_each_database
from tests.support.places import LEADER, ORGANIZER, USER, World, build_world, unique


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    for admin in serve_on_each_database("sqlite", tmp_path_factory.mktemp("store")):
        yield build_world(admin)


def test_a_key_made_by_an_organizer_for_its_new_user_is_that_users(world: World) -> None:
    made = world.own.admin.make("/user/new", {"organizations": [world.own.organization]}, by=world.keys[ORGANIZER])
    own = world.own.admin.read("/user/info", by=made["key"])
    assert own["user_id"] == made["user_id"]
    assert own["organization_memberships"][0]["organization_id"] == world.own.organization


@pytest.mark.parametrize(
    "fields",
    [{"user_role": "proxy_admin"}, {"user_role": "proxy_admin_viewer"}, {"teams": "foreign"}, {"team_id": "foreign"}],
)
def test_an_organizer_makes_no_administrators_and_nobody_elsewhere(world: World, fields: dict[str, Any]) -> None:
    foreign = {"teams": [world.foreign.team], "team_id": world.foreign.team}
    asked = {name: foreign[name] if value == "foreign" else value for name, value in fields.items()}
    answer = world.own.admin.post(
        "/user/new", {"organizations": [world.own.organization], **asked}, by=world.keys[ORGANIZER]
    )
    assert answer.status == 403, answer.body


@pytest.mark.parametrize("role", [ORGANIZER, LEADER, USER])
def test_a_key_cannot_be_made_at_the_expense_of_another_organization(world: World, role: str) -> None:
    place, foreign = world.own, world.foreign
    for fields in (
        {"organization_id": foreign.organization},
        {"team_id": foreign.team},
        {"project_id": foreign.project()},
    ):
        answer = place.admin.post("/key/generate", fields, by=world.keys[role])
        assert answer.status in {403, 404}, (fields, answer.body)


@pytest.mark.parametrize("role", [ORGANIZER, LEADER])
def test_a_manager_cannot_give_a_key_away_or_call_in_its_owners_name(world: World, role: str) -> None:
    place = world.own
    key, by = place.key(), world.keys[role]
    changes: list[dict[str, Any]] = [
        {"user_id": unique("u")},
        {"team_id": world.foreign.team},
        {"organization_id": world.foreign.organization},
        {"key_type": "default"},
        {"allowed_routes": []},
    ]
    for fields in changes:
        assert place.admin.post("/key/update", {"key": key, **fields}, by=by).status == 403, fields
    assert place.admin.post(f"/key/{hash_of(key)}/regenerate", {}, by=by).status == 403
    service = place.admin.make("/key/service-account/generate", {"team_id": place.team}, by=by)["key"]
    assert place.admin.make(f"/key/{service}/regenerate", {}, by=by)["user_id"] is None


@pytest.mark.parametrize("field", ["max_budget", "models", "organization_id", "blocked", "team_member_budget"])
def test_a_teams_own_administrator_does_not_set_its_limits(world: World, field: str) -> None:
    values = {"models": ["x"], "organization_id": world.own.organization, "blocked": True}
    body = {"team_id": world.own.team, field: values.get(field, 1)}
    assert world.own.admin.post("/team/update", body, by=world.keys[LEADER]).status == 403


def test_a_team_is_moved_between_organizations_by_a_proxy_administrator_only(world: World) -> None:
    body = {"team_id": world.own.new_team(), "organization_id": world.foreign.organization}
    assert world.own.admin.post("/team/update", body, by=world.keys[ORGANIZER]).status == 403
    assert world.own.admin.make("/team/update", body)["data"]["organization_id"] == world.foreign.organization


def test_an_owner_regenerates_its_key_but_changes_no_limit_by_it(world: World) -> None:
    key = world.own.admin.new_key(user_id=world.own.member, max_budget=1)
    by = world.keys[USER]
    assert world.own.admin.post(f"/key/{key}/regenerate", {"max_budget": 100}, by=by).status == 403
    assert world.own.admin.post(f"/key/{key}/regenerate", {"duration": "30d"}, by=by).status == 403
    assert world.own.admin.make(f"/key/{key}/regenerate", {}, by=by)["max_budget"] == 1
