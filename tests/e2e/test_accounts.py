"""Several AWS accounts behind one gateway: roles of an STS, and a counterpart that knows only the keys it issued."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.gateway import Answer, Gateway, call, run_gateway
from tests.support.moto import EXTERNAL_ID, HUB, SPOKES, Moto, make_role, role_arn, run_moto
from tests.support.servers import serve_app

from sekisho.core.clock import SystemClock
from sekisho.simulator.app import build_simulator
from sekisho.simulator.settings import KeyPair, Limit, Match, SimulatorSettings

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
EAST, WEST = SPOKES
PROFILE = f"arn:aws:bedrock:us-east-1:{EAST}:application-inference-profile/abc123def456"
CONFIG = f"""
model_list:
  - model_name: east
    litellm_params: &east
      model: bedrock/converse/{CLAUDE}
      aws_region_name: us-east-1
      aws_role_name: {role_arn(EAST)}
      aws_external_id: {EXTERNAL_ID}
      aws_session_name: gw-{{user_id}}
      aws_session_tags: {{team: "{{team_id}}", gateway: sekisho}}
  - model_name: west
    litellm_params: &west
      <<: *east
      aws_region_name: eu-west-1
      aws_role_name: {role_arn(WEST)}
  - model_name: hub
    litellm_params: {{model: bedrock/converse/{CLAUDE}, aws_region_name: us-east-1}}
  - model_name: wrong-id
    litellm_params: {{<<: *east, aws_external_id: something-else}}
  - model_name: stranger
    litellm_params: {{<<: *east, aws_role_name: "{role_arn(EAST, "stranger")}"}}
  - model_name: no-sts
    litellm_params: {{<<: *east, aws_sts_endpoint: "http://127.0.0.1:9"}}
  - model_name: both
    litellm_params: {{<<: *east, aws_external_id: something-else, order: 1}}
  - model_name: both
    litellm_params: {{<<: *east, aws_sts_endpoint: "http://127.0.0.1:9", order: 1}}
  - model_name: both
    litellm_params: {{<<: *west, order: 2}}
  - model_name: chained
    litellm_params:
      model: bedrock/converse/{CLAUDE}
      aws_region_name: us-east-1
      aws_profile_name: relay
      aws_role_name: {role_arn(WEST, "chained")}
  - model_name: spread
    litellm_params: {{<<: *east, aws_region_name: us-west-2, order: 1}}
  - model_name: spread
    litellm_params: {{<<: *west, aws_region_name: us-west-2, order: 2}}
  - model_name: profile
    litellm_params: {{<<: *east, model: "bedrock/{PROFILE}"}}
general_settings:
  allow_unpriced_models: true
router_settings:
  num_retries: 0
"""
RELAY = f"""
[profile relay]
role_arn = {role_arn(EAST)}
credential_source = Environment
external_id = {EXTERNAL_ID}
role_session_name = relay
region = us-east-1
"""


class _OneMinute(SystemClock):
    """True time for signatures, and a minute that never ends for quotas."""

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    def more(moto: Moto, user: str) -> None:
        make_role(moto, EAST, trusted=f"arn:aws:iam::{HUB}:user/somebody-else", name="stranger")
        relay = f"arn:aws:sts::{EAST}:assumed-role/bedrock/relay"
        make_role(moto, WEST, trusted=relay, name="chained", external_id=None)

    with run_moto(more) as running:
        yield running


@pytest.fixture(scope="module")
def bedrock(moto: Moto) -> Iterator[str]:
    settings = SimulatorSettings(
        key_pairs=(KeyPair(access_key=moto.access_key, secret_key=moto.secret_key, account=HUB),),
        issuer=moto.find_keys,
        profiles={PROFILE: CLAUDE},
        limits=(Limit(match=Match(service="bedrock", region="us-west-2"), rpm=2),),
    )
    with serve_app(build_simulator(settings, _OneMinute())) as url:
        yield url


@pytest.fixture(scope="module")
def gateway(moto: Moto, bedrock: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home: Path = tmp_path_factory.mktemp("home")
    (home / "aws").write_text(RELAY)
    environment = {
        **moto.environment,
        "AWS_CONFIG_FILE": str(home / "aws"),
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock,
        "AWS_ENDPOINT_URL_BEDROCK": bedrock,
    }
    with run_gateway(home, CONFIG, environment) as running:
        yield running


@pytest.fixture
def hanako(gateway: Gateway) -> str:
    return gateway.make_key(user_id="hanako@example.com")


def ask(gateway: Gateway, model: str, key: str) -> Answer:
    body = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
    return gateway.post("/v1/chat/completions", body, key)


def last_calls(bedrock: str, count: int = 1) -> list[dict[str, Any]]:
    calls = call(f"{bedrock}/_simulator/calls").json()["calls"]
    return [each for each in calls if each["operation"] == "Converse"][-count:]


@pytest.mark.parametrize(("model", "account", "region"), [("east", EAST, "us-east-1"), ("west", WEST, "eu-west-1")])
def test_each_account_is_entered_by_its_role_in_the_callers_name(
    gateway: Gateway, bedrock: str, hanako: str, model: str, account: str, region: str
) -> None:
    answer = ask(gateway, model, hanako)
    assert answer.status == 200, answer.body
    (seen,) = last_calls(bedrock)
    assert (seen["account"], seen["region"], seen["status"]) == (account, region, 200)
    assert seen["principal"] == f"arn:aws:sts::{account}:assumed-role/bedrock/gw-hanako@example.com"


def test_every_caller_has_a_session(gateway: Gateway, bedrock: str, hanako: str) -> None:
    taro = gateway.make_key(user_id="taro")
    for key in (hanako, taro, hanako):
        assert ask(gateway, "east", key).status == 200
    names = [each["session_name"] for each in last_calls(bedrock, 3)]
    assert names == ["gw-hanako@example.com", "gw-taro", "gw-hanako@example.com"]


def test_the_gateways_own_account_needs_no_role(gateway: Gateway, bedrock: str, hanako: str) -> None:
    assert ask(gateway, "hub", hanako).status == 200
    (seen,) = last_calls(bedrock)
    assert (seen["account"], seen["session_name"]) == (HUB, None)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("wrong-id", f"AWS STS refuses keys for the role {role_arn(EAST)} (AccessDenied)"),
        ("stranger", f"AWS STS refuses keys for the role {role_arn(EAST, 'stranger')} (AccessDenied)"),
        ("no-sts", f"the role {role_arn(EAST)} cannot be had: EndpointConnectionError"),
    ],
)
def test_a_role_that_cannot_be_had_is_told_to_the_operator_only(
    gateway: Gateway, hanako: str, model: str, said: str
) -> None:
    answer = ask(gateway, model, hanako)
    assert answer.status in (502, 503), answer.body
    assert b"arn:aws" not in answer.body
    assert EAST.encode() not in answer.body
    assert said in gateway.errors()
    assert EXTERNAL_ID not in gateway.errors()


def test_accounts_that_cannot_be_entered_harm_no_other(gateway: Gateway, bedrock: str, hanako: str) -> None:
    assert ask(gateway, "both", hanako).status == 200
    assert last_calls(bedrock)[0]["account"] == WEST
    assert ask(gateway, "east", hanako).status == 200


def test_a_role_may_be_assumed_from_a_role(gateway: Gateway, bedrock: str, hanako: str) -> None:
    assert ask(gateway, "chained", hanako).status == 200
    (seen,) = last_calls(bedrock)
    assert seen["principal"] == f"arn:aws:sts::{WEST}:assumed-role/chained/sekisho"


def test_each_account_has_a_quota_of_its_own(gateway: Gateway, bedrock: str, hanako: str) -> None:
    assert [ask(gateway, "spread", hanako).status for _ in range(4)] == [200] * 4
    answered = [each for each in last_calls(bedrock, 5) if each["status"] == 200]
    assert [each["account"] for each in answered] == [EAST, EAST, WEST, WEST]


def test_the_doctor_says_what_a_role_lacks(gateway: Gateway, moto: Moto, bedrock: str) -> None:
    environment = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock, "AWS_CONFIG_FILE": str(gateway.home / "aws")}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    result = subprocess.run(
        [sys.executable, "-m", "sekisho", "doctor", "--json", str(gateway.home / "config.yaml")],
        env=clean | moto.environment | environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    patients = json.loads(result.stdout)["deployments"]
    broken = {patient["model_name"] for patient in patients if patient["broken"]}
    assert (result.returncode, broken) == (1, {"wrong-id", "stranger", "no-sts", "both"})
    (stranger,) = (patient["checks"] for patient in patients if patient["model_name"] == "stranger")
    assert f"let the trust policy of {role_arn(EAST, 'stranger')}" in stranger[0]["advice"]
    assert f"arn:aws:iam::{HUB}:user/gateway" in stranger[0]["advice"]


def test_a_profiles_model_is_found_out_and_priced(gateway: Gateway, hanako: str) -> None:
    deadline = time.monotonic() + 30
    while "x-litellm-response-cost" not in (answer := ask(gateway, "profile", hanako)).headers:
        assert answer.status == 200, answer.body
        assert time.monotonic() < deadline, "its price is still unknown"
        time.sleep(0.05)
    assert float(answer.headers["x-litellm-response-cost"]) > 0
