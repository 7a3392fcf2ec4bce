"""Every endpoint of the admin API, called by every role, about what is its own and about what is somebody else's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support.admin import serve_on_each_database
from tests.support.gateway import Answer
from tests.support.places import (
    ADMIN,
    EVERYBODY,
    LEADER,
    ORGANIZER,
    USER,
    USER_ROLES,
    VIEWER,
    Place,
    World,
    build_world,
    unique,
)

from sekisho.identity.rights import RIGHTS, ROLES

DENIED = {401, 403, 404}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    for admin in serve_on_each_database("sqlite", tmp_path_factory.mktemp("store")):
        yield build_world(admin)


@dataclass(frozen=True)
class Case:
    """One endpoint: how it is called about something in a place, and who may.

    ask: from a place and an endpoint's path to method, path, and body or query.
    shows: what must stand in an answer that is no refusal.
    """

    ask: Callable[[Place], tuple[str, str, dict[str, Any]]]
    own: set[str]
    foreign: set[str]
    shows: Callable[[Place], str] = lambda _: ""


def post(path: str, body: Callable[[Place], dict[str, Any]]) -> Callable[[Place], tuple[str, str, dict[str, Any]]]:
    return lambda place: ("POST", path, body(place))


def get(path: str, query: Callable[[Place], dict[str, Any]]) -> Callable[[Place], tuple[str, str, dict[str, Any]]]:
    return lambda place: ("GET", path, query(place))


def member_of(place: Place) -> dict[str, Any]:
    return {"team_id": place.team, "user_id": place.joined()}


def in_organization(place: Place) -> dict[str, Any]:
    return {"organization_id": place.organization, "user_id": place.joined()}


ADMINS = ({ADMIN}, {ADMIN})
OVERSEERS = ({ADMIN, VIEWER}, {ADMIN, VIEWER})
ORGANIZERS = ({ADMIN, ORGANIZER}, {ADMIN})
MANAGERS = ({ADMIN, ORGANIZER, LEADER}, {ADMIN})
OWNERS = ({ADMIN, USER}, {ADMIN})

CASES: dict[str, Case] = {
    "/key/generate": Case(post("/key/generate", lambda p: {"user_id": p.joined()}), {ADMIN}, {ADMIN}),
    "/key/service-account/generate": Case(
        post("/key/service-account/generate", lambda p: {"team_id": p.team}), *MANAGERS
    ),
    "/key/info": Case(
        get("/key/info", lambda p: {"key": p.key()}), {ADMIN, VIEWER, ORGANIZER, LEADER, USER}, {ADMIN, VIEWER}
    ),
    "/key/list": Case(
        get("/key/list", lambda p: {"team_id": p.team, "size": 1000}),
        {ADMIN, VIEWER, ORGANIZER, LEADER},
        {ADMIN, VIEWER},
    ),
    "/v2/key/info": Case(
        post("/v2/key/info", lambda p: {"keys": [p.key()]}),
        {ADMIN, VIEWER, ORGANIZER, LEADER, USER},
        {ADMIN, VIEWER},
        lambda p: p.member,
    ),
    "/key/aliases": Case(
        get("/key/aliases", lambda p: {"search": p.named_key(), "size": 1000}),
        {ADMIN, VIEWER, ORGANIZER, LEADER, USER},
        {ADMIN, VIEWER},
        lambda p: f"of-{p.team}",
    ),
    "/key/health": Case(post("/key/health", lambda p: {}), EVERYBODY, EVERYBODY),
    "/key/update": Case(post("/key/update", lambda p: {"key": p.key(), "rpm_limit": 1}), *MANAGERS),
    "/key/bulk_update": Case(
        post("/key/bulk_update", lambda p: {"keys": [{"key": p.key(), "rpm_limit": 1}]}),
        *MANAGERS,
        shows=lambda p: '"failed_updates":[]',
    ),
    "/key/delete": Case(post("/key/delete", lambda p: {"keys": [p.key()]}), {ADMIN, ORGANIZER, LEADER, USER}, {ADMIN}),
    "/key/block": Case(post("/key/block", lambda p: {"key": p.key()}), *MANAGERS),
    "/key/unblock": Case(post("/key/unblock", lambda p: {"key": p.key()}), *MANAGERS),
    "/key/regenerate": Case(post("/key/regenerate", lambda p: {"key": p.key()}), *OWNERS),
    "/key/{key}/regenerate": Case(lambda p: ("POST", f"/key/{p.key()}/regenerate", {}), *OWNERS),
    "/key/{key}/reset_spend": Case(lambda p: ("POST", f"/key/{p.key()}/reset_spend", {"reset_to": 0}), *MANAGERS),
    "/key/aws_credentials": Case(post("/key/aws_credentials", lambda p: {"key": p.key()}), *OWNERS),
    "/team/new": Case(post("/team/new", lambda p: {"organization_id": p.organization}), *ORGANIZERS),
    "/team/info": Case(get("/team/info", lambda p: {"team_id": p.team}), EVERYBODY, {ADMIN, VIEWER}),
    "/team/list": Case(get("/team/list", lambda p: {}), EVERYBODY, {ADMIN, VIEWER}, lambda p: p.team),
    "/v2/team/list": Case(
        get("/v2/team/list", lambda p: {"organization_id": p.organization, "page_size": 100}),
        EVERYBODY,
        {ADMIN, VIEWER},
        lambda p: p.team,
    ),
    "/team/available": Case(get("/team/available", lambda p: {}), EVERYBODY, EVERYBODY),
    "/team/permissions_list": Case(
        get("/team/permissions_list", lambda p: {"team_id": p.team}),
        {ADMIN, VIEWER, ORGANIZER, LEADER},
        {ADMIN, VIEWER},
    ),
    "/team/permissions_update": Case(
        post("/team/permissions_update", lambda p: {"team_id": p.team, "team_member_permissions": []}), *MANAGERS
    ),
    "/team/update": Case(post("/team/update", lambda p: {"team_id": p.team, "team_alias": "x"}), *MANAGERS),
    "/team/delete": Case(post("/team/delete", lambda p: {"team_ids": [p.new_team()]}), *ORGANIZERS),
    "/team/block": Case(post("/team/block", lambda p: {"team_id": p.new_team()}), *ORGANIZERS),
    "/team/unblock": Case(post("/team/unblock", lambda p: {"team_id": p.team}), *ORGANIZERS),
    "/team/model/add": Case(post("/team/model/add", lambda p: {"team_id": p.team, "models": ["*"]}), *ORGANIZERS),
    "/team/model/delete": Case(
        post("/team/model/delete", lambda p: {"team_id": p.team, "models": ["no"]}), *ORGANIZERS
    ),
    "/team/member_add": Case(
        post("/team/member_add", lambda p: {"team_id": p.team, "member": {"user_id": unique("n")}}), *MANAGERS
    ),
    "/team/bulk_member_add": Case(
        post("/team/bulk_member_add", lambda p: {"team_id": p.team, "members": [{"user_id": unique("n")}]}), *MANAGERS
    ),
    "/team/member_update": Case(post("/team/member_update", lambda p: {**member_of(p), "rpm_limit": 1}), *MANAGERS),
    "/team/member_delete": Case(post("/team/member_delete", member_of), *MANAGERS),
    "/user/new": Case(post("/user/new", lambda p: {"organizations": [p.organization]}), *ORGANIZERS),
    "/user/info": Case(get("/user/info", lambda p: {"user_id": p.member}), {ADMIN, VIEWER, USER}, {ADMIN, VIEWER}),
    "/v2/user/info": Case(
        get("/v2/user/info", lambda p: {"user_id": p.member}), {ADMIN, VIEWER, USER}, {ADMIN, VIEWER}
    ),
    "/user/available_roles": Case(get("/user/available_roles", lambda p: {}), EVERYBODY, EVERYBODY),
    "/user/list": Case(get("/user/list", lambda p: {}), *OVERSEERS),
    "/user/update": Case(post("/user/update", lambda p: {"user_id": p.member, "user_alias": "x"}), *ADMINS),
    "/user/bulk_update": Case(
        post("/user/bulk_update", lambda p: {"users": [{"user_id": p.member, "user_alias": "x"}]}), *ADMINS
    ),
    "/user/delete": Case(post("/user/delete", lambda p: {"user_ids": [p.joined()]}), *ADMINS),
    "/organization/new": Case(post("/organization/new", lambda p: {"organization_alias": "x"}), *ADMINS),
    "/organization/info": Case(
        get("/organization/info", lambda p: {"organization_id": p.organization}), EVERYBODY, {ADMIN, VIEWER}
    ),
    "/organization/list": Case(
        get("/organization/list", lambda p: {}), EVERYBODY, {ADMIN, VIEWER}, shows=lambda p: p.organization
    ),
    "/organization/update": Case(
        post("/organization/update", lambda p: {"organization_id": p.organization, "metadata": {"a": 1}}), *ORGANIZERS
    ),
    "/organization/delete": Case(
        post(
            "/organization/delete",
            lambda p: {"organization_ids": [p.made("/organization/new", organization_alias="x")["organization_id"]]},
        ),
        *ADMINS,
    ),
    "/organization/member_add": Case(
        post(
            "/organization/member_add",
            lambda p: {"organization_id": p.organization, "member": {"user_id": unique("n")}},
        ),
        *ORGANIZERS,
    ),
    "/organization/member_update": Case(
        post("/organization/member_update", lambda p: {**in_organization(p), "role": "internal_user"}), *ORGANIZERS
    ),
    "/organization/member_delete": Case(post("/organization/member_delete", in_organization), *ORGANIZERS),
    "/project/new": Case(post("/project/new", lambda p: {"team_id": p.team}), *MANAGERS),
    "/project/info": Case(get("/project/info", lambda p: {"project_id": p.project()}), EVERYBODY, {ADMIN, VIEWER}),
    "/project/list": Case(
        get("/project/list", lambda p: {"team_id": p.team, "_": p.project()}),
        EVERYBODY,
        {ADMIN, VIEWER},
        shows=lambda p: p.team,
    ),
    "/project/update": Case(post("/project/update", lambda p: {"project_id": p.project(), "blocked": True}), *MANAGERS),
    "/project/delete": Case(post("/project/delete", lambda p: {"project_ids": [p.project()]}), *MANAGERS),
    "/budget/new": Case(post("/budget/new", lambda p: {"max_budget": 1}), *ADMINS),
    "/budget/info": Case(post("/budget/info", lambda p: {"budgets": ["b"]}), *OVERSEERS),
    "/budget/list": Case(get("/budget/list", lambda p: {}), *OVERSEERS),
    "/budget/alerts": Case(get("/budget/alerts", lambda p: {}), *OVERSEERS),
    "/budget/settings": Case(
        get("/budget/settings", lambda p: {"budget_id": p.made("/budget/new")["budget_id"]}), *OVERSEERS
    ),
    "/budget/update": Case(
        post("/budget/update", lambda p: {"budget_id": p.made("/budget/new")["budget_id"], "rpm_limit": 1}), *ADMINS
    ),
    "/budget/delete": Case(post("/budget/delete", lambda p: {"id": p.made("/budget/new")["budget_id"]}), *ADMINS),
    "/tag/new": Case(post("/tag/new", lambda p: {"name": unique("t")}), *ADMINS),
    "/tag/info": Case(
        post("/tag/info", lambda p: {"names": [p.made("/tag/new", name=unique("t"))["tag"]["name"]]}), *OVERSEERS
    ),
    "/tag/list": Case(get("/tag/list", lambda p: {}), *OVERSEERS),
    "/tag/update": Case(
        post("/tag/update", lambda p: {"name": p.made("/tag/new", name=unique("t"))["tag"]["name"]}), *ADMINS
    ),
    "/tag/delete": Case(
        post("/tag/delete", lambda p: {"name": p.made("/tag/new", name=unique("t"))["tag"]["name"]}), *ADMINS
    ),
    "/models": Case(get("/models", lambda p: {}), EVERYBODY, EVERYBODY),
    "/v1/models": Case(get("/v1/models", lambda p: {}), EVERYBODY, EVERYBODY),
    "/model/info": Case(get("/model/info", lambda p: {}), EVERYBODY, EVERYBODY),
    "/v1/model/info": Case(get("/v1/model/info", lambda p: {}), EVERYBODY, EVERYBODY),
    "/v2/model/info": Case(get("/v2/model/info", lambda p: {}), EVERYBODY, EVERYBODY),
    "/model_group/info": Case(get("/model_group/info", lambda p: {}), EVERYBODY, EVERYBODY),
}


def customer(place: Place) -> str:
    user: str = place.made("/customer/new", user_id=unique("c"))["user_id"]
    return user


def group(place: Place) -> str:
    name: str = place.made("/access_group/new", access_group=unique("g"), model_names=["sonnet"])["access_group"]
    return name


for _prefix in ("/customer", "/end_user"):
    CASES |= {
        f"{_prefix}/new": Case(post(f"{_prefix}/new", lambda p: {"user_id": unique("c")}), *ADMINS),
        f"{_prefix}/info": Case(get(f"{_prefix}/info", lambda p: {"end_user_id": customer(p)}), *OVERSEERS),
        f"{_prefix}/list": Case(get(f"{_prefix}/list", lambda p: {}), *OVERSEERS),
        f"{_prefix}/update": Case(post(f"{_prefix}/update", lambda p: {"user_id": customer(p)}), *ADMINS),
        f"{_prefix}/block": Case(post(f"{_prefix}/block", lambda p: {"user_ids": [customer(p)]}), *ADMINS),
        f"{_prefix}/unblock": Case(post(f"{_prefix}/unblock", lambda p: {"user_ids": [customer(p)]}), *ADMINS),
        f"{_prefix}/delete": Case(post(f"{_prefix}/delete", lambda p: {"user_ids": [customer(p)]}), *ADMINS),
    }
CASES |= {
    "/access_group/new": Case(
        post("/access_group/new", lambda p: {"access_group": unique("g"), "model_names": ["sonnet"]}), *ADMINS
    ),
    "/access_group/info": Case(get("/access_group/info", lambda p: {"access_group": group(p)}), *OVERSEERS),
    "/access_group/list": Case(get("/access_group/list", lambda p: {}), *OVERSEERS),
    "/access_group/update": Case(post("/access_group/update", lambda p: {"access_group": group(p)}), *ADMINS),
    "/access_group/delete": Case(post("/access_group/delete", lambda p: {"access_group": group(p)}), *ADMINS),
    "/access_group/{access_group}/info": Case(lambda p: ("GET", f"/access_group/{group(p)}/info", {}), *OVERSEERS),
    "/access_group/{access_group}/update": Case(
        lambda p: ("PUT", f"/access_group/{group(p)}/update", {"model_names": ["sonnet"]}), *ADMINS
    ),
    "/access_group/{access_group}/delete": Case(lambda p: ("DELETE", f"/access_group/{group(p)}/delete", {}), *ADMINS),
}


def ask(place: Place, wanted: tuple[str, str, dict[str, Any]], key: str) -> Answer:
    method, path, content = wanted
    if method == "GET":
        return place.admin.get(path, by=key, **content)
    return place.admin.send(method, path, content, by=key)


@pytest.mark.parametrize("whose", ["own", "foreign"])
@pytest.mark.parametrize("path", CASES)
def test_who_may_do_what_about_what(world: World, path: str, whose: str) -> None:
    case = CASES[path]
    place: Place = getattr(world, whose)
    allowed: set[str] = getattr(case, whose)
    wanted = case.ask(place)
    for role in sorted(EVERYBODY - allowed):  # what is refused changes nothing, so that one thing does for all
        answer = ask(place, wanted, world.keys[role])
        hidden = answer.status == 200 and case.shows(place) not in answer.body.decode()
        assert answer.status in DENIED or hidden, (role, answer.status, answer.body)
    for role in sorted(allowed):
        answer = ask(place, case.ask(place), world.keys[role])
        assert answer.status == 200, (role, answer.body)
        assert case.shows(place) in answer.body.decode(), (role, answer.body)


@pytest.mark.parametrize("path", sorted(RIGHTS))
def test_the_role_alone_closes_a_path_to_those_who_have_no_right_to_it(world: World, path: str) -> None:
    """Of every path there is, also of those whose objects are walked elsewhere."""
    for role, key in world.keys.items():
        if USER_ROLES[role] in ROLES[RIGHTS[path]]:
            continue
        shown = path.replace("{key}", "x").replace("{access_group}", "x").replace("{model_id}", "x")
        answer = world.own.admin.get(shown, by=key)
        assert answer.status == 403, (role, answer.body)
        assert f"The role {USER_ROLES[role]} may not use {shown}" in answer.json()["error"]["message"]


def test_nobody_gets_in_without_a_key(world: World) -> None:
    for path in RIGHTS:
        assert world.own.admin.get(path.replace("{", "").replace("}", ""), by=None).status == 401
