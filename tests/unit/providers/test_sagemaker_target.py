"""A SageMaker endpoint from its configuration to signed requests, judged by botocore."""

import datetime
import json
from pathlib import Path
from unittest.mock import patch

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from sekisho.config.snapshot import Deployment
from sekisho.core.clock import ManualClock
from sekisho.core.errors import (
    ConfigError,
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamRejected,
    UpstreamThrottled,
    UpstreamUnavailable,
)
from sekisho.core.target import Errand, ProviderEnvironment, SignedRequest, Target
from sekisho.core.wire import WireFault, WireRequest
from sekisho.providers import sagemaker

STATIC: dict[str, object] = {
    "aws_access_key_id": "AKIDEXAMPLE",
    "aws_secret_access_key": "base-secret",
    "aws_region_name": "us-west-2",
}
WHOLE, STREAM = Errand("sagemaker_chat"), Errand("sagemaker_chat", "chat", True)
BODY = b'{"model":"m","messages":[]}'


@pytest.fixture(autouse=True)
def _no_aws_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION_NAME",
        "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def target(
    params: dict[str, object], model: str = "sagemaker/my-endpoint", info: dict[str, object] | None = None
) -> Target:
    deployment = Deployment(
        id="d1", model_name="mine", model=model, params=params, model_info=info or {}, where="config.yaml:7"
    )
    return sagemaker.resolve(deployment, ProviderEnvironment(clock=ManualClock()))


def test_what_it_claims() -> None:
    assert sagemaker.claims("sagemaker/x")
    assert sagemaker.claims("sagemaker_chat/x")
    assert not sagemaker.claims("sagemaker")
    assert not sagemaker.claims("bedrock/sagemaker/x")


async def test_the_signature_is_botocores() -> None:
    for errand in (WHOLE, STREAM):
        signed = await target({**STATIC, "model_id": "component-1"}).sign(WireRequest(body=BODY), errand)
        assert signed.headers["x-amzn-sagemaker-inference-component"] == "component-1"
        assert botocore_signature(signed) == signed.headers["authorization"]
        assert "/us-west-2/sagemaker/aws4_request" in signed.headers["authorization"]


def botocore_signature(signed: SignedRequest) -> str:
    given = {name: value for name, value in signed.headers.items() if name not in ("authorization", "x-amz-date")}
    request = AWSRequest(method="POST", url=signed.url, data=BODY, headers=given)
    when = datetime.datetime.fromtimestamp(ManualClock().now(), datetime.UTC)
    with patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: when):
        credentials = Credentials("AKIDEXAMPLE", "base-secret")
        botocore.auth.SigV4Auth(credentials, "sagemaker", "us-west-2").add_auth(request)
    return str(request.headers["Authorization"])


class _Sent(Exception):
    """Carries the request that botocore would have sent."""


async def test_address_and_headers_are_those_that_botocore_sends() -> None:
    client = Session().create_client(
        "sagemaker-runtime",
        region_name="us-west-2",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="base-secret",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def stop(request: object, **_: object) -> None:
        raise _Sent(request)

    client.meta.events.register("before-send", stop)
    arguments = {
        "EndpointName": "my-endpoint",
        "Body": BODY,
        "ContentType": "application/json",
        "InferenceComponentName": "component-1",
    }
    for errand, call, accept in (
        (WHOLE, client.invoke_endpoint, "application/json"),
        (STREAM, client.invoke_endpoint_with_response_stream, "text/event-stream"),
    ):
        with pytest.raises(_Sent) as caught:
            call(**arguments, Accept=accept)
        theirs = caught.value.args[0]
        ours = await target({**STATIC, "model_id": "component-1"}).sign(WireRequest(body=BODY), errand)
        assert ours.url == theirs.url
        for name, value in theirs.headers.items():
            text = value.decode() if isinstance(value, bytes) else value
            if name.lower().startswith(("x-amzn-", "content-type")) or (name == "Accept" and errand is WHOLE):
                assert ours.headers[name.lower()] == text


async def test_the_endpoint_comes_from_the_nearest_source(monkeypatch: pytest.MonkeyPatch) -> None:
    async def url(params: dict[str, object]) -> str:
        return (await target({**STATIC, **params}).sign(WireRequest(body=b""), STREAM)).url

    path = "/endpoints/my-endpoint/invocations-response-stream"
    assert await url({}) == f"https://runtime.sagemaker.us-west-2.amazonaws.com{path}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://env.example/")
    assert await url({}) == f"http://env.example{path}"
    assert await url({"sagemaker_base_url": "http://127.0.0.1:4100"}) == f"http://127.0.0.1:4100{path}"


def test_the_target_describes_itself() -> None:
    role = "arn:aws:iam::111122223333:role/invoker"
    it = target({**STATIC, "aws_role_name": role}, "sagemaker_chat/my-endpoint", {"supports_vision": True})
    assert (it.provider, it.upstream_model) == (sagemaker.name, "my-endpoint")
    assert it.dialects == {"chat": ("sagemaker_chat",)}
    assert (it.account, it.region, it.simulated, it.price) == ("111122223333", "us-west-2", False, None)
    assert it.bucket == "111122223333|us-west-2|my-endpoint"
    assert it.facts.vision
    one, two = target({**STATIC, "model_id": "a"}), target({**STATIC, "model_id": "b"})
    assert one.bucket != two.bucket
    assert "AKIDEXAMPLE" not in one.bucket
    priced = target({**STATIC, "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6})
    assert priced.price is not None


@pytest.mark.parametrize(
    ("params", "model", "message"),
    [
        ({}, "sagemaker/", "name of a SageMaker endpoint"),
        ({}, "sagemaker/a/b", "name of a SageMaker endpoint"),
        ({"aws_region_name": "nowhere"}, "sagemaker/x", "AWS region"),
        ({"aws_access_key_id": "A"}, "sagemaker/x", "together"),
        ({"sagemaker_base_url": "x.example"}, "sagemaker/x", "http"),
        ({"model_id": "a b"}, "sagemaker/x", "inference component"),
    ],
)
def test_what_cannot_work_is_refused_by_place(params: dict[str, object], model: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"config.yaml:7: .*{message}"):
        target(params, model)


def model_error(status: int, body: object) -> tuple[int, str, dict[str, object]]:
    original = body if isinstance(body, str) else json.dumps(body)
    return 424, "ModelError", {"OriginalStatusCode": status, "OriginalMessage": original}


@pytest.mark.parametrize(
    ("answer", "kind", "verdict"),
    [
        ((429, "ThrottlingException", {}), UpstreamThrottled, "elsewhere"),
        ((400, "ThrottlingException", {}), UpstreamThrottled, "elsewhere"),
        ((429, "ModelNotReadyException", {}), UpstreamUnavailable, "same"),
        ((503, "ServiceUnavailable", {}), UpstreamUnavailable, "same"),
        ((500, "InternalFailure", {}), UpstreamUnavailable, "same"),
        ((530, "InternalDependencyException", {}), UpstreamUnavailable, "same"),
        ((403, "AccessDeniedException", {}), UpstreamMisconfigured, "elsewhere"),
        ((403, "ExpiredTokenException", {}), UpstreamMisconfigured, "elsewhere"),
        (
            (400, "ValidationError", {"Message": "Endpoint my-endpoint of account 111122223333 not found."}),
            UpstreamMisconfigured,
            "elsewhere",
        ),
        ((400, "ValidationError", {"Message": "the body is too large"}), UpstreamRejected, "never"),
        (model_error(400, {"error": {"message": "too long", "type": "BadRequestError"}}), UpstreamRejected, "never"),
        (model_error(422, "Input validation error"), UpstreamRejected, "never"),
        (model_error(429, {"error": {"message": "busy"}}), UpstreamThrottled, "elsewhere"),
        (model_error(404, {"error": {"message": "no model `x`"}}), UpstreamMisconfigured, "elsewhere"),
        (model_error(500, "Internal Server Error"), UpstreamUnavailable, "same"),
        ((424, "ModelError", {}), UpstreamUnavailable, "same"),
    ],
)
def test_what_errors_mean(answer: tuple[int, str, dict[str, object]], kind: type[UpstreamError], verdict: str) -> None:
    status, code, fields = answer
    body = json.dumps({"Message": "words", **fields}).encode()
    error = target(STATIC).classify_response(status, {"x-amzn-errortype": code}, body)
    assert (type(error), error.verdict) == (kind, verdict)
    assert "111122223333" not in error.message


@pytest.mark.parametrize(
    ("code", "kind", "verdict"),
    [
        ("ModelInvocationTimeExceeded", UpstreamUnavailable, "never"),
        ("StreamBroken", UpstreamUnavailable, "elsewhere"),
        ("ModelStreamError", UpstreamUnavailable, "elsewhere"),
        ("InternalStreamFailure", UpstreamUnavailable, "same"),
        ("corrupt", UpstreamUnavailable, "elsewhere"),
        ("invalid_request_error", UpstreamRejected, "never"),
        ("rate_limit_exceeded", UpstreamThrottled, "elsewhere"),
    ],
)
def test_faults_inside_a_stream(code: str, kind: type[UpstreamError], verdict: str) -> None:
    error = target(STATIC).classify_fault(WireFault(code, "words"))
    assert (type(error), error.verdict) == (kind, verdict)


@given(status=st.integers(300, 599), code=st.text(max_size=20), body=st.binary(max_size=60))
def test_every_response_has_a_meaning(status: int, code: str, body: bytes) -> None:
    assert target(STATIC).classify_response(status, {"x-amzn-errortype": code}, body).status >= 400


async def test_there_is_no_counterpart() -> None:
    assert not await sagemaker.detect_simulation([])
