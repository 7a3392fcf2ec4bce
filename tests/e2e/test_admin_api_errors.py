"""What the admin API answers to requests that are wrong, over HTTP, on each kind of database."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.admin import (
    ENDPOINTS,
    MASTER_KEY,
    Admin,
    error_of,
    run_admin,
    serve_on_each_database,
    start_postgres,
)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def admin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    """The admin API over one database that the tests of this module share."""
    yield from serve_on_each_database(request.param, tmp_path_factory.mktemp("store"))


BROKEN = [
    ("/key/generate", b'{"key_alias": ', "request_body"),
    ("/key/generate", b"", "request_body"),
    ("/key/generate", b"\xff\xfe{}", "request_body"),
    ("/key/generate", b"[" * 100_000, "request_body"),
    ("/key/generate", b"1" * 10_000, "request_body"),
    ("/key/generate", b'{"metadata": {"a": ' + b"1" * 10_000 + b"}}", "request_body"),
    ("/key/generate", b"[]", "request_body"),
    ("/key/generate", b'"text"', "request_body"),
    ("/key/generate", b"null", "request_body"),
    ("/key/generate", b'{"metadata": {"a": "\\u0000"}}', "request_body"),
    ("/key/generate", b'{"key_alias": "\\ud800"}', "request_body"),
    ("/key/generate", b'{"max_budget": NaN}', "max_budget"),
    ("/key/generate", b'{"max_budget": 1e400}', "max_budget"),
]
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("/key/generate", {"max_budget": "much"}, "max_budget"),
    ("/key/generate", {"max_budget": -1}, "max_budget"),
    ("/key/generate", {"max_budget": 1e30}, "max_budget"),
    ("/key/generate", {"rpm_limit": 1.5}, "rpm_limit"),
    ("/key/generate", {"rpm_limit": -1}, "rpm_limit"),
    ("/key/generate", {"rpm_limit": 2**63}, "rpm_limit"),
    ("/key/generate", {"rpm_limit": True}, "rpm_limit"),
    ("/key/generate", {"model_max_budget": {"a": -1}}, "model_max_budget.a.dollars"),
    ("/key/generate", {"model_max_budget": {"a": {"budget_limit": -1}}}, "model_max_budget.a.budget.budget_limit"),
    ("/key/generate", {"models": "sonnet"}, "models"),
    ("/key/generate", {"models": [1]}, "models.0"),
    ("/key/generate", {"metadata": []}, "metadata"),
    ("/key/generate", {"duration": "soon"}, "duration"),
    ("/key/generate", {"duration": 30}, "duration"),
    ("/key/generate", {"budget_duration": "-1"}, "budget_duration"),
    ("/key/generate", {"key_alias": ""}, "key_alias"),
    ("/key/generate", {"key_alias": "a\nb"}, "key_alias"),
    ("/key/generate", {"key_alias": "x" * 257}, "key_alias"),
    ("/key/generate", {"key_type": "any"}, "key_type"),
    ("/key/generate", {"team_id": "no"}, "team_id"),
    ("/key/update", {}, "key"),
    ("/key/block", {"key": None}, "key"),
    ("/key/delete", {"keys": "sk-1"}, "keys"),
    ("/key/delete", {"keys": ["sk-1"] * 1_001}, "keys"),
    ("/team/new", {"members_with_roles": [{"role": "king", "user_id": "u"}]}, "members_with_roles.0.role"),
    ("/team/new", {"members_with_roles": [{"role": "user"}]}, "member"),
    ("/team/update", {"team_alias": "a"}, "team_id"),
    ("/team/member_add", {"team_id": "t"}, "member"),
    ("/user/new", {"user_role": "king"}, "user_role"),
]


@pytest.mark.parametrize(("path", "body", "param"), BROKEN)
def test_a_broken_body_is_named(admin: Admin, path: str, body: bytes, param: str) -> None:
    error = error_of(admin.post(path, body), 400)
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


@pytest.mark.parametrize(("path", "body", "param"), WRONG)
def test_a_wrong_field_is_named(admin: Admin, path: str, body: dict[str, Any], param: str) -> None:
    error = error_of(admin.post(path, body), 400)
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


def test_a_body_that_is_not_sent_as_json_is_told_how(admin: Admin) -> None:
    answer = admin.post("/key/generate", b"{}", **{"Content-Type": "application/x-www-form-urlencoded"})
    assert "application/json" in error_of(answer, 400)["message"]


def test_a_body_that_is_too_large_is_refused(admin: Admin) -> None:
    error_of(admin.post("/key/generate", {"metadata": {"a": "x" * 2**20}}), 413)


@pytest.mark.parametrize("path", sorted(ENDPOINTS))
def test_every_endpoint_needs_a_key(admin: Admin, path: str) -> None:
    for by, kind in ((None, "auth_error"), ("sk-nobody-has-this-key", "token_not_found_in_db")):
        error = error_of(admin.get(path, by=by), 401)
        assert error["type"] == kind
        assert "nobody" not in error["message"]


def test_a_database_that_is_away_is_told() -> None:
    with ExitStack() as postgres, run_admin(start_postgres(postgres)) as admin:
        key = admin.new_key()
        admin.read("/key/info", by=key)
        postgres.close()
        for by in (MASTER_KEY, key, "sk-nobody-has-this-key"):
            assert error_of(admin.get("/key/list", by=by), 503)["type"] == "service_unavailable"
        assert admin.read("/v1/models", by=key)["data"]


def test_a_path_or_method_that_is_not_there_is_told(admin: Admin) -> None:
    assert error_of(admin.get("/key/nothing"), 404)["type"] == "not_found_error"
    wrong = admin.get("/key/generate")
    assert "GET /key/generate" in error_of(wrong, 405)["message"]
    assert wrong.headers["allow"] == "POST"


def test_a_key_for_models_only_opens_no_other_endpoint(admin: Admin) -> None:
    key = admin.make("/user/new", {"user_role": "proxy_admin"})["user_id"]
    models_only = admin.new_key(user_id=key, key_type="llm_api")
    assert admin.get("/v1/models", by=models_only).status == 200
    assert "llm_api_routes" in error_of(admin.get("/user/list", by=models_only), 403)["message"]
    reader = admin.new_key(user_id=key, key_type="read_only")
    assert admin.get("/user/list", by=reader).status == 200
    error_of(admin.post("/key/generate", {}, by=reader), 403)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(["1d", "u"])),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
FIELDS = st.sampled_from(
    [
        *("key", "keys", "key_alias", "key_aliases", "key_type", "models", "allowed_routes", "tags", "metadata"),
        *("max_budget", "soft_budget", "spend", "budget_duration", "duration", "rpm_limit", "blocked", "permissions"),
        *("user_id", "team_id", "member", "members_with_roles", "max_budget_in_team", "allowed_models"),
        *("teams", "user_email", "user_role", "auto_create_key", "guardrails"),
    ]
)


@given(st.sampled_from(sorted(ENDPOINTS)), st.dictionaries(FIELDS, VALUES, max_size=4))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_or_query_breaks_an_endpoint(admin: Admin, path: str, body: dict[str, Any]) -> None:
    for answer in (admin.post(path, body), admin.get(path, **body)):
        if answer.status != 200:
            assert answer.status in {400, 404, 405, 409}
            error_of(answer, answer.status)
