"""Keys, teams, users and rights of the admin API, over HTTP, on each kind of database."""

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


def info(admin: Admin, key: str) -> dict[str, Any]:
    shown: dict[str, Any] = admin.read("/key/info", key=key)["info"]
    return shown


# Keys


def test_a_key_is_shown_once_and_known_by_its_hash(admin: Admin) -> None:
    alias = unique("ci")
    wanted = {"key_alias": alias, "models": ["sonnet"], "rpm_limit": 5, "metadata": {"a": [1, None]}, "tags": ["x"]}
    made = admin.make("/key/generate", wanted)
    key = made["key"]
    assert (key[:3], len(key)) == ("sk-", 25)
    assert made["token"] == made["token_id"] == hash_of(key)
    assert made["key_name"] == f"sk-...{key[-4:]}"
    assert {name: made[name] for name in wanted} == wanted
    assert (made["created_by"], made["created_at"][:10]) == ("default_user_id", "2023-11-14")
    assert (made["spend"], made["blocked"], made["expires"], made["max_budget"]) == (0, False, None, None)
    shown = admin.read("/key/info", key=hash_of(key))
    assert shown["key"] == hash_of(key)
    assert shown["info"] == info(admin, key) == {name: made[name] for name in shown["info"]}
    assert key not in str(shown)


def test_info_has_the_names_of_litellm(admin: Admin) -> None:
    names = (
        "key_name key_alias spend total_spend expires models aliases config user_id team_id permissions"
        " max_parallel_requests metadata blocked tpm_limit rpm_limit tpd_limit max_budget budget_duration"
        " budget_reset_at allowed_routes key_type model_spend model_max_budget budget_id organization_id"
        " created_at created_by updated_at updated_by last_active litellm_budget_table"
    )
    assert set(names.split()) <= info(admin, admin.new_key()).keys()


def test_what_has_no_effect_is_kept_and_told(admin: Admin) -> None:
    body = {"guardrails": ["pii"], "permissions": {"a": True}, "rpm_limit": 3}
    answer = admin.post("/key/generate", body)
    assert answer.headers["x-sekisho-not-enforced"] == "guardrails, permissions"
    made = answer.json()
    assert (made["guardrails"], made["permissions"]) == (["pii"], {"a": True})
    assert info(admin, made["key"])["guardrails"] == ["pii"]
    assert "x-sekisho-not-enforced" not in admin.post("/key/generate", {"rpm_limit": 3}).headers


def test_a_key_may_be_chosen_but_not_taken_twice(admin: Admin) -> None:
    key = unique("sk-chosen-by-the-test")
    assert admin.new_key(key=key) == key
    assert admin.read("/key/info", by=key)["info"]["key_name"] == f"sk-...{key[-4:]}"
    again = error_of(admin.post("/key/generate", {"key": key}), 400)
    assert (again["param"], key in again["message"]) == ("key", False)
    for bad in ("no-prefix-but-long-enough", "sk-short"):
        assert error_of(admin.post("/key/generate", {"key": bad}), 400)["param"] == "key"


def test_an_alias_belongs_to_one_key(admin: Admin) -> None:
    alias, other = unique("ci"), unique("ci")
    first, second = admin.new_key(key_alias=alias), admin.new_key(key_alias=other)
    assert error_of(admin.post("/key/generate", {"key_alias": alias}), 400)["param"] == "key_alias"
    assert alias in error_of(admin.post("/key/update", {"key": second, "key_alias": alias}), 400)["message"]
    assert admin.make("/key/update", {"key": first, "key_alias": alias, "rpm_limit": 1})["rpm_limit"] == 1
    admin.make("/key/delete", {"key_aliases": [alias]})
    assert admin.make("/key/update", {"key": second, "key_alias": alias})["key_alias"] == alias


def test_a_key_shows_itself(admin: Admin) -> None:
    key = admin.new_key(rpm_limit=7)
    own = admin.read("/key/info", by=key)
    assert (own["key"], own["info"]["rpm_limit"]) == (hash_of(key), 7)
    assert error_of(admin.get("/key/info"), 400)["param"] == "key"
    for unknown in ("sk-nobody-has-this-key", "0" * 64):
        assert error_of(admin.get("/key/info", key=unknown), 404)["type"] == "not_found_error"


@pytest.mark.parametrize("dollars", [0, 0.1, 0.000000001, 12.345678901, 1e-7, 123456789.25, "0.3"])
def test_budgets_are_exact(admin: Admin, dollars: float | str) -> None:
    key = admin.new_key(max_budget=dollars, soft_budget=dollars)
    shown = info(admin, key)
    assert (shown["max_budget"], shown["soft_budget"]) == (float(dollars), float(dollars))


def test_spend_is_what_the_calls_cost_to_the_nano_dollar(admin: Admin) -> None:
    key = admin.new_key(max_budget=1)
    for cost in (100_000_000, 200_000_000, 1, None):
        admin.record(cost, key_hash=hash_of(key))
    shown = info(admin, key)
    assert (shown["spend"], shown["total_spend"]) == (0.300000001, 0.300000001)
    assert shown["last_active"] is not None
    admin.record(1, key_hash=hash_of(key))
    assert admin.make("/key/update", {"key": key, "max_budget": 2})["spend"] == 0.300000002


def test_a_budget_window_ends_on_the_clock(admin: Admin) -> None:
    shown = info(admin, admin.new_key(max_budget=1, budget_duration="30d"))
    assert (shown["budget_duration"], shown["budget_reset_at"]) == ("30d", "2023-12-01T00:00:00.000Z")
    key = admin.new_key(budget_duration="1d")
    changed = admin.make("/key/update", {"key": key, "budget_duration": None})
    assert (changed["budget_duration"], changed["budget_reset_at"]) == (None, None)


def test_an_update_changes_what_it_names(admin: Admin) -> None:
    team = admin.make("/team/new", {})["team_id"]
    key = admin.new_key(rpm_limit=5, max_budget=1.5, models=["sonnet"], guardrails=["a"])
    changes = {"rpm_limit": None, "models": ["mystery"], "team_id": team, "user_id": unique("u"), "policies": ["p"]}
    changed = admin.make("/key/update", {"key": hash_of(key), **changes})
    assert changed["key"] == hash_of(key)
    assert {name: changed[name] for name in changes} == changes
    assert (changed["max_budget"], changed["guardrails"]) == (1.5, ["a"])
    assert info(admin, key) == {name: changed[name] for name in info(admin, key)}
    assert error_of(admin.post("/key/update", {"key": "sk-nobody-has-this-key"}), 404)
    assert error_of(admin.post("/key/update", {"rpm_limit": 1}), 400)["param"] == "key"
    assert error_of(admin.post("/key/update", {"key": key, "team_id": "no"}), 400)["param"] == "team_id"


def test_a_blocked_key_is_refused_until_it_is_unblocked(admin: Admin) -> None:
    key = admin.new_key()
    admin.read("/key/info", by=key)
    blocked = admin.make("/key/block", {"key": key})
    assert (blocked["token"], blocked["blocked"]) == (hash_of(key), True)
    refused = error_of(admin.get("/key/info", by=key), 401)
    assert (refused["type"], "blocked" in refused["message"]) == ("auth_error", True)
    assert admin.make("/key/unblock", {"key": hash_of(key)})["blocked"] is False
    assert admin.get("/key/info", by=key).status == 200
    for path in ("/key/block", "/key/unblock"):
        error_of(admin.post(path, {"key": "sk-nobody-has-this-key"}), 404)


def test_keys_are_deleted_all_or_none_and_their_calls_stay(admin: Admin) -> None:
    alias = unique("gone")
    keys = [admin.new_key(), admin.new_key(), admin.new_key(key_alias=alias)]
    row = admin.record(5, key_hash=hash_of(keys[0]))
    error_of(admin.post("/key/delete", {"keys": [keys[0], "sk-nobody-has-this-key"]}), 404)
    assert admin.get("/key/info", by=keys[0]).status == 200
    wanted = {"keys": [keys[0], hash_of(keys[1])], "key_aliases": [alias]}
    deleted = admin.make("/key/delete", wanted)["deleted_keys"]
    assert deleted == [keys[0], hash_of(keys[1]), hash_of(keys[2])]
    for key in keys:
        assert error_of(admin.get("/key/info", by=key), 401)["type"] == "token_not_found_in_db"
    assert [log["request_id"] for log in admin.read("/spend/logs", api_key=keys[0])] == [row.id]
    assert error_of(admin.post("/key/delete", {}), 400)["param"] == "keys"


def test_a_key_expires(admin: Admin) -> None:
    key, later = admin.new_key(duration="30s"), admin.new_key(duration="30s")
    assert info(admin, key)["expires"] is not None
    admin.make("/key/update", {"key": later, "duration": "-1"})
    admin.clock.advance(30)
    refused = error_of(admin.get("/key/info", by=key), 401)
    assert (refused["type"], refused["param"]) == ("expired_key", f"sk-...{key[-4:]}")
    assert admin.read("/key/info", by=later)["info"]["expires"] is None
    admin.make("/key/update", {"key": key, "duration": "1h"})
    assert admin.get("/key/info", by=key).status == 200


def test_keys_are_listed_by_page_and_filter(admin: Admin) -> None:
    user, team, alias = unique("u"), admin.make("/team/new", {})["team_id"], unique("a")
    keys = [admin.new_key(user_id=user, rpm_limit=n) for n in range(3)]
    keys.append(admin.new_key(team_id=team, key_alias=alias))
    pages = [admin.read("/key/list", user_id=user, size=2, page=page) for page in (1, 2, 3)]
    assert [len(page.pop("keys")) for page in pages] == [2, 1, 0]
    assert pages[1] == {"total_count": 3, "current_page": 2, "total_pages": 2}
    assert set(admin.read("/key/list", user_id=user)["keys"]) == {hash_of(key) for key in keys[:3]}
    for query in ({"team_id": team}, {"key_alias": alias}, {"key_hash": keys[3]}, {"key_hash": hash_of(keys[3])}):
        assert admin.read("/key/list", **query)["keys"] == [hash_of(keys[3])]
    (full,) = admin.read("/key/list", team_id=team, return_full_object="true")["keys"]
    assert (full["token"], full["key_alias"], full["team_id"]) == (hash_of(keys[3]), alias, team)
    assert error_of(admin.get("/key/list", size=0), 400)["param"] == "size"


# Teams


def test_the_body_of_the_article_makes_a_team(admin: Admin) -> None:
    user = "5c4a0aa3-a1e1-43dc-bd87-3c2da8382a3a"
    body = {"team_alias": "my-new-team_4", "members_with_roles": [{"role": "admin", "user_id": user}], "rpm_limit": 99}
    made = admin.make("/team/new", body)
    assert (made["team_alias"], made["rpm_limit"], made["spend"]) == ("my-new-team_4", 99, 0)
    assert made["members_with_roles"] == [{"role": "admin", "user_id": user, "user_email": None}]
    assert made["budget_reset_at"] is None
    shown = admin.read("/user/info", user_id=user)
    assert [team["team_id"] for team in shown["teams"]] == [made["team_id"]]


def test_a_team_is_shown_with_its_keys_and_members(admin: Admin) -> None:
    user = unique("u")
    body = {"team_id": unique("t"), "members_with_roles": [{"user_id": user}], "max_budget": 0.7, "tags": ["z"]}
    made = admin.make("/team/new", body)
    team, key = made["team_id"], admin.new_key(team_id=made["team_id"], user_id=user)
    admin.record(2_000_000_000, key_hash=hash_of(key), team_id=team, user_id=user)
    shown = admin.read("/team/info", team_id=team)
    assert (shown["team_id"], shown["team_info"]["spend"], shown["team_info"]["max_budget"]) == (team, 2.0, 0.7)
    assert shown["team_info"]["tags"] == ["z"]
    assert [listed["token"] for listed in shown["keys"]] == [hash_of(key)]
    (membership,) = shown["team_memberships"]
    assert (membership["user_id"], membership["spend"]) == (user, 2.0)
    assert team in [listed["team_id"] for listed in admin.read("/team/list")]
    assert [listed["team_id"] for listed in admin.read("/team/list", user_id=user)] == [team]
    error_of(admin.get("/team/info", team_id="no"), 404)
    assert error_of(admin.get("/team/info"), 400)["param"] == "team_id"
    assert error_of(admin.post("/team/new", body), 400)["param"] == "team_id"


def test_a_team_is_changed(admin: Admin) -> None:
    team = admin.make("/team/new", {"team_alias": "a", "tpm_limit": 5, "max_budget": 1})["team_id"]
    key = admin.new_key(team_id=team)
    changed = admin.make("/team/update", {"team_id": team, "team_alias": "開発\u3000部", "tpm_limit": None})
    assert (changed["team_id"], changed["data"]["team_alias"]) == (team, "開発\u3000部")
    assert (changed["data"]["tpm_limit"], changed["data"]["max_budget"]) == (None, 1)
    admin.read("/key/info", by=key)
    admin.make("/team/update", {"team_id": team, "blocked": True})
    assert "team" in error_of(admin.get("/key/info", by=key), 401)["message"]
    error_of(admin.post("/team/update", {"team_id": "no", "rpm_limit": 1}), 404)


def test_members_are_added(admin: Admin) -> None:
    team, (one, two) = admin.make("/team/new", {})["team_id"], (unique("u"), unique("u"))
    email = unique("Someone") + "@example.com"
    added = admin.post(
        "/team/member_add",
        {"team_id": team, "member": {"role": "admin", "user_id": one, "user_email": email}, "max_budget_in_team": 0.5},
    )
    assert "x-sekisho-not-enforced" not in added.headers
    body = added.json()
    assert body["members_with_roles"] == [{"role": "admin", "user_id": one, "user_email": email.lower()}]
    assert [user["user_id"] for user in body["updated_users"]] == [one]
    (membership,) = body["updated_team_memberships"]
    assert membership["litellm_budget_table"]["max_budget"] == 0.5
    members = [{"user_email": email.upper()}, {"user_id": two}]
    again = admin.make("/team/member_add", {"team_id": team, "member": members})
    roles = {member["user_id"]: member["role"] for member in again["members_with_roles"]}
    assert roles == {one: "user", two: "user"}
    error_of(admin.post("/team/member_add", {"team_id": "no", "member": {"user_id": one}}), 404)
    assert error_of(admin.post("/team/member_add", {"team_id": team, "member": {}}), 400)["param"] == "member"


# Users


def test_a_user_is_made_with_a_key(admin: Admin) -> None:
    team, email = admin.make("/team/new", {})["team_id"], unique("a") + "@example.com"
    body = {"user_email": email, "user_role": "internal_user_viewer", "teams": [team], "max_budget": 3.3}
    made = admin.make("/user/new", {**body, "models": ["sonnet"], "duration": "1h"})
    user, key = made["user_id"], made["key"]
    assert {name: made[name] for name in body} == body
    assert (made["token"], made["models"]) == (hash_of(key), ["sonnet"])
    assert made["expires"] is not None
    admin.record(10**9, key_hash=hash_of(key), user_id=user)
    own = admin.read("/user/info", by=key)
    assert own == admin.read("/user/info", user_id=user)
    assert (own["user_id"], own["user_info"]["spend"], own["user_info"]["teams"]) == (user, 1.0, [team])
    assert [listed["token"] for listed in own["keys"]] == [hash_of(key)]
    assert [listed["team_id"] for listed in own["teams"]] == [team]


def test_a_user_is_made_without_a_key(admin: Admin) -> None:
    user = unique("u")
    made = admin.make("/user/new", {"user_id": user, "auto_create_key": False})
    assert (made["user_id"], made["key"], made["user_role"]) == (user, None, "internal_user")
    assert admin.read("/user/info", user_id=user)["keys"] == []
    error_of(admin.post("/user/new", {"user_id": user}), 409)
    error_of(admin.get("/user/info", user_id="no"), 404)
    assert error_of(admin.get("/user/info"), 400)["param"] == "user_id"


@pytest.mark.parametrize("wrong", [{"teams": ["no"]}, {"team_id": "no"}, {"key_alias": "taken"}])
def test_a_user_that_cannot_be_made_as_asked_is_not_made_at_all(admin: Admin, wrong: dict[str, Any]) -> None:
    user, alias = unique("u"), unique("a")
    admin.new_key(key_alias=alias)
    body = {name: alias if value == "taken" else value for name, value in wrong.items()}
    assert error_of(admin.post("/user/new", {"user_id": user, **body}), 400)["param"] == next(iter(wrong))
    error_of(admin.get("/user/info", user_id=user), 404)


def test_users_are_listed(admin: Admin) -> None:
    users = [admin.make("/user/new", {"auto_create_key": False})["user_id"] for _ in range(3)]
    page = admin.read("/user/list", user_ids=",".join(users), page_size=2)
    assert (len(page["users"]), page["total"], page["page"], page["page_size"], page["total_pages"]) == (2, 3, 1, 2, 2)
    assert admin.read("/user/list")["total"] >= 3


# Rights


def person(admin: Admin, role: str = "internal_user", **fields: object) -> tuple[str, str]:
    """A new user's id and key."""
    made = admin.make("/user/new", {"user_role": role, **fields})
    return made["user_id"], made["key"]


def test_a_key_without_a_user_sees_only_itself(admin: Admin) -> None:
    key, other = admin.new_key(), admin.new_key(user_id=unique("u"))
    assert admin.read("/key/list", by=key)["keys"] == [hash_of(key)]
    assert admin.read("/team/list", by=key) == []
    error_of(admin.get("/key/info", by=key, key=other), 404)
    error_of(admin.get("/spend/logs", by=key, api_key=other), 403)
    for path in ("/key/generate", "/team/new", "/user/new"):
        error_of(admin.post(path, {}, by=key), 403)
    error_of(admin.post("/key/update", {"key": key, "rpm_limit": 99}, by=key), 403)
    error_of(admin.post("/key/block", {"key": other}, by=key), 404)
    error_of(admin.post("/key/delete", {"keys": [other]}, by=key), 404)
    error_of(admin.get("/user/list", by=key), 403)


def test_a_user_manages_its_own_keys(admin: Admin) -> None:
    user, key = person(admin)
    other, others_key = person(admin)
    made = admin.make("/key/generate", {"rpm_limit": 1}, by=key)
    assert (made["user_id"], made["created_by"]) == (user, user)
    assert set(admin.read("/key/list", by=key)["keys"]) == {hash_of(key), made["token"]}
    assert admin.make("/key/delete", {"keys": [made["key"]]}, by=key)
    error_of(admin.post("/key/generate", {"user_id": other}, by=key), 403)
    error_of(admin.get("/key/list", by=key, user_id=other), 403)
    error_of(admin.get("/key/info", by=key, key=others_key), 404)
    error_of(admin.get("/user/info", by=key, user_id=other), 404)
    error_of(admin.post("/key/update", {"key": key, "max_budget": 10**6}, by=key), 403)
    error_of(admin.post("/key/generate", {"team_id": admin.make("/team/new", {})["team_id"]}, by=key), 403)


def test_a_viewer_sees_everything_and_changes_nothing(admin: Admin) -> None:
    _, viewer = person(admin, "proxy_admin_viewer")
    other = admin.new_key()
    assert admin.read("/key/info", by=viewer, key=other)["key"] == other
    assert admin.read("/user/list", by=viewer)["total"] >= 1
    for path, body in (("/key/generate", {}), ("/key/block", {"key": other}), ("/team/new", {}), ("/user/new", {})):
        assert "proxy_admin_viewer" in error_of(admin.post(path, body, by=viewer), 403)["message"]


def test_an_administrator_of_a_team_manages_that_team(admin: Admin) -> None:
    boss, boss_key = person(admin)
    member, member_key = person(admin)
    roles = [{"role": "admin", "user_id": boss}, {"role": "user", "user_id": member}]
    team = admin.make("/team/new", {"members_with_roles": roles})["team_id"]
    key = admin.make("/key/generate", {"team_id": team}, by=boss_key)["key"]
    assert admin.make("/key/update", {"key": key, "rpm_limit": 2}, by=boss_key)["rpm_limit"] == 2
    assert admin.make("/team/update", {"team_id": team, "team_alias": "b"}, by=boss_key)["data"]["team_alias"] == "b"
    error_of(admin.post("/team/update", {"team_id": team, "max_budget": 10**6}, by=boss_key), 403)
    error_of(admin.post("/key/update", {"key": key, "team_id": None}, by=boss_key), 403)
    assert admin.make("/team/member_add", {"team_id": team, "member": {"user_id": unique("u")}}, by=boss_key)

    assert [seen["team_id"] for seen in admin.read("/team/list", by=member_key)] == [team]
    assert admin.read("/team/info", by=member_key, team_id=team)["keys"] == []
    assert len(admin.read("/team/info", by=boss_key, team_id=team)["keys"]) == 1
    error_of(admin.post("/team/update", {"team_id": team, "team_alias": "c"}, by=member_key), 403)
    error_of(admin.post("/team/member_add", {"team_id": team, "member": {"user_id": boss}}, by=member_key), 403)
    error_of(admin.get("/team/info", by=member_key, team_id=admin.make("/team/new", {})["team_id"]), 404)


def test_an_administrator_of_a_team_cannot_act_as_its_members(admin: Admin) -> None:
    boss, boss_key = person(admin)
    member, _ = person(admin)
    chief, _ = person(admin, "proxy_admin")
    roles = [{"role": "admin", "user_id": boss}, {"user_id": member}, {"user_id": chief}]
    team = admin.make("/team/new", {"members_with_roles": roles})["team_id"]
    wanted = {"team_id": team, "user_id": member}
    assert error_of(admin.post("/key/generate", wanted, by=boss_key), 403)["param"] == "key_type"
    routes = {"key_type": "llm_api", "allowed_routes": ["/key/info"]}
    error_of(admin.post("/key/generate", {**wanted, **routes}, by=boss_key), 403)
    error_of(admin.post("/key/generate", {**wanted, "user_id": chief, "key_type": "llm_api"}, by=boss_key), 403)
    key = admin.make("/key/generate", {**wanted, "key_type": "llm_api"}, by=boss_key)["key"]
    error_of(admin.get("/key/info", by=key), 403)
    assert admin.get("/v1/models", by=key).status == 200
    error_of(admin.post("/key/update", {"key": key, "key_type": "default"}, by=boss_key), 403)
    error_of(admin.post("/key/update", {"key": key, "allowed_routes": []}, by=boss_key), 403)


def test_a_proxy_administrator_may_do_what_the_master_key_may(admin: Admin) -> None:
    user, chief = person(admin, "proxy_admin")
    made = admin.make("/key/generate", {"user_id": unique("u")}, by=chief)
    assert made["created_by"] == user
    team = admin.make("/team/new", {}, by=chief)
    assert [member["user_id"] for member in team["members_with_roles"]] == [user]
    assert admin.make("/key/delete", {"keys": [made["key"]]}, by=chief)
