"""What Bedrock and Service Quotas tell of a deployment. They are the counterpart's, over real HTTP."""

import gc
from collections.abc import Iterator

import pytest
from tests.support.gateway import call
from tests.support.servers import serve_app

from sekisho.config.snapshot import Deployment
from sekisho.core.clock import ManualClock, SystemClock
from sekisho.core.target import Counterpart, Discovery, ProviderEnvironment, ServiceQuota
from sekisho.providers import bedrock
from sekisho.providers.bedrock import profiles
from sekisho.providers.bedrock.target import BedrockTarget
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
_OF_US = f"arn:aws:bedrock:us-east-1:{DEFAULT_ACCOUNT}"
US, GLOBAL, ONE, NOVA = (f"{_OF_US}:application-inference-profile/{name}" for name in ("us", "global", "one", "nova"))
PROVISIONED = f"{_OF_US}:provisioned-model/abcdefghijkl"
UNKNOWN = f"{_OF_US}:application-inference-profile/nobody"
IMPORTED = f"{_OF_US}:imported-model/abcdefghijkl"
SETTINGS = SimulatorSettings(
    profiles={
        US: f"us.{SONNET}",
        GLOBAL: f"global.{SONNET}",
        ONE: SONNET,
        NOVA: "amazon.nova-pro-v1:0",
        PROVISIONED: SONNET,
    },
    limits=(Limit(match=Match(model=f"us.{SONNET}"), tpm=200_000, rpm=50),),
)


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    with serve_app(build_simulator(SETTINGS, SystemClock())) as url:
        yield url


@pytest.fixture
def url(running: str, monkeypatch: pytest.MonkeyPatch) -> str:
    call(f"{running}/_simulator/calls", method="DELETE")
    call(f"{running}/_simulator/faults", method="DELETE")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", running)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SERVICE_QUOTAS", running)
    monkeypatch.setattr(profiles, "_known", {})
    return running


def target(
    url: str,
    model: str,
    clock: ManualClock | None = None,
    *,
    tpm: int | None = None,
    rpm: int | None = None,
    base_model: str = "",
    **more: object,
) -> BedrockTarget:
    params: dict[str, object] = {
        "aws_access_key_id": DEFAULT_ACCESS_KEY,
        "aws_secret_access_key": DEFAULT_SECRET_KEY,
        "aws_bedrock_runtime_endpoint": url,
        **more,
    }
    deployment = Deployment(
        id="d1",
        model_name="m",
        model=f"bedrock/{model}",
        params=params,
        model_info={"base_model": base_model},
        where="c:1",
        tpm=tpm,
        rpm=rpm,
    )
    return bedrock.resolve(deployment, ProviderEnvironment(clock=clock or ManualClock()))


def asked(url: str) -> list[str]:
    return [each["operation"] for each in call(f"{url}/_simulator/calls").json()["calls"]]


@pytest.mark.parametrize(("arn", "counted"), [(US, f"us.{SONNET}"), (GLOBAL, f"global.{SONNET}"), (ONE, SONNET)])
async def test_an_application_profile_becomes_what_it_is_made_from(url: str, arn: str, counted: str) -> None:
    it = target(url, arn)
    assert (it.price, it.facts.family) == (None, "unknown")
    assert it.bucket.endswith(arn)
    await it.discover()
    known = target(url, counted, aws_region_name="us-east-1")
    assert (it.price, it.facts, it.dialects) == (known.price, known.facts, known.dialects)
    assert it.price is not None
    assert it.bucket == f"{DEFAULT_ACCOUNT}|us-east-1|{counted}"
    assert it.upstream_model == arn


async def test_it_is_asked_once(url: str) -> None:
    first = target(url, US, tpm=1, rpm=1)
    await first.discover()
    await first.discover()
    assert target(url, US, tpm=1, rpm=1).price == first.price
    assert asked(url) == ["GetInferenceProfile"]


async def test_provisioned_throughput_has_its_models_price_and_a_quota_of_its_own(url: str) -> None:
    it = target(url, PROVISIONED)
    assert await it.discover() == Discovery()
    assert it.facts.family == "claude"
    assert it.price is not None
    assert it.bucket.endswith(PROVISIONED)
    assert asked(url) == ["GetProvisionedModelThroughput"]


async def test_a_stated_base_model_is_not_asked_for(url: str) -> None:
    it = target(url, US, base_model=f"bedrock/us.{SONNET}", tpm=1, rpm=1)
    assert it.price is not None
    assert it.bucket.endswith(f"|us.{SONNET}")
    await it.discover()
    assert asked(url) == []


async def test_what_nobody_tells_is_said_with_what_to_do(url: str) -> None:
    (problem,) = (await target(url, UNKNOWN).discover()).problems
    assert "allow bedrock:GetInferenceProfile, or set model_info.base_model" in problem
    assert "ResourceNotFoundException" in problem
    assert (await target(url, IMPORTED).discover()).problems == ()
    rule = {"match": {"service": "servicequotas"}, "fault": {"kind": "access_denied"}}
    call(f"{url}/_simulator/faults", rule)
    clock = ManualClock()
    for _ in range(2):
        (problem,) = (await target(url, f"us.{SONNET}", clock).discover()).problems
        assert "allow servicequotas:ListServiceQuotas, or set tpm and rpm" in problem


async def test_a_road_that_the_model_does_not_have_is_told(url: str) -> None:
    fits = target(url, f"anthropic/{ONE}", tpm=1, rpm=1)
    assert (await fits.discover()).problems == ()
    assert fits.dialects["chat"] == ("anthropic_messages",)
    wrong = target(url, f"anthropic/{NOVA}", tpm=1, rpm=1)
    (problem,) = (await wrong.discover()).problems
    assert "only Claude is served by Bedrock's Anthropic API" in problem
    assert wrong.price is None


async def test_quotas_are_listed_once_an_hour_for_an_account_and_region(url: str) -> None:
    clock = ManualClock()
    one, two = target(url, f"us.{SONNET}", clock), target(url, "us.amazon.nova-pro-v1:0", clock)
    for _ in range(2):
        quota = (await one.discover()).quota
        assert quota == ServiceQuota(tokens_per_minute=200_000, requests_per_minute=50)
        assert (await two.discover()).quota is None
    assert asked(url) == ["ListServiceQuotas"]
    clock.advance(3600)
    await one.discover()
    assert asked(url) == ["ListServiceQuotas"] * 2
    del one, two
    gc.collect()


async def test_a_profile_has_its_own_quota_whatever_its_base_model_is_called(url: str) -> None:
    it = target(url, f"us.{SONNET}", base_model=SONNET, aws_region_name="us-east-1")
    assert it.bucket.endswith(f"|us.{SONNET}")
    assert (await it.discover()).quota == ServiceQuota(tokens_per_minute=200_000, requests_per_minute=50)


async def test_a_stated_quota_is_not_asked_for(url: str) -> None:
    assert (await target(url, f"us.{SONNET}", tpm=1, rpm=1).discover()).quota is None
    assert (await target(url, f"us.{SONNET}", tpm=1).discover()).quota is not None
    assert asked(url) == ["ListServiceQuotas"]


async def test_a_stand_in_for_the_runtime_does_not_have_aws_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_BEDROCK")
    monkeypatch.delenv("AWS_ENDPOINT_URL_SERVICE_QUOTAS")
    discovery = await target(url, US).discover()
    assert "set model_info.base_model" in discovery.problems[0]
    named = target(url, US, aws_bedrock_control_plane_endpoint=url)
    assert (await named.discover()).problems == ()
    assert asked(url) == ["GetInferenceProfile"]


async def test_what_is_simulated_is_not_asked_about(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counterpart = Counterpart(url=url, access_key_id="a", secret_access_key="s")
    deployment = Deployment(id="d", model_name="m", model=f"bedrock/{US}", params={}, model_info={}, where="c:1")
    for name in ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_BEARER_TOKEN_BEDROCK", "AWS_BEDROCK_RUNTIME_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    it = bedrock.resolve(deployment, ProviderEnvironment(clock=ManualClock(), counterpart=counterpart))
    assert await it.discover() == Discovery()
    assert asked(url) == []
