"""What the administrator sees of deployments: whether they answer, and how they fare."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from tests.support.gateway import Gateway, Simulator, run_gateway

HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "us.amazon.nova-pro-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"
SECRET = "AKIAIOSFODNN7EXAMPLE"  # the example of AWS's own documentation

CONFIG = f"""
model_list:
  - model_name: haiku
    litellm_params: {{model: bedrock/{HAIKU}, aws_region_name: us-east-1}}
    model_info: {{id: good}}
  - model_name: haiku
    litellm_params: {{model: bedrock/{HAIKU}, aws_region_name: eu-west-1, tags: [elsewhere]}}
    model_info: {{id: refusing}}
  - model_name: embed
    litellm_params: {{model: bedrock/{TITAN}, aws_region_name: us-east-1}}
    model_info: {{id: vectors}}
  - model_name: "bedrock/*"
    litellm_params: {{model: "bedrock/*", aws_region_name: us-west-2}}
    model_info: {{id: any, health_check_model: bedrock/{NOVA}}}
  - model_name: "free/*"
    litellm_params: {{model: "bedrock/*", aws_region_name: us-west-2}}
    model_info: {{id: unchecked}}
  - model_name: nowhere
    litellm_params: {{model: nobody/knows}}
    model_info: {{id: broken}}
litellm_settings: {{default_fallbacks: [haiku]}}
router_settings: {{enable_tag_filtering: true}}
"""


@pytest.fixture(scope="module")
def gateway(running_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("health") / "home", CONFIG, running_simulator.environment) as gateway:
        yield gateway


def ids(answer: dict[str, Any], kind: str) -> list[str]:
    return [endpoint["model_id"] for endpoint in answer[f"{kind}_endpoints"]]


def test_each_deployment_is_called_and_nothing_stands_in_for_it(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({"region": "eu-west-1"}, {"kind": "access_denied"})
    answer = gateway.get("/health")
    assert answer.status == 200, answer.body
    health = answer.json()
    assert (ids(health, "healthy"), ids(health, "unhealthy")) == (["good", "vectors", "any"], ["refusing", "broken"])
    assert (health["healthy_count"], health["unhealthy_count"]) == (3, 2)
    refusing, broken = health["unhealthy_endpoints"]
    assert (refusing["model"], refusing["model_name"], refusing["aws_region_name"]) == (
        f"bedrock/{HAIKU}",
        "haiku",
        "eu-west-1",
    )
    assert refusing["error"]
    assert "no provider here serves" in broken["error"]
    calls = [(call["region"], call["model"], call["usage"]["output"]) for call in simulator.calls()]
    assert sorted(calls) == [
        ("eu-west-1", HAIKU, 0),
        ("us-east-1", TITAN, 0),
        ("us-east-1", HAIKU, 1),
        ("us-west-2", NOVA, 1),
    ]


def test_a_check_is_a_call_that_is_accounted(gateway: Gateway, simulator: Simulator) -> None:
    before = gateway.get("/global/spend").json()["spend"]
    assert gateway.get("/health?model_id=good").json()["healthy_count"] == 1
    rows = gateway.get("/spend/logs").json()
    newest = max(rows, key=lambda row: row["startTime"])
    assert (newest["model_group"], newest["model_id"], newest["completion_tokens"]) == ("health-check/good", "good", 1)
    assert newest["metadata"]["agent"] == "sekisho-health-check"
    assert gateway.get("/global/spend").json()["spend"] > before
    assert len(simulator.calls()) == 1


def test_one_model_or_deployment_can_be_asked_for_and_only_by_those_who_see_everything(
    gateway: Gateway, simulator: Simulator
) -> None:
    assert ids(gateway.get("/health?model=haiku").json(), "healthy") == ["good", "refusing"]
    assert ids(gateway.get(f"/health?model=bedrock/{TITAN}").json(), "healthy") == ["vectors"]
    assert gateway.get("/health?model=opus").status == 404
    assert gateway.get("/health?model_id=opus").status == 404
    before = len(simulator.calls())
    assert gateway.get("/health", key=gateway.make_key()).status == 403
    assert len(simulator.calls()) == before


def test_the_administrator_sees_how_deployments_fare(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({"region": "eu-west-1"}, {"kind": "throttle", "message": "Too many tokens"})
    assert gateway.get("/health?model=haiku").json()["unhealthy_count"] == 1
    key = gateway.make_key()
    infos = {one["model_info"]["id"]: one["model_info"] for one in gateway.get("/model/info").json()["data"]}
    good, refusing = infos["good"]["state"], infos["refusing"]["state"]
    assert (good["rest"], good["in_flight"], good["region"], good["last_error"]) == ("free", 0, "us-east-1", None)
    assert good["used_requests"] >= 1
    assert good["first_token_ms"]["p95"] >= good["first_token_ms"]["p50"] > 0
    assert (refusing["rest"], refusing["rest_seconds"] > 0) == ("cooling", True)
    assert "Too many tokens" in refusing["last_error"]
    assert refusing["last_error_at"].endswith("Z")
    assert "state" not in infos["broken"]
    assert infos["any"]["id"] == "any"
    for one in gateway.get("/model/info", key=key).json()["data"]:
        assert "state" not in one["model_info"]


def test_checks_in_the_background(tmp_path: Path, simulator: Simulator) -> None:
    secret = "secret-that-nobody-must-see"  # made up
    config = f"""
model_list:
  - model_name: haiku
    litellm_params:
      model: bedrock/{HAIKU}
      aws_region_name: us-east-1
      aws_access_key_id: {SECRET}
      aws_secret_access_key: {secret}
    model_info: {{id: keyed}}
  - model_name: nova
    litellm_params: {{model: bedrock/{NOVA}, aws_region_name: us-east-1}}
    model_info: {{id: unasked, disable_background_health_check: true}}
general_settings: {{background_health_checks: true, health_check_interval: 3600}}
"""
    with run_gateway(tmp_path / "home", config, simulator.environment) as gateway:
        deadline = monotonic() + 30
        while not (health := gateway.get("/health").json())["unhealthy_count"]:
            assert monotonic() < deadline, "no check was made"
            sleep(0.05)
        assert (ids(health, "healthy"), ids(health, "unhealthy")) == (
            [],
            ["keyed"],
        )  # the counterpart knows no such key
        assert secret not in gateway.get("/health").body.decode() + gateway.errors()
        attempts = len(simulator.calls())
        gateway.get("/health")
        assert len(simulator.calls()) == attempts
        path = gateway.home / "config.yaml"
        path.write_text(config.replace("interval: 3600", "interval: 3600, health_check_details: false"))
        assert gateway.post("/config/reload", {}).json()["status"] == "reloaded"
        assert gateway.get("/health").json()["unhealthy_endpoints"] == [{"model": f"bedrock/{HAIKU}"}]
