"""Limits and budgets of every level over HTTP, on each kind of database."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.admin import Admin, error_of, hash_of, serve_on_each_database

_numbers = itertools.count()
LIMITS = {
    "max_budget": 10.5,
    "soft_budget": 8.25,
    "budget_duration": "30d",
    "rpm_limit": 1,
    "tpm_limit": 2,
    "tpd_limit": 3,
    "max_parallel_requests": 4,
    "budget_rollover": True,
    "model_rpm_limit": {"sonnet": 5},
    "model_tpm_limit": {"sonnet": 6, "mystery": 7},
}


def unique(name: str) -> str:
    return f"{name}-{next(_numbers)}"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def admin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    """The admin API over one database that the tests of this module share: what they name is unique."""
    yield from serve_on_each_database(request.param, tmp_path_factory.mktemp("store"))


def new_team(admin: Admin, **fields: Any) -> str:
    made: str = admin.make("/team/new", fields)["team_id"]
    return made


# Limits, the same on every level

LEVELS: dict[str, dict[str, Any]] = {
    "/key/generate": {},
    "/team/new": {},
    "/user/new": {"auto_create_key": False},
    "/organization/new": {"organization_alias": "o"},
    "/project/new": {},
    "/customer/new": {},
    "/tag/new": {},
    "/budget/new": {},
}


def make_level(admin: Admin, path: str, limits: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What was made with these limits, and what names it in an update."""
    fields = {**LEVELS[path], **limits}
    if path == "/project/new":
        fields["team_id"] = new_team(admin)
    if path == "/customer/new":
        fields["user_id"] = unique("c")
    if path == "/tag/new":
        fields["name"] = unique("t")
    made = admin.make(path, fields)
    made = made.get("tag", made)
    names = ("key", "team_id", "user_id", "organization_id", "project_id", "name", "budget_id")
    own = {"/key/generate": "key", "/project/new": "project_id", "/budget/new": "budget_id"}.get(path)
    name = own or next(name for name in names if made.get(name) is not None)
    return made, {name: made[name]}


def update_level(admin: Admin, path: str, body: dict[str, Any]) -> Any:
    changed = admin.make(path.rpartition("/")[0] + "/update", body)
    return changed.get("data", changed.get("tag", changed))


@pytest.mark.parametrize("path", LEVELS)
def test_every_level_carries_every_limit(admin: Admin, path: str) -> None:
    made, name = make_level(admin, path, LIMITS)
    assert {limit: made[limit] for limit in LIMITS} == LIMITS
    assert made["budget_reset_at"] == "2023-12-01T00:00:00.000Z"
    changed = update_level(admin, path, {**name, "rpm_limit": None, "max_budget": 2, "model_rpm_limit": None})
    assert (changed["rpm_limit"], changed["max_budget"], changed["model_rpm_limit"]) == (None, 2, None)
    assert (changed["tpm_limit"], changed["model_tpm_limit"]) == (2, LIMITS["model_tpm_limit"])
    assert changed["budget_reset_at"] == made["budget_reset_at"]


@pytest.mark.parametrize("path", LEVELS)
def test_every_level_carries_several_budgets_at_once_and_budgets_of_models(admin: Admin, path: str) -> None:
    windows = [{"budget_duration": "1d", "max_budget": 1}, {"budget_duration": "30d", "max_budget": 20.5}]
    models = {"sonnet": {"budget_limit": 5, "time_period": "1d"}, "mystery": 0.5}
    made, name = make_level(admin, path, {"budget_limits": windows, "model_max_budget": models})
    shown = [(one["budget_duration"], one["max_budget"], one["reset_at"]) for one in made["budget_limits"]]
    assert shown == [("1d", 1, "2023-11-15T00:00:00.000Z"), ("30d", 20.5, "2023-12-01T00:00:00.000Z")]
    assert made["model_max_budget"]["sonnet"]["budget_limit"] == 5
    assert made["model_max_budget"]["mystery"] == {"budget_limit": 0.5, "time_period": None, "reset_at": None}
    other_words = {"sonnet": {"max_budget": "4", "budget_duration": "1d"}}
    again = update_level(admin, path, {**name, "model_max_budget": other_words})
    kept = made["model_max_budget"]["sonnet"]
    assert again["model_max_budget"] == {"sonnet": {**kept, "budget_limit": 4}}
    # What is shown can be sent back.
    again = update_level(admin, path, {**name, "budget_limits": made["budget_limits"]})
    assert again["budget_limits"] == made["budget_limits"]
    assert update_level(admin, path, {**name, "budget_limits": None})["budget_limits"] == []


def test_two_budgets_of_one_duration_are_refused(admin: Admin) -> None:
    windows = [{"budget_duration": "1d", "max_budget": 1}, {"budget_duration": "1d", "max_budget": 2}]
    assert error_of(admin.post("/key/generate", {"budget_limits": windows}), 400)["param"] == "budget_limits"


def test_a_window_that_was_begun_goes_on_when_its_budget_is_changed(admin: Admin) -> None:
    """An odd length does not end on the clock: a new beginning would be a new window with nothing spent."""
    windows = [{"budget_duration": "3d", "max_budget": 1}]
    made = admin.make("/key/generate", {"budget_duration": "5d", "max_budget": 1, "budget_limits": windows})
    admin.clock.advance(86_400)
    body = {"key": made["key"], "budget_duration": "5d", "max_budget": 2, "budget_limits": windows}
    changed = admin.make("/key/update", body)
    assert changed["budget_reset_at"] == made["budget_reset_at"]
    assert changed["budget_limits"][0]["reset_at"] == made["budget_limits"][0]["reset_at"]


def test_a_window_added_to_a_used_key_begins_with_nothing_spent(admin: Admin) -> None:
    key = admin.new_key(max_budget=10)
    admin.record(9 * 10**9, key_hash=hash_of(key))
    windows = [{"budget_duration": "1d", "max_budget": 1}]
    changed = admin.make("/key/update", {"key": key, "budget_limits": windows})
    assert (changed["spend"], changed["budget_limits"][0]["spend"]) == (9, 0)
    admin.record(10**8, key_hash=hash_of(key))
    shown = admin.read("/key/info", key=key)["info"]
    assert (shown["spend"], shown["budget_limits"][0]["spend"]) == (9.1, 0.1)


def test_a_temporary_increase_needs_an_end(admin: Admin) -> None:
    made = admin.make("/key/generate", {"max_budget": 1})
    body = {"key": made["key"], "temp_budget_increase": 5}
    assert error_of(admin.post("/key/update", body), 400)["param"] == "temp_budget_expiry"
    end = {"key": made["key"], "temp_budget_expiry": "2d"}
    assert error_of(admin.post("/key/update", end), 400)["param"] == "temp_budget_increase"
    changed = admin.make("/key/update", {**body, **end})
    assert (changed["temp_budget_increase"], changed["temp_budget_expiry"] is not None) == (5, True)
    gone = admin.make("/key/update", {"key": made["key"], "temp_budget_increase": None, "temp_budget_expiry": None})
    assert (gone["temp_budget_increase"], gone["temp_budget_expiry"]) == (None, None)


# Budgets


def test_one_budget_serves_many(admin: Admin) -> None:
    budget = admin.make("/budget/new", {"budget_id": unique("b"), "max_budget": 5, "budget_duration": "1d"})
    name = budget["budget_id"]
    key = admin.make("/key/generate", {"budget_id": name})
    assert (key["budget_id"], key["max_budget"]) == (name, None)
    assert key["litellm_budget_table"]["max_budget"] == 5
    customer = admin.make("/customer/new", {"user_id": unique("c"), "budget_id": name})
    admin.make("/budget/update", {"budget_id": name, "max_budget": 6, "rpm_limit": 9})
    shown = admin.read("/customer/info", end_user_id=customer["user_id"])
    assert (shown["litellm_budget_table"]["max_budget"], shown["litellm_budget_table"]["rpm_limit"]) == (6, 9)
    refused = error_of(admin.post("/budget/delete", {"id": name}), 400)
    assert "1 in keys" in refused["message"]
    assert "1 in customers" in refused["message"]
    admin.make("/key/update", {"key": key["key"], "budget_id": None})
    admin.make("/customer/delete", {"user_ids": [customer["user_id"]]})
    assert admin.make("/budget/delete", {"id": name})["budget_id"] == name
    assert admin.make("/budget/info", {"budgets": [name]}) == []
    error_of(admin.post("/budget/delete", {"id": name}), 404)


def test_budgets_are_shown_listed_and_described(admin: Admin) -> None:
    made = admin.make("/budget/new", {"max_budget": 5})
    name = made["budget_id"]
    assert admin.make("/budget/info", {"budgets": [name, "no"]}) == [made]
    assert made in admin.read("/budget/list")
    settings = {one["field_name"]: one["field_value"] for one in admin.read("/budget/settings", budget_id=name)}
    assert (settings["max_budget"], settings["rpm_limit"]) == (5, None)
    assert error_of(admin.post("/budget/new", {"budget_id": name}), 400)["param"] == "budget_id"
    error_of(admin.post("/budget/update", {"budget_id": "no"}), 404)
    error_of(admin.get("/budget/settings", budget_id="no"), 404)


@pytest.mark.parametrize("path", [path for path in LEVELS if path != "/budget/new"])
@pytest.mark.parametrize("update", [False, True])
def test_a_budget_that_is_not_there_is_refused(admin: Admin, path: str, update: bool) -> None:
    _, name = make_level(admin, path, {})
    target = path.rpartition("/")[0] + "/update" if update else path
    fields = name if update else {**LEVELS[path], **name}
    if path == "/project/new" and not update:
        fields = {"team_id": new_team(admin)}
    if path in {"/customer/new", "/tag/new"} and not update:
        fields = {next(iter(name)): unique("n")}
    if path in {"/key/generate", "/team/new", "/user/new", "/organization/new"} and not update:
        fields = LEVELS[path]
    assert error_of(admin.post(target, {**fields, "budget_id": "no"}), 400)["param"] == "budget_id"


# Fields that nobody knows


@pytest.mark.parametrize(
    ("path", "body", "field", "meant"),
    [
        ("/key/generate", {"max_bugdet": 1}, "max_bugdet", "max_budget"),
        ("/key/generate", {"budget_limits": [{"budget_duration": "1d", "max_budgte": 1}]}, "max_budgte", "max_budget"),
        ("/key/generate", {"model_max_budget": {"a": {"budget_limit": 1, "time_periode": "1d"}}}, "time_periode", ""),
        ("/team/new", {"rpm_limits": 1}, "rpm_limits", "rpm_limit"),
        ("/team/new", {"members_with_roles": [{"user": "u"}]}, "user", "user_id"),
        ("/user/new", {"user_emial": "a@b"}, "user_emial", "user_email"),
        ("/customer/new", {"user_id": "c", "max_budgets": 1}, "max_budgets", "max_budget"),
        ("/budget/new", {"budget_durations": "1d"}, "budget_durations", "budget_duration"),
    ],
)
def test_a_misspelt_field_is_refused_by_name(
    admin: Admin, path: str, body: dict[str, Any], field: str, meant: str
) -> None:
    error = error_of(admin.post(path, body), 400)
    assert error["param"].endswith(field)
    assert field in error["message"]
    assert meant in error["message"]
