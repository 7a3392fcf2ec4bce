"""Adding, changing and deleting models and fallbacks over HTTP, on each kind of database."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.admin import Admin, error_of, serve_on_each_database

HAIKU = "anthropic/claude-haiku-4-5"
_numbers = itertools.count()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def admin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    """The admin API over one database that the tests of this module share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UPSTREAM_SECRET", "sk-the-true-upstream-secret")
        patch.setenv("SEKISHO_MASTER_KEY", "sk-the-true-master-key")
        yield from serve_on_each_database(request.param, tmp_path_factory.mktemp("store"))


def unique(name: str) -> str:
    return f"{name}-{next(_numbers)}"


def entry(name: str, **params: object) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": HAIKU, "api_key": "os.environ/UPSTREAM_SECRET", **params}}


def shown(admin: Admin, identity: str) -> list[Any]:
    found: list[Any] = admin.read("/v1/model/info", litellm_model_id=identity)["data"]
    return found


def test_a_model_is_there_as_soon_as_it_was_added(admin: Admin) -> None:
    name = unique("haiku")
    made = admin.make(
        "/model/new", {**entry(name, rpm=60, input_cost_per_token=1e-06), "model_info": {"mode": "chat", "my_own": [1]}}
    )
    identity = made["model_id"]
    assert made["model_name"] == name
    assert made["litellm_params"] == {"model": HAIKU, "rpm": 60, "input_cost_per_token": 1e-06}
    assert made["model_info"] == {"mode": "chat", "my_own": [1], "id": identity, "db_model": True}
    assert (made["created_by"], made["created_at"][:10]) == ("default_user_id", "2023-11-14")
    assert name in [model["id"] for model in admin.read("/v1/models")["data"]]
    (found,) = shown(admin, identity)
    assert (found["model_name"], found["litellm_params"]) == (name, made["litellm_params"])
    info = found["model_info"]
    assert (info["id"], info["db_model"], info["my_own"], info["created_by"]) == (
        *(identity, True, [1]),
        "default_user_id",
    )
    assert info["litellm_provider"] == "anthropic"
    assert "sk-the-true" not in str((made, found))


def test_deployments_of_one_name_are_told_of_in_pages_and_together(admin: Admin) -> None:
    name = unique("haiku")
    for limit in (60, 30):
        admin.make("/model/new", entry(name, rpm=limit, input_cost_per_token=limit / 1e6))
    page = admin.read("/v2/model/info", model=name, size=1, page=2)
    assert [one["model_name"] for one in page["data"]] == [name]
    assert (page["total_count"], page["current_page"], page["total_pages"], page["size"]) == (2, 2, 2, 1)
    assert admin.read("/v2/model/info", modelId=page["data"][0]["model_info"]["id"])["data"] == page["data"]
    (group,) = admin.read("/model_group/info", model_group=name)["data"]
    assert (group["model_group"], group["providers"], group["mode"]) == (name, ["anthropic"], "chat")
    assert (group["rpm"], group["tpm"], group["input_cost_per_token"]) == (90, None, 6e-05)
    assert group["supports_vision"]
    assert "tools" in group["supported_openai_params"]
    assert name in [one["model_group"] for one in admin.read("/model_group/info")["data"]]
    assert admin.read("/model_group/info", model_group="nobody's")["data"] == []


def test_models_of_the_file_are_no_db_models(admin: Admin) -> None:
    (found,) = shown(admin, "deployment-1")
    assert found["model_info"]["db_model"] is False


def test_an_update_changes_what_it_names_and_null_takes_away(admin: Admin) -> None:
    identity = admin.make("/model/new", {**entry(unique("haiku"), rpm=1, tpm=2), "model_info": {"a": 1, "b": 2}})[
        "model_id"
    ]
    renamed = unique("renamed")
    body = {"model_name": renamed, "litellm_params": {"rpm": 9, "tpm": None}, "model_info": {"id": identity, "a": None}}
    changed = admin.make("/model/update", body)
    assert (changed["model_name"], changed["litellm_params"]) == (renamed, {"model": HAIKU, "rpm": 9})
    assert changed["model_info"] == {"b": 2, "id": identity, "db_model": True}
    answer = admin.send("PATCH", f"/model/{identity}/update", {"litellm_params": {"order": 3}})
    assert answer.status == 200, answer.body
    (found,) = shown(admin, identity)
    assert (found["model_name"], found["litellm_params"]) == (renamed, {"model": HAIKU, "rpm": 9, "order": 3})


def test_an_answer_of_model_info_can_be_sent_back(admin: Admin) -> None:
    identity = admin.make("/model/new", entry(unique("haiku")))["model_id"]
    (found,) = shown(admin, identity)
    assert admin.make("/model/update", found)["model_name"] == found["model_name"]
    (again,) = shown(admin, identity)
    assert again["litellm_params"] == found["litellm_params"]


def test_a_deleted_model_is_gone(admin: Admin) -> None:
    name = unique("haiku")
    identity = admin.make("/model/new", entry(name))["model_id"]
    assert admin.make("/model/delete", {"id": identity}) == {"message": f"Model: {identity} deleted successfully"}
    assert shown(admin, identity) == []
    assert name not in [model["id"] for model in admin.read("/v1/models")["data"]]
    assert identity in error_of(admin.post("/model/delete", {"id": identity}), 404)["message"]
    assert error_of(admin.post("/model/update", {"model_info": {"id": identity}}), 404)["param"] == "id"


def test_an_id_is_taken_once(admin: Admin) -> None:
    identity = unique("mine")
    body: dict[str, Any] = {**entry(unique("haiku")), "model_info": {"id": identity}}
    assert admin.make("/model/new", body)["model_id"] == identity
    assert error_of(admin.post("/model/new", body), 409)["param"] == "model_info.id"
    body["model_info"] = {"id": "deployment-1"}
    assert "configuration file" in error_of(admin.post("/model/new", body), 409)["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/model/delete", {"id": "deployment-1"}),
        ("/model/update", {"model_info": {"id": "deployment-1"}, "litellm_params": {"rpm": 1}}),
    ],
)
def test_models_of_the_file_are_changed_in_the_file(admin: Admin, path: str, body: object) -> None:
    error = error_of(admin.post(path, body), 400)
    assert "config.yaml:2" in error["message"]


@pytest.mark.parametrize(
    ("params", "info", "field", "said"),
    [
        ({"api_key": "sk-secret-in-clear"}, {}, "litellm_params.api_key", "os.environ/NAME"),
        ({"aws_secret_access_key": "sk-secret-in-clear"}, {}, "litellm_params.aws_secret_access_key", "os.environ/"),
        (
            {"extra_headers": {"Authorization": "sk-secret-in-clear"}},
            {},
            "litellm_params.extra_headers.Authorization",
            "os.environ/NAME",
        ),
        ({"vertex_credentials": {"x": "sk-secret-in-clear"}}, {}, "litellm_params.vertex_credentials.x", "not kept"),
        ({"api_base": "https://u:sk-secret-in-clear@host"}, {}, "litellm_params.api_base", "not kept"),
        ({"api_key": "os.environ/SEKISHO_MASTER_KEY"}, {}, "litellm_params.api_key", "the gateway's own"),
        ({"api_key": "os.environ/NOBODY_SET_THIS"}, {}, None, "NOBODY_SET_THIS` is not set"),
        ({"rpm": "many"}, {}, None, "`litellm_params.rpm`: expected a whole number"),
        ({"input_cost_per_tokn": 1}, {}, "litellm_params.input_cost_per_tokn", "Did you mean input_cost_per_token?"),
        ({"model": "nobody/knows-this"}, {}, None, "no provider here serves"),
        ({"model": None}, {}, None, "`litellm_params.model`: expected text"),
        ({}, {"note": "os.environ/UPSTREAM_SECRET"}, "model_info.note", "must not name a variable"),
        ({}, {"team_id": "t"}, "model_info.team_id", "one team only"),
        ({}, {"max_tokens": -1}, None, "`model_info.max_tokens`: expected a whole number"),
        ({}, {"id": ""}, "model_info.id", "at least 1 character"),
    ],
)
def test_what_cannot_work_is_refused_and_kept_nowhere(
    admin: Admin, params: dict[str, object], info: dict[str, object], field: str | None, said: str
) -> None:
    name = unique("wrong")
    error = error_of(admin.post("/model/new", {**entry(name, **params), "model_info": info}), 400)
    assert (error["param"], said in error["message"]) == (field, True), error
    assert "secret-in-clear" not in error["message"]
    assert name not in str(admin.read("/v1/model/info"))


def test_an_update_that_cannot_work_changes_nothing(admin: Admin) -> None:
    identity = admin.make("/model/new", entry(unique("haiku"), rpm=1))["model_id"]
    before = shown(admin, identity)
    error = error_of(admin.send("PATCH", f"/model/{identity}/update", {"litellm_params": {"model": "no/such"}}), 400)
    assert "no provider" in error["message"]
    error_of(admin.send("PATCH", f"/model/{identity}/update", {"model_info": {"id": "another"}}), 400)
    assert shown(admin, identity) == before


def test_a_wildcard_can_be_added_where_a_provider_serves_it(admin: Admin) -> None:
    identity = admin.make("/model/new", entry(unique("lab") + "/*"))["model_id"]
    assert shown(admin, identity)[0]["model_info"]["id"] == identity
    nobodys = {"model_name": "nobody/*", "litellm_params": {"model": "nobody/*"}}
    assert "no provider" in error_of(admin.post("/model/new", nobodys), 400)["message"]


def test_empty_names_are_refused(admin: Admin) -> None:
    assert error_of(admin.post("/model/new", entry("")), 400)["param"] == "model_name"
    assert error_of(admin.post("/model/update", {"litellm_params": {}}), 400)["param"] == "model_info.id"


def test_what_has_no_effect_is_told(admin: Admin) -> None:
    answer = admin.post("/model/new", {**entry(unique("haiku"), tpd=5, rpm=1), "model_info": {"tier": "free"}})
    assert answer.headers["x-sekisho-not-enforced"] == "litellm_params.tpd, model_info.tier"


def test_the_audit_trail_has_no_secrets_and_says_who(admin: Admin) -> None:
    identity = admin.make("/model/new", entry(unique("haiku")))["model_id"]
    records = admin.read("/audit", object_id=identity)["audit_logs"]
    assert [(record["action"], record["table_name"], record["changed_by"]) for record in records] == [
        ("created", "models", "default_user_id")
    ]
    assert "sk-the-true" not in str(records)


# Fallbacks


def test_fallbacks_are_set_shown_and_taken_away(admin: Admin) -> None:
    first, second = unique("first/with/slashes"), unique("second")
    for name in (first, second):
        admin.make("/model/new", entry(name))
    error_of(admin.get(f"/fallback/{first}"), 404)
    body: dict[str, Any] = {"model": first, "fallback_models": [second, "claude"]}
    assert admin.make("/fallback", body) == {
        **body,
        "fallback_type": "general",
        "message": "Fallback configuration created successfully",
    }
    assert admin.read(f"/fallback/{first}") == {**body, "fallback_type": "general"}
    body["fallback_models"] = ["mystery"]
    assert "updated" in admin.make("/fallback", body)["message"]
    assert admin.read(f"/fallback/{first}", fallback_type="general")["fallback_models"] == ["mystery"]
    assert admin.send("DELETE", f"/fallback/{first}", None).json() == {
        "model": first,
        "fallback_type": "general",
        "message": "Fallback configuration deleted successfully",
    }
    error_of(admin.send("DELETE", f"/fallback/{first}", None), 404)


def test_fallbacks_of_the_file_can_be_replaced_but_not_deleted(admin: Admin) -> None:
    assert admin.read("/fallback/sonnet")["fallback_models"] == ["mystery"]
    assert "configuration file" in error_of(admin.send("DELETE", "/fallback/sonnet", None), 400)["message"]
    other = unique("other")
    admin.make("/model/new", entry(other))
    admin.make("/fallback", {"model": "sonnet", "fallback_models": [other]})
    assert admin.read("/fallback/sonnet")["fallback_models"] == [other]
    assert admin.send("DELETE", "/fallback/sonnet", None).status == 200
    assert admin.read("/fallback/sonnet")["fallback_models"] == ["mystery"]


@pytest.mark.parametrize(
    ("body", "status", "field", "said"),
    [
        ({"model": "nobody", "fallback_models": ["sonnet"]}, 404, "model", "'nobody'"),
        ({"model": "claude", "fallback_models": ["mystery"]}, 400, "model", "another name for 'sonnet'"),
        ({"model": "sonnet", "fallback_models": ["nobody"]}, 400, "fallback_models", "'nobody'"),
        ({"model": "sonnet", "fallback_models": ["sonnet"]}, 400, "fallback_models", "itself"),
        ({"model": "sonnet", "fallback_models": ["claude"]}, 400, "fallback_models", "itself"),
        ({"model": "sonnet", "fallback_models": ["mystery", "mystery"]}, 400, "fallback_models", "twice"),
        ({"model": "sonnet", "fallback_models": []}, 400, "fallback_models", "at least 1"),
        (
            {"model": "sonnet", "fallback_models": ["mystery"], "fallback_type": "context_window"},
            *(400, "fallback_type", "no effect"),
        ),
        ({"model": "sonnet", "fallback_models": ["mystery"], "fallback_type": "x"}, 400, "fallback_type", "general"),
    ],
)
def test_fallbacks_that_cannot_work_are_refused(admin: Admin, body: object, status: int, field: str, said: str) -> None:
    error = error_of(admin.post("/fallback", body), status)
    assert (error["param"], said in error["message"]) == (field, True), error


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/model/new"),
        ("POST", "/model/update"),
        ("PATCH", "/model/x/update"),
        ("POST", "/model/delete"),
        ("POST", "/fallback"),
        ("GET", "/fallback/sonnet"),
        ("GET", "/fallback/"),
        ("DELETE", "/fallback/a/b"),
    ],
)
def test_only_a_proxy_admin_changes_models(admin: Admin, method: str, path: str) -> None:
    body: dict[str, Any] | None = None if method == "GET" else {}
    for role in ("proxy_admin_viewer", "internal_user", "internal_user_viewer"):
        key = admin.make("/user/new", {"user_role": role})["key"]
        assert role in error_of(admin.send(method, path, body, by=key), 403)["message"]
    error_of(admin.send(method, path, body, by=None), 401)
