"""Models that are added while the gateway runs: what may be stored, and how it is read."""

from typing import Any

import pytest

from sekisho.config.added import add_to, find_objection, list_idle, read_added, without_secrets
from sekisho.config.deployments import group_deployments
from sekisho.config.snapshot import Snapshot
from sekisho.core.errors import ConfigError


def entry(info: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
    return {"model_name": "haiku", "litellm_params": {"model": "x/y", **params}, "model_info": info or {}}


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"api_key": "sk-1"}, "litellm_params.api_key"),
        ({"aws_access_key_id": "AKIA"}, "litellm_params.aws_access_key_id"),
        ({"aws_session_token": "t"}, "litellm_params.aws_session_token"),
        ({"aws_web_identity_token": "/etc/shadow"}, "litellm_params.aws_web_identity_token"),
        ({"azure_password": "p"}, "litellm_params.azure_password"),
        ({"vertex_credentials": '{"private_key": "p"}'}, "litellm_params.vertex_credentials"),
        ({"extra_headers": {"X-Auth-Token": "t"}}, "litellm_params.extra_headers.X-Auth-Token"),
        ({"extra_headers": {"cookie": "t"}}, "litellm_params.extra_headers.cookie"),
        ({"extra_body": {"deep": [{"apiKey": "t"}]}}, "litellm_params.extra_body.deep[0].apiKey"),
        ({"api_base": "https://me:pass@host/v1"}, "litellm_params.api_base"),
    ],
)
def test_secrets_are_not_stored_and_not_repeated(params: dict[str, Any], field: str) -> None:
    objection = find_objection(entry(**params))
    assert objection is not None
    assert objection.field == field
    assert "os.environ/NAME" in objection.message
    for value in ("sk-1", "AKIA", "pass@", "shadow"):
        assert value not in objection.message


@pytest.mark.parametrize(
    "params",
    [
        {"api_key": "os.environ/SOME_KEY"},
        {"api_key": ""},
        {"extra_headers": {"x-team": "red", "authorization": "os.environ/SOME_HEADER"}},
        {"input_cost_per_token": "3e-06", "max_tokens": 5},
        {"aws_session_tags": [{"Key": "team", "Value": "red"}]},
        {"litellm_credential_name": "shared"},
        {"api_base": "http://[::1]:8000/v1"},
        {"api_base": "http://[broken"},
    ],
)
def test_what_is_no_secret_may_be_stored(params: dict[str, Any]) -> None:
    assert find_objection(entry(**params)) is None


@pytest.mark.parametrize(
    "name", ["SEKISHO_MASTER_KEY", "LITELLM_SALT_KEY", "DATABASE_URL", "PGPASSWORD", "sekisho_master_key"]
)
def test_variables_of_the_gateway_itself_are_not_given_to_models(name: str) -> None:
    objection = find_objection(entry(api_version=f"os.environ/{name}"))
    assert objection is not None
    assert objection.field == "litellm_params.api_version"


def test_endless_nesting_is_an_error() -> None:
    deep: list[Any] = []
    for _ in range(70):
        deep = [deep]
    with pytest.raises(ConfigError, match="nested"):
        find_objection(entry(stop=[deep, "x"]))


def test_an_added_model_is_read_as_one_of_the_file() -> None:
    given = entry({"mode": "chat", "own": "kept"}, api_key="os.environ/SOME_KEY", rpm="60", tpd=1)
    deployment = read_added("id-1", given, {"aws_region_name": "eu-west-1"}, {"SOME_KEY": "sk-secret"})
    assert (deployment.id, deployment.model_name, deployment.model) == ("id-1", "haiku", "x/y")
    assert deployment.params == {"aws_region_name": "eu-west-1", "model": "x/y", "api_key": "sk-secret", "rpm": 60}
    assert deployment.model_info == {"mode": "chat", "own": "kept", "id": "id-1"}
    assert (deployment.rpm, deployment.where) == (60, "added model id-1")
    assert given["model_info"] == {"mode": "chat", "own": "kept"}
    assert "sk-secret" not in repr(deployment)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (entry(rpm="many"), "`litellm_params.rpm`: expected a whole number"),
        (entry({"max_tokens": 0}), "`model_info.max_tokens`"),
        (entry(model=""), "`litellm_params.model`: expected text"),
        ({"model_name": "m"}, "`litellm_params.model`: expected text"),
        (entry(api_key="os.environ/UNSET"), "`litellm_params.api_key`: the environment variable `UNSET` is not set"),
        (entry(extra_headers={"a": "os.environ/EMPTY"}), "`EMPTY` is not set"),
        (entry(rpm="many", weight="few"), "`litellm_params.weight`"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_added("id-1", given, {}, {"EMPTY": ""})
    assert said in caught.value.message


def test_what_has_no_effect_is_listed() -> None:
    given = entry({"tier": "free", "own": 1, "supports_visoin": True}, tpd=5, max_retries=None, rpm=1)
    assert list_idle(given) == ["litellm_params.tpd", "model_info.tier", "model_info.supports_visoin"]


def test_what_is_shown_holds_no_secrets() -> None:
    secret = {
        "api_key": "sk-1",
        "extra_headers": {"a": "b"},
        "vertex_credentials": {"x": "y"},
        "api_base": "https://u:p@host",
    }
    shown = {"model": "x/y", "rpm": 5, "input_cost_per_token": "3e-06", "max_tokens": 4}
    assert without_secrets({**secret, **shown}) == shown


def test_a_snapshot_without_additions_is_itself() -> None:
    of_file = read_added("f", entry(), {}, {})
    snapshot = Snapshot(deployments=(of_file,), groups=group_deployments((of_file,)), fallbacks={"a": ("b",)})
    assert add_to(snapshot, [], {}) is snapshot
    added = read_added("n", entry({"access_groups": ["g"]}), {}, {})
    merged = add_to(snapshot, [added], {"a": ("c",), "d": ("e",)})
    assert merged.groups == {"haiku": (of_file, added)}
    assert merged.access_groups == {"g": ("haiku",)}
    assert merged.fallbacks == {"a": ("c",), "d": ("e",)}
    assert snapshot.deployments == (of_file,)
