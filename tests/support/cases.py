"""Every endpoint of the admin API: how it is called about something in a place, and which roles may."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.admin import hash_of
from tests.support.places import ADMIN, EVERYBODY, LEADER, ORGANIZER, USER, VIEWER, Place, unique


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
    "/user/update": Case(post("/user/update", lambda p: {"user_id": p.member, "user_alias": unique("x")}), *ADMINS),
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


DAYS = {"start_date": "2023-11-14", "end_date": "2023-11-14"}


def model_entry(model_id: str) -> dict[str, Any]:
    """A deployment for `/model/new`."""
    parameters = {"model": "bedrock/nobody.knows", "aws_region_name": "us-east-1"}
    return {"model_name": "stored", "litellm_params": parameters, "model_info": {"id": model_id}}


def model(place: Place) -> str:
    name = unique("m")
    place.made("/model/new", **model_entry(name))
    return name


def fallback(place: Place) -> dict[str, Any]:
    wanted = {"model": "sonnet", "fallback_models": ["mystery"], "fallback_type": "general"}
    place.made("/fallback", **wanted)
    return wanted


def used_key(place: Place) -> str:
    """A key of the place's member, with a call in its team and its organisation."""
    key = place.key()
    named = {"user_id": place.member, "team_id": place.team, "organization_id": place.organization}
    place.admin.record(5, key_hash=hash_of(key), tags=(place.member,), **named)
    return key


def spend(place: Place) -> dict[str, Any]:
    """The day of such a call."""
    used_key(place)
    return dict(DAYS)


SEERS = ({ADMIN, VIEWER, USER}, {ADMIN, VIEWER})
INSIDERS = (EVERYBODY, {ADMIN, VIEWER})
for _prefix in ("", "/v1", "/anthropic/v1"):
    CASES |= {
        f"{_prefix}/models": Case(get(f"{_prefix}/models", lambda p: {}), EVERYBODY, EVERYBODY),
        f"{_prefix}/models/{{model}}": Case(get(f"{_prefix}/models/sonnet", lambda p: {}), EVERYBODY, EVERYBODY),
    }
CASES |= {
    "/model/new": Case(post("/model/new", lambda p: model_entry(unique("m"))), *ADMINS),
    "/model/update": Case(post("/model/update", lambda p: model_entry(model(p)) | {"model_name": "other"}), *ADMINS),
    "/model/{model_id}/update": Case(
        lambda p: ("PATCH", f"/model/{model(p)}/update", {"model_name": "other"}), *ADMINS
    ),
    "/model/delete": Case(post("/model/delete", lambda p: {"id": model(p)}), *ADMINS),
    "/fallback": Case(post("/fallback", fallback), *ADMINS),
    "/fallback/{model}": Case(lambda p: ("DELETE", f"/fallback/{fallback(p)['model']}", {}), *ADMINS),
    "/spend/logs": Case(
        get("/spend/logs", lambda p: {**spend(p), "user_id": p.member}), *SEERS, shows=lambda p: f'"user":"{p.member}"'
    ),
    "/spend/logs/v2": Case(
        get("/spend/logs/v2", lambda p: {**spend(p), "user_id": p.member}),
        *SEERS,
        shows=lambda p: f'"user":"{p.member}"',
    ),
    "/spend/tags": Case(get("/spend/tags", spend), {ADMIN, VIEWER, USER}, {ADMIN, VIEWER}, lambda p: p.member),
    "/spend/calculate": Case(
        post("/spend/calculate", lambda p: {"model": "sonnet", "messages": [{"role": "user", "content": "Hi"}]}),
        EVERYBODY,
        EVERYBODY,
    ),
    "/global/spend": Case(get("/global/spend", lambda p: {}), *OVERSEERS),
    "/global/spend/report": Case(get("/global/spend/report", spend), *OVERSEERS),
    "/key/spend/report": Case(
        get("/key/spend/report", lambda p: {**DAYS, "api_key": used_key(p)}),
        *SEERS,
        shows=lambda p: '"total_cost":5e-9',
    ),
    "/user/spend/report": Case(get("/user/spend/report", lambda p: {**spend(p), "internal_user_id": p.member}), *SEERS),
    "/team/spend/report": Case(get("/team/spend/report", lambda p: {**spend(p), "team_id": p.team}), *INSIDERS),
    "/organization/spend/report": Case(
        get("/organization/spend/report", lambda p: {**spend(p), "organization_id": p.organization}),
        {ADMIN, VIEWER, ORGANIZER},
        {ADMIN, VIEWER},
    ),
    "/user/daily/activity": Case(get("/user/daily/activity", lambda p: {**spend(p), "user_id": p.member}), *SEERS),
    "/team/daily/activity": Case(get("/team/daily/activity", lambda p: {**spend(p), "team_ids": p.team}), *INSIDERS),
    "/organization/daily/activity": Case(
        get("/organization/daily/activity", lambda p: {**spend(p), "organization_ids": p.organization}),
        {ADMIN, VIEWER, ORGANIZER},
        {ADMIN, VIEWER},
    ),
    "/customer/daily/activity": Case(get("/customer/daily/activity", spend), *OVERSEERS),
    "/tag/daily/activity": Case(
        get("/tag/daily/activity", lambda p: {**spend(p), "tags": p.member}), *SEERS, shows=lambda p: p.member
    ),
    "/audit": Case(get("/audit", lambda p: {}), *OVERSEERS),
    "/config/reload": Case(post("/config/reload", lambda p: {}), *ADMINS),
    "/health": Case(get("/health", lambda p: {}), *OVERSEERS),
}
CHANGES_NOTHING = {
    *("/key/health", "/v2/key/info", "/budget/info", "/tag/info", "/spend/calculate"),
    *("/key/aws_credentials",),  # they are worked out anew from the key each time
}
"""What is asked with a body, but only asked."""
CHANGES: dict[str, Callable[[Place], tuple[str, str, dict[str, Any]]]] = {
    "/team/unblock": post("/team/unblock", lambda p: {"team_id": p.made("/team/new", blocked=True)["team_id"]}),
    "/team/model/delete": post(
        "/team/model/delete",
        lambda p: {"team_id": p.made("/team/new", models=["sonnet", "mystery"])["team_id"], "models": ["mystery"]},
    ),
    "/team/permissions_update": post(
        "/team/permissions_update", lambda p: {"team_id": p.new_team(), "team_member_permissions": ["/key/list"]}
    ),
    "/organization/member_update": post(
        "/organization/member_update", lambda p: {**in_organization(p), "role": "org_admin"}
    ),
}
"""Where the case above leaves everything as it was: the same with a change."""
