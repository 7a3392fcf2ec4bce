"""Block, expiry, time zones and members of every level over HTTP, on each kind of database."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.admin import Admin, error_of, hash_of, serve_on_each_database

_numbers = itertools.count()
LEVELS = ("key", "team", "user", "organization", "project", "team_member", "organization_member")


def unique(name: str) -> str:
    return f"{name}-{next(_numbers)}"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def admin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    """The admin API over one database that the tests of this module share: what they name is unique."""
    yield from serve_on_each_database(request.param, tmp_path_factory.mktemp("store"))


class Somebody:
    """A key that belongs to everything a key can belong to."""

    def __init__(self, admin: Admin) -> None:
        self.admin = admin
        self.user = unique("u")
        self.organization = admin.make("/organization/new", {"organization_alias": unique("o")})["organization_id"]
        self.team = admin.make("/team/new", {"organization_id": self.organization})["team_id"]
        self.project = admin.make("/project/new", {"team_id": self.team})["project_id"]
        member = {"user_id": self.user}
        admin.make("/team/member_add", {"team_id": self.team, "member": member})
        admin.make("/organization/member_add", {"organization_id": self.organization, "member": member})
        self.key = admin.new_key(user_id=self.user, team_id=self.team, project_id=self.project)

    def change(self, level: str, **fields: Any) -> Any:
        """Change one of the levels."""
        path, named = {
            "key": ("/key/update", {"key": self.key}),
            "team": ("/team/update", {"team_id": self.team}),
            "user": ("/user/update", {"user_id": self.user}),
            "organization": ("/organization/update", {"organization_id": self.organization}),
            "project": ("/project/update", {"project_id": self.project}),
            "team_member": ("/team/member_update", {"team_id": self.team, "user_id": self.user}),
            "organization_member": (
                "/organization/member_update",
                {"organization_id": self.organization, "user_id": self.user},
            ),
        }[level]
        changed = self.admin.make(path, {**named, **fields})
        return changed.get("data", changed)

    def refusal(self) -> str:
        """Why the key opens nothing; empty when it does."""
        answer = self.admin.get("/key/info", by=self.key)
        return "" if answer.status == 200 else str(error_of(answer, 401)["message"])


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_can_be_blocked_and_can_expire(admin: Admin, level: str) -> None:
    somebody = Somebody(admin)
    named = "API key" if level == "key" else f"The {level.replace('_', ' ')} of this API key"
    assert somebody.refusal() == ""
    assert somebody.change(level, blocked=True)["blocked"] is True
    assert f"{named} is blocked" in somebody.refusal()
    assert somebody.change(level, blocked=None)["blocked"] is False
    assert somebody.refusal() == ""
    changed = somebody.change(level, expires="1h")
    assert changed["expires"] == "2023-11-14T23:13:20.000Z"
    admin.clock.advance(3_599)
    assert somebody.refusal() == ""
    admin.clock.advance(1)
    assert "has expired" in somebody.refusal()
    somebody.change(level, expires="2030-01-31")  # what was shown, or any other date or time, can be sent
    assert somebody.refusal() == ""
    admin.clock.advance(-3_600)


@pytest.mark.parametrize("wrong", ["tomorrow", "2030-13-01", "0d"])
def test_what_is_no_time_is_refused(admin: Admin, wrong: str) -> None:
    error = error_of(admin.post("/team/new", {"expires": wrong}), 400)
    assert (error["param"], "not a moment" in error["message"]) == ("expires", True)
    error = error_of(admin.post("/team/new", {"temp_budget_increase": 1, "temp_budget_expiry": wrong}), 400)
    assert error["param"] == "temp_budget_expiry"


@pytest.mark.parametrize("level", LEVELS)
def test_windows_of_every_level_end_on_the_clock_of_its_zone(admin: Admin, level: str) -> None:
    somebody = Somebody(admin)
    windows = [{"budget_duration": "30d", "max_budget": 9}]
    models = {"sonnet": {"budget_limit": 2, "time_period": "7d"}}
    limits = {"max_budget": 1, "budget_duration": "1d", "budget_limits": windows, "model_max_budget": models}
    assert somebody.change(level, **limits)["budget_reset_at"] == "2023-11-15T00:00:00.000Z"
    moved = somebody.change(level, budget_timezone="Asia/Tokyo")
    assert (moved["budget_timezone"], moved["budget_reset_at"]) == ("Asia/Tokyo", "2023-11-15T15:00:00.000Z")
    assert moved["budget_limits"][0]["reset_at"] == "2023-11-30T15:00:00.000Z"
    assert moved["model_max_budget"]["sonnet"]["reset_at"] == "2023-11-19T15:00:00.000Z"
    assert somebody.change(level, budget_duration="12h")["budget_reset_at"] == "2023-11-15T03:00:00.000Z"
    back = somebody.change(level, budget_timezone=None)
    assert (back["budget_timezone"], back["budget_reset_at"]) == (None, "2023-11-15T00:00:00.000Z")
    assert error_of(admin.post("/key/generate", {"budget_timezone": "Mars"}), 400)["param"] == "budget_timezone"


def test_a_window_in_a_zone_begins_anew_at_its_own_midnight(admin: Admin) -> None:
    key = admin.new_key(max_budget=1, budget_duration="1d", budget_timezone="Asia/Tokyo")
    admin.record(5 * 10**8, key_hash=hash_of(key))
    assert admin.read("/key/info", key=key)["info"]["spend"] == 0.5
    admin.clock.advance(16 * 3600)  # past midnight in UTC, not yet in Tokyo
    assert admin.read("/key/info", key=key)["info"]["spend"] == 0.5
    admin.clock.advance(3600)
    info = admin.read("/key/info", key=key)["info"]
    assert (info["spend"], info["budget_reset_at"]) == (0, "2023-11-16T15:00:00.000Z")
    admin.clock.advance(-17 * 3600)


def test_a_member_of_an_organization_has_limits_there(admin: Admin) -> None:
    somebody = Somebody(admin)
    body = {"organization_id": somebody.organization, "member": {"user_id": somebody.user, "role": "org_admin"}}
    limits = {"max_budget_in_organization": 2, "rpm_limit": 3, "spend": 0.25}
    added = admin.make("/organization/member_add", {**body, **limits})
    (member,) = added["updated_organization_memberships"]
    assert member["spend"] == 0.25
    assert (member["user_role"], member["max_budget_in_organization"], member["rpm_limit"]) == ("org_admin", 2, 3)
    named = {"organization_id": somebody.organization, "user_id": somebody.user}
    changed = admin.make("/organization/member_update", {**named, "max_budget_in_organization": 4})
    assert (changed["user_role"], changed["max_budget"], changed["rpm_limit"]) == ("org_admin", 4, 3)
    changed = admin.make("/organization/member_update", {**named, "spend": 1.5, "role": "internal_user"})
    assert (changed["user_role"], changed["spend"]) == ("internal_user", 1.5)
    shown = admin.read("/user/info", user_id=somebody.user)["organization_memberships"]
    assert [(one["organization_id"], one["spend"]) for one in shown] == [(somebody.organization, 1.5)]
    error_of(admin.post("/organization/member_update", {**named, "budget_id": "no"}), 400)
    error_of(admin.post("/organization/member_update", {**named, "user_id": "nobody"}), 404)


def test_spend_is_told_of_a_duration_without_a_budget(admin: Admin) -> None:
    key = admin.new_key(budget_duration="1d", soft_budget=0.5)
    admin.record(4 * 10**8, key_hash=hash_of(key))
    info = admin.read("/key/info", key=key)["info"]
    assert (info["spend"], info["max_budget"], info["soft_budget_reached"]) == (0.4, None, False)
    admin.record(10**8, key_hash=hash_of(key))
    assert admin.read("/key/info", key=key)["info"]["soft_budget_reached"] is True


# What members of a team are permitted


def test_members_do_with_a_teams_keys_what_they_are_permitted(admin: Admin) -> None:
    team = admin.make("/team/new", {"team_member_permissions": ["/key/list"]})["team_id"]
    user = unique("member")
    admin.make("/team/member_add", {"team_id": team, "member": {"user_id": user}})
    own = admin.new_key(user_id=user)
    other = admin.new_key(team_id=team, key_alias=unique("other"))
    assert hash_of(other) in admin.read("/key/list", by=own, team_id=team)["keys"]
    tried: dict[str, tuple[str, dict[str, Any]]] = {
        "/key/generate": ("/key/generate", {"team_id": team}),
        "/key/service-account/generate": ("/key/service-account/generate", {"team_id": team}),
        "/key/update": ("/key/update", {"key": other, "rpm_limit": 5}),
        "/key/block": ("/key/block", {"key": other}),
        "/key/unblock": ("/key/unblock", {"key": other}),
        "/key/{key_id}/reset_spend": (f"/key/{hash_of(other)}/reset_spend", {"reset_to": 0}),
        "/key/delete": ("/key/delete", {"keys": [other]}),
    }
    for permission, (path, body) in tried.items():
        admin.make("/team/permissions_update", {"team_id": team, "team_member_permissions": ["/key/info"]})
        assert admin.post(path, body, by=own).status == 403, permission
        admin.make("/team/permissions_update", {"team_id": team, "team_member_permissions": [permission]})
        assert admin.post(path, body, by=own).status == 200, permission
    shown = admin.read("/team/permissions_list", team_id=team)
    assert shown["team_member_permissions"] == ["/key/delete"]
    assert set(tried) < set(shown["all_available_permissions"])


def test_what_a_member_is_permitted_does_not_let_it_act_as_another(admin: Admin) -> None:
    permissions = ["/key/info", "/key/update", "/key/regenerate", "/key/{key_id}/regenerate", "/key/generate"]
    team = admin.make("/team/new", {"team_member_permissions": permissions})["team_id"]
    member, boss = unique("member"), unique("boss")
    for user in (member, boss):
        admin.make("/team/member_add", {"team_id": team, "member": {"user_id": user}})
    by, theirs = admin.new_key(user_id=member), admin.new_key(user_id=boss, team_id=team)
    error_of(admin.post("/key/regenerate", {"key": theirs}, by=by), 403)
    error_of(admin.post("/key/update", {"key": theirs, "user_id": member}, by=by), 403)
    error_of(admin.post("/key/update", {"key": theirs, "key_type": "management"}, by=by), 403)
    error_of(admin.post("/key/generate", {"team_id": team, "user_id": boss}, by=by), 403)
    error_of(admin.post("/key/aws_credentials", {"key": theirs}, by=by), 403)
    outsider = admin.new_key(user_id=unique("outsider"))
    error_of(admin.post("/key/update", {"key": theirs, "rpm_limit": 1}, by=outsider), 404)
    error_of(admin.get("/key/info", key=theirs, by=outsider), 404)
    error_of(admin.post("/key/generate", {"team_id": team}, by=outsider), 403)


# Lists and look-ups


def test_lists_are_whole_unless_a_page_is_asked_for(admin: Admin) -> None:
    organization = admin.make("/organization/new", {"organization_alias": unique("o")})["organization_id"]
    team = admin.make("/team/new", {})["team_id"]
    made = {
        "/organization/list": (organization, "organization_id"),
        "/project/list": (admin.make("/project/new", {"team_id": team})["project_id"], "project_id"),
        "/tag/list": (admin.make("/tag/new", {"name": unique("t")})["tag"]["name"], "name"),
        "/budget/list": (admin.make("/budget/new", {})["budget_id"], "budget_id"),
        "/customer/list": (admin.make("/customer/new", {"user_id": unique("c")})["user_id"], "user_id"),
    }
    for path, (newest, name) in made.items():
        whole = [one[name] for one in admin.read(path)]
        pages = [one[name] for page in (1, 2) for one in admin.read(path, page=page, page_size=max(1, len(whole) // 2))]
        assert newest in whole
        assert pages == whole[: len(pages)]
        assert len(pages) >= len(whole) - 1


def test_several_keys_are_shown_at_once(admin: Admin) -> None:
    first, second = admin.new_key(user_id="both"), admin.new_key(user_id="both")
    foreign = admin.new_key()
    body = {"keys": [first, hash_of(second), foreign, "sk-nobody-knows-this-one"]}
    shown = admin.make("/v2/key/info", body, by=first)
    assert shown["key"] == [first, hash_of(second)]
    assert [one["token"] for one in shown["info"]] == [hash_of(first), hash_of(second)]
    assert admin.make("/v2/key/info", {}, by=first)["key"] == [hash_of(first)]
    assert admin.make("/v2/key/info", {})["info"] == []


def test_aliases_are_listed_in_order_and_found_by_a_part(admin: Admin) -> None:
    mark = unique("alias%")
    names = [f"{mark}-{letter}" for letter in "cab"]
    for name in names:
        admin.new_key(key_alias=name)
    shown = admin.read("/key/aliases", search=mark.upper(), size=2)
    assert (shown["aliases"], shown["total_count"], shown["total_pages"]) == (sorted(names)[:2], 3, 2)
    assert admin.read("/key/aliases", search=mark, size=2, page=2)["aliases"] == sorted(names)[2:]
    assert admin.read("/key/aliases", by=admin.new_key(user_id=unique("u")))["aliases"] == []


def test_a_user_is_shown_without_its_keys(admin: Admin) -> None:
    somebody = Somebody(admin)
    shown = admin.read("/v2/user/info", by=somebody.key)
    assert (shown["user_id"], shown["teams"], "keys" in shown) == (somebody.user, [somebody.team], False)
    error_of(admin.get("/v2/user/info", by=somebody.key, user_id="somebody-else"), 404)
    error_of(admin.get("/v2/user/info"), 400)


def test_parameters_that_filter_nothing_are_named(admin: Admin) -> None:
    answer = admin.get("/key/list", teamid="t", size=5, sort_by="spend")
    assert (answer.status, answer.headers["x-sekisho-ignored-parameters"]) == (200, "sort_by, teamid")
    assert "x-sekisho-ignored-parameters" not in admin.get("/key/list", size=5).headers


@pytest.mark.parametrize("kind", ["rpm", "tpm"])
def test_guarantees_of_keys_do_not_add_up_to_more_than_the_team_has(admin: Admin, kind: str) -> None:
    limit, of_model, kept = f"{kind}_limit", f"model_{kind}_limit", f"{kind}_limit_type"
    team = admin.make("/team/new", {limit: 10, of_model: {"sonnet": 5}})["team_id"]
    promise = {"team_id": team, kept: "guaranteed_throughput"}
    first = admin.make("/key/generate", {**promise, limit: 6, of_model: {"sonnet": 2}})
    assert first[kept] == "guaranteed_throughput"
    error = error_of(admin.post("/key/generate", {**promise, limit: 5}), 400)
    assert (error["param"], "10, of which 6 are guaranteed" in error["message"]) == (limit, True)
    assert error_of(admin.post("/key/generate", {**promise, of_model: {"sonnet": 4}}), 400)["param"] == of_model
    second = admin.make("/key/generate", {**promise, limit: 4, of_model: {"sonnet": 3, "mystery": 99}})
    error_of(admin.post("/key/update", {"key": first["key"], limit: 7}), 400)
    assert admin.make("/key/update", {"key": first["key"], limit: 5})[limit] == 5
    assert admin.make("/key/update", {"key": second["key"], limit: 5})[limit] == 5
    free = admin.post("/key/generate", {"team_id": team, limit: 50, kept: "best_effort_throughput"})
    assert (free.status, "x-sekisho-not-enforced" in free.headers) == (200, False)
    assert kept in admin.post("/key/generate", {kept: "dynamic"}).headers["x-sekisho-not-enforced"]
