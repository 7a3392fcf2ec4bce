"""What is asked before a model is called, with boto3 as the judge of every answer."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.bedrock import CLAUDE, aws_client, call, user
from tests.support.servers import serve_app

from sekisho.core.clock import SystemClock
from sekisho.simulator.app import build_simulator
from sekisho.simulator.settings import (
    DEFAULT_ACCOUNT,
    IssuedKeys,
    Limit,
    Match,
    SimulatorSettings,
)

CORE = CLAUDE.removeprefix("us.")
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
APPLICATION = f"arn:aws:bedrock:us-east-1:{DEFAULT_ACCOUNT}:application-inference-profile/abc123def456"
PROVISIONED = f"arn:aws:bedrock:us-east-1:{DEFAULT_ACCOUNT}:provisioned-model/abcdefghijkl"
ISSUED = IssuedKeys(
    secret_key="theirs", account="111122223333", arn="arn:aws:sts::111122223333:assumed-role/bedrock/hanako"
)
SETTINGS = SimulatorSettings(
    profiles={APPLICATION: CLAUDE, PROVISIONED: CORE},
    not_granted=(Match(model=HAIKU),),
    limits=(
        Limit(match=Match(model=CLAUDE, region="us-east-1"), tpm=200_000, rpm=50),
        Limit(match=Match(account="111122223333"), tpm=1000),
    ),
    issuer=lambda key, token: ISSUED if (key, token) == ("ASIAFROMELSEWHERE", "the-token") else None,
)


class _OneMinute(SystemClock):
    """True time for signatures, and a minute that never ends for quotas."""

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve_app(build_simulator(SETTINGS, _OneMinute())) as running:
        yield running


def refused(operation: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        operation(**parameters)
    code: str = caught.value.response["Error"]["Code"]
    return code


def test_profiles_are_told(url: str) -> None:
    client = aws_client("bedrock", url)
    listed = {
        each["inferenceProfileId"]: each for each in client.list_inference_profiles()["inferenceProfileSummaries"]
    }
    assert listed[CLAUDE]["type"] == "SYSTEM_DEFINED"
    assert listed["abc123def456"]["type"] == "APPLICATION"
    profile = client.get_inference_profile(inferenceProfileIdentifier=APPLICATION)
    arns = [model["modelArn"] for model in profile["models"]]
    assert len(arns) == 3
    assert all(arn.endswith(f"::foundation-model/{CORE}") for arn in arns)
    everywhere = client.get_inference_profile(inferenceProfileIdentifier=f"global.{CORE}")
    assert f"arn:aws:bedrock:::foundation-model/{CORE}" in [model["modelArn"] for model in everywhere["models"]]
    assert refused(client.get_inference_profile, inferenceProfileIdentifier="us.nobody") == "ResourceNotFoundException"
    elsewhere = aws_client("bedrock", url, region="eu-west-1")
    assert refused(elsewhere.get_inference_profile, inferenceProfileIdentifier=APPLICATION) == "ValidationException"


def test_provisioned_throughput_is_told(url: str) -> None:
    client = aws_client("bedrock", url)
    found = client.get_provisioned_model_throughput(provisionedModelId=PROVISIONED)
    assert found["foundationModelArn"] == f"arn:aws:bedrock:us-east-1::foundation-model/{CORE}"
    assert refused(client.get_provisioned_model_throughput, provisionedModelId="other") == "ResourceNotFoundException"


def test_a_model_without_an_agreement_is_told_and_refused(url: str) -> None:
    client = aws_client("bedrock", url)
    granted = client.get_foundation_model_availability(modelId=CORE)
    assert granted["agreementAvailability"]["status"] == "AVAILABLE"
    missing = client.get_foundation_model_availability(modelId=HAIKU)
    assert missing["agreementAvailability"]["status"] == "NOT_AVAILABLE"
    runtime = aws_client("bedrock-runtime", url)
    assert refused(runtime.converse, modelId=HAIKU, messages=[user("hello")]) == "AccessDeniedException"


def test_the_limits_that_hold_are_told_as_quotas(url: str) -> None:
    client = aws_client("service-quotas", url)
    quotas = {each["QuotaName"]: each["Value"] for each in client.list_service_quotas(ServiceCode="bedrock")["Quotas"]}
    assert quotas == {
        "Cross-region model inference tokens per minute for Anthropic Claude Sonnet 4.5 V1": 200_000.0,
        "Cross-region model inference requests per minute for Anthropic Claude Sonnet 4.5 V1": 50.0,
    }
    elsewhere = aws_client("service-quotas", url, region="eu-west-1")
    assert not elsewhere.list_service_quotas(ServiceCode="bedrock")["Quotas"]
    assert refused(client.list_service_quotas, ServiceCode="ec2") == "NoSuchResourceException"
    assert refused(client.list_services) == "UnknownOperationException"
    assert refused(aws_client("service-quotas", url, secret_key="no").list_service_quotas, ServiceCode="bedrock")


def test_a_profile_counts_as_what_it_is_made_from(url: str) -> None:
    runtime = aws_client("bedrock-runtime", url)
    answer = runtime.converse(modelId=APPLICATION, messages=[user("hello")], inferenceConfig={"maxTokens": 150_000})
    assert answer["stopReason"] == "end_turn"
    last = call("GET", f"{url}/_simulator/calls")[1]["calls"][-1]
    assert (last["model"], last["behind"]) == (APPLICATION, CLAUDE)
    tight = {"messages": [user("hello")], "inferenceConfig": {"maxTokens": 199_990}}
    assert refused(runtime.converse, modelId=CLAUDE, **tight) == "ThrottlingException"


def test_sessions_of_another_sts_open_their_account(url: str) -> None:
    keys = {"access_key": "ASIAFROMELSEWHERE", "secret_key": "theirs"}
    runtime = aws_client("bedrock-runtime", url, session_token="the-token", **keys)
    runtime.converse(modelId=CLAUDE, messages=[user("hello")], inferenceConfig={"maxTokens": 10})
    last = call("GET", f"{url}/_simulator/calls")[1]["calls"][-1]
    assert (last["account"], last["session_name"]) == ("111122223333", "hanako")
    wrong = aws_client("bedrock-runtime", url, session_token="other", **keys)
    assert refused(wrong.converse, modelId=CLAUDE, messages=[user("hello")]) == "UnrecognizedClientException"
    forged = aws_client("bedrock-runtime", url, session_token="the-token", **{**keys, "secret_key": "x"})
    assert refused(forged.converse, modelId=CLAUDE, messages=[user("hello")]) == "InvalidSignatureException"
