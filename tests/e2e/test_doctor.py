"""`sekisho doctor`, against a counterpart that tells of models, profiles and quotas."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.command_line import Result, run_command
from tests.support.gateway import call
from tests.support.servers import serve_app

from sekisho.core.clock import SystemClock
from sekisho.simulator.app import build_simulator
from sekisho.simulator.settings import (
    DEFAULT_ACCESS_KEY,
    DEFAULT_ACCOUNT,
    DEFAULT_SECRET_KEY,
    Limit,
    Match,
    SimulatorSettings,
)

SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
PROFILE = f"arn:aws:bedrock:us-east-1:{DEFAULT_ACCOUNT}:application-inference-profile/abc123def456"
ROLE = "arn:aws:iam::111122223333:role/bedrock"
SETTINGS = SimulatorSettings(
    api_keys=("sk-good",),
    profiles={PROFILE: f"eu.{SONNET}"},
    not_granted=(Match(model=HAIKU), Match(model=f"us.{HAIKU}")),
    external_ids={ROLE: "the-id"},
    limits=(
        Limit(match=Match(service="bedrock", region="us-east-1"), tpm=200_000, rpm=50),
        Limit(match=Match(service="bedrock", region="us-west-2"), tpm=0),
    ),
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_app(build_simulator(SETTINGS, SystemClock())) as running:
        yield running


@pytest.fixture(autouse=True)
def _aws(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for service in ("BEDROCK_RUNTIME", "BEDROCK", "SERVICE_QUOTAS", "STS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", DEFAULT_ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", DEFAULT_SECRET_KEY)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))


def run(tmp_path: Path, entries: list[dict[str, Any]], *options: str) -> Result:
    """The doctor's answer on a configuration; the parameters of each entry, and its `info`."""
    models = [
        {
            "model_name": f"m{number}",
            "model_info": entry.pop("info", {}),
            "litellm_params": {"aws_region_name": "us-east-1"} | entry,
        }
        for number, entry in enumerate(entries)
    ]
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"model_list": models}))
    return run_command("doctor", str(file), *options)


def checks(result: Result, number: int = 0) -> dict[str, dict[str, str]]:
    return {check["what"]: check for check in json.loads(result.stdout)["deployments"][number]["checks"]}


def test_a_deployment_that_is_well(url: str, tmp_path: Path) -> None:
    result = run(tmp_path, [{"model": f"bedrock/us.{SONNET}"}], "--json")
    assert result.exit_code == 0
    (patient,) = json.loads(result.stdout)["deployments"]
    assert (patient["model_name"], patient["provider"], patient["broken"]) == ("m0", "bedrock", False)
    found = checks(result)
    assert {what: check["verdict"] for what, check in found.items()} == dict.fromkeys(
        ("identity", "model", "access", "quota"), "ok"
    )
    assert found["identity"]["found"] == f"arn:aws:iam::{DEFAULT_ACCOUNT}:user/simulator"
    assert "us-east-2" in found["model"]["found"]
    assert found["quota"]["found"] == "200,000 tokens a minute, 50 requests a minute"
    operations = {each["operation"] for each in call(f"{url}/_simulator/calls").json()["calls"]}
    assert operations <= {
        "GetCallerIdentity", "GetInferenceProfile", "GetFoundationModelAvailability", "ListServiceQuotas",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "what", "found", "advice"),
    [
        ({"model": f"bedrock/jp.{SONNET}"}, "model", f"no profile jp.{SONNET}", f"us.{SONNET}"),
        ({"model": f"bedrock/{HAIKU}"}, "access", "terms", "use-case form"),
        ({"model": "bedrock/meta.llama3-3-70b-instruct-v1:0"}, "access", "not offered", "cross-region"),
        ({"model": f"bedrock/us.{SONNET}", "aws_region_name": "us-west-2"}, "quota", "0 tokens", "Service Quotas"),
        ({"model": f"bedrock/{PROFILE.replace('abc', 'xyz')}"}, "model", "not found", "check the ARN"),
        (
            {"model": f"bedrock/us.{SONNET}", "aws_role_name": ROLE, "aws_external_id": "wrong"},
            "identity",
            "AccessDenied",
            f"allow sts:AssumeRole to arn:aws:iam::{DEFAULT_ACCOUNT}:user/simulator, under the external id",
        ),
        (
            {"model": f"bedrock/{PROFILE}", "aws_role_name": ROLE, "aws_external_id": "the-id"},
            "identity",
            f"in account {DEFAULT_ACCOUNT}",
            "aws_role_name",
        ),
        (
            {"model": f"bedrock/us.{SONNET}", "aws_sts_endpoint": "http://127.0.0.1:9"},
            "identity",
            "was not reached",
            "VPC endpoint",
        ),
        (
            {"model": f"bedrock/us.{SONNET}", "aws_access_key_id": "AKIA", "aws_secret_access_key": "no"},
            "identity",
            "InvalidClientTokenId",
            "check the keys",
        ),
        ({"model": "nobody/knows-this"}, "config", "no provider", "config.yaml"),
    ],
)
def test_what_is_broken_is_told_with_what_to_do(
    tmp_path: Path, entry: dict[str, Any], what: str, found: str, advice: str
) -> None:
    result = run(tmp_path, [dict(entry)], "--json")
    assert result.exit_code == 1
    check = checks(result)[what]
    assert check["verdict"] == "broken"
    assert found in check["found"]
    assert advice in check["advice"]


def test_a_profile_of_ones_own_is_looked_through(tmp_path: Path) -> None:
    entries: list[dict[str, Any]] = [
        {"model": f"bedrock/{PROFILE}"},
        {"model": f"bedrock/{SONNET}", "tpm": 7, "rpm": 8},
    ]
    result = run(tmp_path, entries, "--json")
    assert result.exit_code == 0
    assert checks(result)["model"]["found"] == f"a profile of eu.{SONNET}"
    assert checks(result)["access"]["verdict"] == "ok"
    assert "price" not in checks(result)
    assert checks(result, 1)["quota"]["found"] == "7 tokens and 8 requests a minute, as configured"


def test_what_may_not_be_looked_at_is_no_failure(url: str, tmp_path: Path) -> None:
    denied = {"match": {"service": "bedrock-control"}, "fault": {"kind": "access_denied"}}
    quotas = {"match": {"service": "servicequotas"}, "fault": {"kind": "access_denied"}}
    for rule in (denied, quotas):
        call(f"{url}/_simulator/faults", rule)
    try:
        result = run(tmp_path, [{"model": f"bedrock/us.{SONNET}"}], "--json")
    finally:
        call(f"{url}/_simulator/faults", method="DELETE")
    assert result.exit_code == 0
    rights = {what: check["advice"] for what, check in checks(result).items() if check["verdict"] == "warning"}
    assert rights["model"] == "allow bedrock:GetInferenceProfile"
    assert rights["access"] == "allow bedrock:GetFoundationModelAvailability"
    assert "servicequotas:ListServiceQuotas" in rights["quota"]


def test_other_providers_are_asked_for_their_models(url: str, tmp_path: Path) -> None:
    openai, anthropic = {"api_base": f"{url}/v1"}, {"api_base": url}
    entries: list[dict[str, Any]] = [
        {"model": "openai/gpt-4o", "api_key": "sk-good", **openai},
        {"model": "openai/gpt-nobody-knows", "api_key": "sk-good", **openai},
        {"model": "openai/gpt-4o", "api_key": "sk-bad", **openai},
        {"model": "anthropic/claude-opus-5-5", "api_key": "sk-good", **anthropic},
        {"model": "anthropic/claude-opus-5-5", "api_key": "sk-bad", **anthropic},
        {"model": "openai/gpt-4o", "api_key": "sk-good", "api_base": "http://127.0.0.1:9/v1"},
        {"model": "openai/gpt-4o", "api_key": "sk-good", "api_base": f"{url}/elsewhere"},
        {"model": "azure/gpt-4o", "api_key": "sk-good", "api_base": url},
    ]
    result = run(tmp_path, entries, "--json")
    assert result.exit_code == 1
    verdicts = [
        (checks(result, number)["key"]["verdict"], checks(result, number).get("model", {}).get("verdict"))
        for number in range(len(entries))
    ]
    assert verdicts == [
        ("ok", "ok"), ("ok", "warning"), ("broken", None), ("ok", "ok"), ("broken", None), ("broken", None),
        ("warning", None), ("warning", None),
    ]  # fmt: skip
    assert "sk-good" not in result.stdout
    assert "sk-bad" not in result.stdout


def test_a_call_is_made_when_asked_for(url: str, tmp_path: Path) -> None:
    entries: list[dict[str, Any]] = [
        {"model": f"bedrock/us.{SONNET}"},
        {"model": "openai/gpt-4o", "api_key": "sk-good", "api_base": f"{url}/v1"},
        {"model": f"bedrock/us.{HAIKU}"},
        {"model": f"bedrock/eu.{SONNET}", "aws_region_name": "eu-west-1"},
        {"model": f"bedrock/eu.{SONNET}", "aws_region_name": "eu-west-3"},
        {"model": f"bedrock/eu.{SONNET}", "aws_region_name": "eu-north-1"},
    ]
    for region, fault in (
        ("eu-west-1", {"kind": "throttle"}),
        ("eu-west-3", {"kind": "access_denied"}),
        ("eu-north-1", {"kind": "cut"}),
    ):
        call(f"{url}/_simulator/faults", {"match": {"region": region, "operation": "Converse"}, "fault": fault})
    try:
        result = run(tmp_path, entries, "--json", "--call")
    finally:
        call(f"{url}/_simulator/faults", method="DELETE")
    calls = [checks(result, number).get("call", {}) for number in range(len(entries))]
    verdicts = [each.get("verdict") for each in calls]
    assert verdicts == ["ok", "ok", None, "warning", "broken", "broken"]  # what is broken already is not called
    assert "answered in" in calls[0]["found"]
    assert [each.get("advice", "").partition(",")[0] for each in calls[3:]] == [
        "it can be called",
        "check what its rights and its model's id are",
        "try again",
    ]
    seen = [each for each in call(f"{url}/_simulator/calls").json()["calls"] if each["operation"] == "Converse"]
    assert max(each["usage"]["output"] for each in seen) <= 1


def test_people_get_a_table(tmp_path: Path) -> None:
    result = run(tmp_path, [{"model": f"bedrock/us.{SONNET}"}, {"model": f"bedrock/{HAIKU}"}])
    assert result.exit_code == 1
    head, first, second = result.stdout.splitlines()[:3]
    assert head.split() == ["model", "account", "region", "identity", "model", "access", "quota"]
    assert first.split() == ["m0", "us-east-1", "ok", "ok", "ok", "ok"]
    assert second.split() == ["m1", "us-east-1", "ok", "ok", "broken", "ok"]
    assert "→ accept its terms" in result.stdout
    assert result.stdout.endswith("2 deployments, 1 broken\n")


def test_a_configuration_that_cannot_be_used(tmp_path: Path) -> None:
    result = run_command("doctor", str(tmp_path / "nowhere.yaml"))
    assert result.exit_code == 2
    assert "nowhere.yaml" in result.stderr
