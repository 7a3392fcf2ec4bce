"""Organisations, projects, members, customers, tags and access groups over HTTP, on each kind of database."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.admin import Admin, error_of, hash_of, serve_on_each_database

_numbers = itertools.count()


def unique(name: str) -> str:
    return f"{name}-{next(_numbers)}"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def admin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    """The admin API over one database that the tests of this module share: what they name is unique."""
    yield from serve_on_each_database(request.param, tmp_path_factory.mktemp("store"))


def new_organization(admin: Admin, **fields: Any) -> str:
    made: str = admin.make("/organization/new", {"organization_alias": unique("o"), **fields})["organization_id"]
    return made


def new_team(admin: Admin, **fields: Any) -> str:
    made: str = admin.make("/team/new", fields)["team_id"]
    return made


# Organisations


def test_an_organization_is_shown_with_its_teams_and_members(admin: Admin) -> None:
    alias, user = unique("o"), unique("u")
    made = admin.make("/organization/new", {"organization_alias": alias, "max_budget": 100, "models": ["sonnet"]})
    name = made["organization_id"]
    assert made["litellm_budget_table"]["max_budget"] == 100
    team = new_team(admin, organization_id=name)
    added = admin.make(
        "/organization/member_add",
        {"organization_id": name, "member": {"role": "org_admin", "user_id": user}},
    )
    assert added["updated_organization_memberships"][0]["user_role"] == "org_admin"
    key = admin.new_key(team_id=team, organization_id=name)
    admin.record(10**9, key_hash=hash_of(key), team_id=team, organization_id=name)
    shown = admin.read("/organization/info", organization_id=name)
    assert (shown["organization_alias"], shown["models"], shown["spend"]) == (alias, ["sonnet"], 1)
    assert [one["team_id"] for one in shown["teams"]] == [team]
    (member,) = shown["members"]
    assert (member["organization_id"], member["user_id"], member["user_role"]) == (name, user, "org_admin")
    assert admin.read("/organization/list", org_alias=alias) == [shown]
    assert admin.read("/organization/list", org_id=name) == [shown]
    error_of(admin.get("/organization/info", organization_id="no"), 404)
    again = {"organization_alias": "x", "organization_id": name}
    assert error_of(admin.post("/organization/new", again), 400)["param"] == "organization_id"


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_an_organization_and_its_members_are_changed(admin: Admin, method: str) -> None:
    name, user = new_organization(admin), unique("u")
    changed = admin.send(method, "/organization/update", {"organization_id": name, "blocked": True, "rpm_limit": 3})
    assert (changed.status, changed.json()["blocked"], changed.json()["rpm_limit"]) == (200, True, 3)
    admin.make("/organization/member_add", {"organization_id": name, "member": [{"user_id": user}]})
    member = {"organization_id": name, "user_id": user}
    updated = admin.send(method, "/organization/member_update", {**member, "role": "org_admin"})
    assert updated.json()["user_role"] == "org_admin"
    remove = "DELETE" if method == "PATCH" else "POST"
    assert admin.send(remove, "/organization/member_delete", member).json() == member
    assert admin.send(remove, "/organization/member_delete", member).status == 404
    assert admin.read("/organization/info", organization_id=name)["members"] == []


@pytest.mark.parametrize("method", ["DELETE", "POST"])
def test_an_organization_is_deleted_with_what_belongs_to_it(admin: Admin, method: str) -> None:
    name = new_organization(admin)
    team = new_team(admin, organization_id=name)
    key, own = admin.new_key(team_id=team), admin.new_key(organization_id=name)
    refused = admin.send(method, "/organization/delete", {"organization_ids": [name, "no"]})
    assert refused.status == 404
    assert admin.get("/key/info", by=key).status == 200
    deleted = admin.send(method, "/organization/delete", {"organization_ids": [name]})
    assert [one["organization_id"] for one in deleted.json()] == [name]
    for gone in (key, own):
        assert admin.get("/key/info", by=gone).status == 401
    error_of(admin.get("/team/info", team_id=team), 404)


def test_a_key_belongs_to_places_that_fit_together(admin: Admin) -> None:
    one, two = new_organization(admin), new_organization(admin)
    team = new_team(admin, organization_id=one)
    project = admin.make("/project/new", {"team_id": team})["project_id"]
    made = admin.make("/key/generate", {"project_id": project})
    assert (made["team_id"], made["project_id"]) == (team, project)
    for wrong in (
        {"team_id": team, "organization_id": two},
        {"team_id": new_team(admin), "project_id": project},
        {"organization_id": "no"},
        {"project_id": "no"},
        {"access_group_ids": ["no"]},
    ):
        error_of(admin.post("/key/generate", wrong), 400)
    assert error_of(admin.post("/key/update", {"key": made["key"], "organization_id": two}), 400)


# Projects


@pytest.mark.parametrize("method", ["DELETE", "POST"])
def test_a_project_is_made_shown_changed_and_deleted(admin: Admin, method: str) -> None:
    team = new_team(admin)
    made = admin.make("/project/new", {"team_id": team, "project_alias": "a", "description": "d", "max_budget": 3})
    name = made["project_id"]
    assert (made["team_id"], made["max_budget"], made["litellm_budget_table"]["max_budget"]) == (team, 3, 3)
    assert admin.read("/project/info", project_id=name) == made
    assert admin.read("/project/list", team_id=team) == [made]
    assert name in [one["project_id"] for one in admin.read("/project/list")]
    changed = admin.make("/project/update", {"project_id": name, "description": None, "blocked": True})
    assert (changed["description"], changed["blocked"], changed["project_alias"]) == (None, True, "a")
    key = admin.new_key(project_id=name)
    refused = admin.send(method, "/project/delete", {"project_ids": [name]})
    assert (refused.status, "has keys" in refused.json()["error"]["message"]) == (400, True)
    admin.make("/key/delete", {"keys": [key]})
    assert admin.send(method, "/project/delete", {"project_ids": [name]}).status == 200
    error_of(admin.get("/project/info", project_id=name), 404)
    error_of(admin.post("/project/new", {"team_id": "no"}), 404)


# Members of teams


def test_a_members_limits_are_changed_and_the_member_removed(admin: Admin) -> None:
    team, user, email = new_team(admin), unique("u"), unique("m") + "@example.com"
    member = {"user_id": user, "user_email": email}
    admin.make("/team/member_add", {"team_id": team, "member": member, "max_budget_in_team": 1, "rpm_limit": 5})
    changed = admin.make("/team/member_update", {"team_id": team, "user_email": email, "role": "admin"})
    assert (changed["user_id"], changed["role"], changed["max_budget_in_team"]) == (user, "admin", 1)
    changed = admin.make("/team/member_update", {"team_id": team, "user_id": user, "max_budget_in_team": None})
    assert (changed["max_budget_in_team"], changed["rpm_limit"], changed["role"]) == (None, 5, "admin")
    # Added again without limits, a member keeps those it has.
    again = admin.make("/team/member_add", {"team_id": team, "member": {"user_id": user}})
    assert again["updated_team_memberships"][0]["litellm_budget_table"]["rpm_limit"] == 5
    key = admin.new_key(team_id=team, user_id=user)
    left = admin.make("/team/member_delete", {"team_id": team, "user_id": user})
    assert left["members_with_roles"] == []
    assert admin.get("/key/info", by=key).status == 401
    error_of(admin.post("/team/member_delete", {"team_id": team, "user_id": user}), 404)
    error_of(admin.post("/team/member_update", {"team_id": team, "user_email": "no@example.com"}), 404)
    assert error_of(admin.post("/team/member_delete", {"team_id": team}), 400)["param"] == "user_id"


def test_many_members_are_added_with_the_teams_own_limits_for_them(admin: Admin) -> None:
    limits = {"team_member_budget": 2, "team_member_budget_duration": "1d", "team_member_rpm_limit": 7}
    made = admin.make("/team/new", limits)
    assert {name: made[name] for name in limits} == limits
    members = [{"user_id": unique("u")} for _ in range(3)] + [{"user_email": f"{unique('x')}@example.com"}] * 2
    added = admin.make("/team/bulk_member_add", {"team_id": made["team_id"], "members": members})
    assert len(added["members_with_roles"]) == 4
    body = {"team_id": made["team_id"], "team_member_budget": None, "team_member_budget_duration": None}
    changed = admin.make("/team/update", body)["data"]
    assert (changed["team_member_budget"], changed["team_member_rpm_limit"]) == (None, 7)


def test_a_member_that_is_removed_and_added_again_has_not_spent_less(admin: Admin) -> None:
    team, user = new_team(admin), unique("u")
    member = {"team_id": team, "member": {"user_id": user}, "max_budget_in_team": 1}
    admin.make("/team/member_add", member)
    admin.record(10**9, team_id=team, user_id=user)
    admin.read("/team/info", team_id=team)
    admin.make("/team/member_delete", {"team_id": team, "user_id": user})
    again = admin.make("/team/member_add", member)
    assert again["updated_team_memberships"][0]["spend"] == 1


# Teams


def test_a_team_is_blocked_unblocked_and_deleted(admin: Admin) -> None:
    team = new_team(admin)
    key = admin.new_key(team_id=team)
    assert admin.make("/team/block", {"team_id": team})["blocked"] is True
    assert admin.get("/key/info", by=key).status == 401
    assert admin.make("/team/unblock", {"team_id": team})["blocked"] is False
    assert admin.get("/key/info", by=key).status == 200
    error_of(admin.post("/team/delete", {"team_ids": [team, "no"]}), 404)
    assert admin.make("/team/delete", {"team_ids": [team]})["deleted_teams"] == [team]
    assert admin.get("/key/info", by=key).status == 401


def test_a_teams_list_of_models_grows_and_shrinks_but_never_to_everything(admin: Admin) -> None:
    team = new_team(admin, models=["a"])
    assert admin.make("/team/model/add", {"team_id": team, "models": ["b", "a"]})["models"] == ["a", "b"]
    assert admin.make("/team/model/delete", {"team_id": team, "models": ["a"]})["models"] == ["b"]
    assert admin.make("/team/model/delete", {"team_id": team, "models": ["b"]})["models"] == ["no-default-models"]


def test_teams_are_listed_by_page(admin: Admin) -> None:
    organization, alias = new_organization(admin), unique("alias")
    teams = {new_team(admin, organization_id=organization, team_alias=alias) for _ in range(3)}
    found: list[str] = []
    for page in (1, 2):
        body = admin.read("/v2/team/list", organization_id=organization, page=page, page_size=2)
        found += [team["team_id"] for team in body["teams"]]
        assert (body["total"], body["total_pages"]) == (3, 2)
    assert set(found) == teams
    assert len(admin.read("/v2/team/list", team_alias=alias)["teams"]) == 3
    assert len(admin.read("/team/list", organization_id=organization)) == 3


# Users


def test_a_user_is_changed_and_deleted(admin: Admin) -> None:
    user, email = unique("u"), unique("m") + "@example.com"
    admin.make("/user/new", {"user_id": user, "user_email": email, "auto_create_key": False, "max_budget": 1})
    error_of(admin.post("/user/new", {"user_email": email.upper()}), 409)
    changed = admin.make(
        "/user/update", {"user_email": email.upper(), "user_role": "internal_user_viewer", "max_budget": None}
    )
    assert (changed["user_id"], changed["data"]["user_role"]) == (user, "internal_user_viewer")
    assert changed["data"]["max_budget"] is None
    other = admin.make("/user/new", {"auto_create_key": False})["user_id"]
    error_of(admin.post("/user/update", {"user_id": other, "user_email": email}), 409)
    results = admin.make("/user/bulk_update", {"users": [{"user_id": user, "rpm_limit": 2}, {"user_id": "no"}]})
    assert (results["successful_updates"], results["failed_updates"]) == (1, 1)
    assert [one["success"] for one in results["results"]] == [True, False]
    key = admin.new_key(user_id=user)
    error_of(admin.post("/user/delete", {"user_ids": [user, "no"]}), 404)
    assert admin.make("/user/delete", {"user_ids": [user]}) == {"deleted_users": 1}
    assert admin.get("/key/info", by=key).status == 401
    error_of(admin.post("/user/update", {"user_id": user}), 404)


def test_a_user_is_made_a_member_of_organizations(admin: Admin) -> None:
    organization = new_organization(admin)
    made = admin.make("/user/new", {"organizations": [organization]})
    assert made["organizations"] == [organization]
    shown = admin.read("/organization/info", organization_id=organization)
    assert [member["user_id"] for member in shown["members"]] == [made["user_id"]]
    refused = error_of(admin.post("/user/new", {"organizations": ["no"], "user_id": unique("u")}), 400)
    assert refused["param"] == "organization_id"


# Customers and tags


@pytest.mark.parametrize("prefix", ["/customer", "/end_user"])
def test_a_customer_is_made_known_changed_blocked_and_forgotten(admin: Admin, prefix: str) -> None:
    user = unique("c")
    admin.record(10**9, end_user=user)
    made = admin.make(f"{prefix}/new", {"user_id": user, "alias": "a", "max_budget": 5, "default_model": "sonnet"})
    assert (made["user_id"], made["alias"], made["max_budget"], made["blocked"]) == (user, "a", 5, False)
    assert made["litellm_budget_table"]["max_budget"] == 5
    shown = admin.read(f"{prefix}/info", end_user_id=user)
    assert shown["spend"] == 1
    assert shown in admin.read(f"{prefix}/list")
    assert len(admin.read(f"{prefix}/list", page_size=1)) == 1
    changed = admin.make(f"{prefix}/update", {"user_id": user, "alias": None, "rpm_limit": 2})
    assert (changed["alias"], changed["rpm_limit"], changed["max_budget"]) == (None, 2, 5)
    unknown = unique("c")
    blocked = admin.make(f"{prefix}/block", {"user_ids": [user, unknown]})["blocked_users"]
    assert [(one["user_id"], one["blocked"]) for one in blocked] == [(user, True), (unknown, True)]
    assert admin.make(f"{prefix}/unblock", {"user_ids": [user]})["unblocked_users"][0]["blocked"] is False
    error_of(admin.post(f"{prefix}/unblock", {"user_ids": [unique("no")]}), 404)
    error_of(admin.post(f"{prefix}/delete", {"user_ids": [user, "no"]}), 404)
    assert admin.make(f"{prefix}/delete", {"user_ids": [user, unknown]})["deleted_customers"] == 2
    error_of(admin.get(f"{prefix}/info", end_user_id=user), 404)


def test_a_customer_that_only_calls_have_told_of_is_shown_and_can_be_changed(admin: Admin) -> None:
    user = unique("c")
    error_of(admin.post("/customer/update", {"user_id": user, "max_budget": 3}), 404)
    admin.record(10**9, end_user=user)
    assert admin.read("/customer/info", end_user_id=user)["spend"] == 1
    changed = admin.make("/customer/update", {"user_id": user, "max_budget": 3})
    assert (changed["max_budget"], changed["spend"], changed["created_at"] is not None) == (3, 1, True)
    admin.make("/customer/delete", {"user_ids": [user]})
    assert admin.make("/customer/new", {"user_id": user})["spend"] == 0


def test_a_tag_is_made_known_changed_and_forgotten(admin: Admin) -> None:
    name = unique("t")
    made = admin.make("/tag/new", {"name": name, "description": "d", "models": ["sonnet"], "max_budget": 5})["tag"]
    assert (made["name"], made["description"], made["models"]) == (name, "d", ["sonnet"])
    assert error_of(admin.post("/tag/new", {"name": name}), 400)["param"] == "name"
    admin.record(10**9, tags=(name,))
    assert admin.make("/tag/info", {"names": [name, "no"]}) == {name: {**made, "spend": 1, "total_spend": 1}}
    assert name in [tag["name"] for tag in admin.read("/tag/list")]
    changed = admin.make("/tag/update", {"name": name, "max_budget": None})["tag"]
    assert (changed["max_budget"], changed["description"]) == (None, "d")
    admin.make("/tag/delete", {"name": name})
    for path, body in (
        ("/tag/delete", {"name": name}),
        ("/tag/update", {"name": name}),
        ("/tag/info", {"names": [name]}),
    ):
        error_of(admin.post(path, body), 404)


# Access groups


def test_an_access_group_is_made_changed_and_deleted(admin: Admin) -> None:
    name = unique("g")
    made = admin.make("/access_group/new", {"access_group": name, "model_names": ["sonnet", "more"]})
    assert (made["model_names"], made["deployment_count"]) == (["sonnet", "more"], 1)
    assert admin.read(f"/access_group/{name}/info") == made
    assert admin.read("/access_group/info", access_group=name) == made
    assert made in admin.read("/access_group/list")["access_groups"]
    error_of(admin.post("/access_group/new", {"access_group": name, "model_names": ["x"]}), 409)
    changed = admin.send("PUT", f"/access_group/{name}/update", {"model_names": ["mystery"]}).json()
    assert changed["model_names"] == ["mystery"]
    changed = admin.make("/access_group/update", {"access_group": name, "description": "d"})
    assert (changed["model_names"], changed["description"]) == (["mystery"], "d")
    assert admin.send("DELETE", f"/access_group/{name}/delete", None).status == 200
    for method, path, body in (
        ("GET", f"/access_group/{name}/info", None),
        ("PUT", f"/access_group/{name}/update", {}),
        ("DELETE", f"/access_group/{name}/delete", None),
        ("POST", "/access_group/delete", {"access_group": name}),
    ):
        error_of(admin.send(method, path, body), 404)


def test_a_list_of_models_that_names_an_access_group_allows_its_models(admin: Admin) -> None:
    name, empty = unique("g"), unique("g")
    admin.make("/access_group/new", {"access_group": name, "model_names": ["sonnet"]})
    admin.make("/access_group/new", {"access_group": empty, "model_names": ["nothing"]})
    for fields in ({"models": [name]}, {"access_group_ids": [name]}):
        key = admin.new_key(**fields)
        assert [model["id"] for model in admin.read("/models", by=key)["data"]] == ["sonnet"]
    admin.make("/access_group/update", {"access_group": name, "model_names": ["mystery"]})
    assert [model["id"] for model in admin.read("/models", by=key)["data"]] == ["mystery"]
    admin.make("/access_group/delete", {"access_group": name})
    assert admin.read("/models", by=key)["data"] == []
