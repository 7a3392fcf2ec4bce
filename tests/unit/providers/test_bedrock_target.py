"""A deployment from its configuration to signed requests."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.support.sts_stub import StsStub, running_sts

from sekisho.config.snapshot import Deployment
from sekisho.core.clock import ManualClock
from sekisho.core.errors import ConfigError, UpstreamMisconfigured, UpstreamUnavailable
from sekisho.core.target import Counterpart, Errand, ProviderEnvironment, SignedRequest, Target
from sekisho.core.wire import Operation, WireFault, WireRequest
from sekisho.providers import bedrock
from sekisho.providers.aws.signing import Keys, Place, Signer

MODEL = "bedrock/converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PATH = "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
ROLE = "arn:aws:iam::111122223333:role/bedrock-role"
STATIC = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "base-secret", "aws_region_name": "us-west-2"}
COUNTERPART = Counterpart(url="http://127.0.0.1:4100", access_key_id="AKIDLOCAL", secret_access_key="local-secret")


@pytest.fixture(autouse=True)
def _no_aws_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_BEDROCK_RUNTIME_ENDPOINT", "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sts(clock: ManualClock) -> Iterator[StsStub]:
    with running_sts(clock) as stub:
        yield stub


def deployment(params: dict[str, object], model: str = MODEL, info: dict[str, object] | None = None) -> Deployment:
    return Deployment(
        id="d1", model_name="sonnet", model=model, params=params, model_info=info or {}, where="config.yaml:7"
    )


def target(
    clock: ManualClock,
    params: dict[str, object],
    *,
    model: str = MODEL,
    info: dict[str, object] | None = None,
    counterpart: Counterpart | None = None,
) -> Target:
    environment = ProviderEnvironment(clock=clock, counterpart=counterpart)
    return bedrock.resolve(deployment(params, model, info), environment)


async def sign(it: Target, body: bytes, *, stream: bool, dialect: str = "bedrock_converse") -> SignedRequest:
    return await it.sign(WireRequest(body=body), Errand(dialect, "chat", stream))


async def test_static_keys_sign_for_the_regions_own_endpoint(clock: ManualClock) -> None:
    it = target(clock, dict(STATIC))
    request = await sign(it, b'{"a":1}', stream=False)
    assert request.url == f"https://bedrock-runtime.us-west-2.amazonaws.com{PATH}"
    keys = Keys(access_key_id="AKIDEXAMPLE", secret_access_key="base-secret")
    headers = {"accept": "application/json", "content-type": "application/json"}
    expected = Signer("us-west-2", "bedrock").sign(Place.of(request.url), headers, b'{"a":1}', keys, clock.now())
    assert request.headers == expected
    assert request.headers["host"] == "bedrock-runtime.us-west-2.amazonaws.com"


async def test_a_stream_goes_to_its_own_path(clock: ManualClock) -> None:
    request = await sign(target(clock, dict(STATIC)), b"{}", stream=True)
    assert request.url.endswith("/converse-stream")
    assert request.headers["accept"] == "application/vnd.amazon.eventstream"


async def test_the_target_describes_itself(clock: ManualClock) -> None:
    it = target(clock, {**STATIC, "aws_role_name": ROLE})
    assert (it.deployment_id, it.model_name) == ("d1", "sonnet")
    assert (it.provider, it.dialects) == (
        bedrock.name,
        {"chat": ("bedrock_converse",), "count_tokens": ("bedrock_invoke", "bedrock_converse")},
    )
    assert it.upstream_model == "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert (it.account, it.region, it.simulated) == ("111122223333", "us-west-2", False)
    assert it.bucket == "111122223333|us-west-2|us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert it.facts.family == "claude"
    assert it.price is not None
    assert it.price.version.startswith("genai-prices")
    assert "AKIDEXAMPLE" not in target(clock, dict(STATIC)).bucket


async def test_an_application_profile_is_known_by_its_base_model(clock: ManualClock) -> None:
    arn = "arn:aws:bedrock:eu-west-1:444455556666:application-inference-profile/abc"
    plain = target(clock, {}, model=f"bedrock/converse/{arn}")
    assert (plain.account, plain.region, plain.price, plain.facts.family) == (
        "444455556666",
        "eu-west-1",
        None,
        "unknown",
    )
    based = target(
        clock, {}, model=f"bedrock/{arn}", info={"base_model": "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"}
    )
    assert based.facts.family == "claude"
    assert based.price is not None
    assert based.upstream_model == arn
    aliased = target(clock, {**STATIC, "aws_region_name": "eu-west-1", "model_id": arn})
    assert (await sign(aliased, b"", stream=False)).url.endswith(
        "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A444455556666%3Aapplication-inference-profile%2Fabc/converse"
    )
    assert aliased.facts.family == "claude"


async def test_a_bearer_key_is_sent_as_it_is(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    own = await sign(target(clock, {"api_key": "bedrock-key"}), b"{}", stream=False)
    assert own.headers["authorization"] == "Bearer bedrock-key"
    assert "x-amz-date" not in own.headers
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "env-key")
    assert (await sign(target(clock, {}), b"{}", stream=False)).headers["authorization"] == "Bearer env-key"
    assert (await sign(target(clock, dict(STATIC)), b"{}", stream=False)).headers["authorization"].startswith("AWS4-")
    assert not await bedrock.detect_simulation([deployment({})])


async def test_a_role_is_assumed_once_for_all_its_deployments(sts: StsStub, clock: ManualClock) -> None:
    params: dict[str, object] = {**STATIC, "aws_role_name": ROLE, "aws_sts_endpoint": sts.url}
    one, two = target(clock, params), target(clock, params, model="bedrock/us.amazon.nova-pro-v1:0")
    for it in (one, two):
        request = await sign(it, b"{}", stream=False)
        assert request.headers["x-amz-security-token"] == "token-1"
        assert "Credential=ASIA000000000001/" in request.headers["authorization"]
    assert len(sts.requests) == 1
    assert sts.requests[0]["RoleSessionName"] == "sekisho"


async def test_refused_keys_are_replaced_for_the_next_attempt(sts: StsStub, clock: ManualClock) -> None:
    it = target(clock, {**STATIC, "aws_role_name": ROLE, "aws_sts_endpoint": sts.url})
    await sign(it, b"{}", stream=False)
    clock.advance(10)
    error = it.classify_response(403, {"x-amzn-errortype": "ExpiredTokenException"}, b'{"message":"expired"}')
    assert error.verdict == "same"
    assert (await sign(it, b"{}", stream=False)).headers["x-amz-security-token"] == "token-2"


async def test_credential_failures_send_the_call_elsewhere(sts: StsStub, clock: ManualClock) -> None:
    params: dict[str, object] = {**STATIC, "aws_role_name": ROLE, "aws_sts_endpoint": sts.url}
    sts.failure = (403, "AccessDenied")
    with pytest.raises(UpstreamMisconfigured) as denied:
        await sign(target(clock, params), b"{}", stream=False)
    assert denied.value.verdict == "elsewhere"
    assert "bedrock-role" not in denied.value.message  # the caller may see it
    (note,) = denied.value.__notes__
    assert "bedrock-role" in note
    assert "secret" not in note
    clock.advance(6)
    sts.failure = (503, "ServiceUnavailable")
    with pytest.raises(UpstreamUnavailable) as away:
        await sign(target(clock, params), b"{}", stream=False)
    assert (away.value.verdict, away.value.cooldown > 0) == ("elsewhere", True)
    assert "bedrock-role" not in away.value.message
    assert "bedrock-role" in away.value.__notes__[0]


async def test_without_any_keys_it_says_what_to_do(clock: ManualClock) -> None:
    own_endpoint: dict[str, object] = {"aws_bedrock_runtime_endpoint": "https://bedrock.internal.example"}
    it = target(clock, own_endpoint, counterpart=COUNTERPART)
    assert not it.simulated
    with pytest.raises(UpstreamMisconfigured) as caught:
        await sign(it, b"{}", stream=False)
    assert "AWS_ACCESS_KEY_ID" in caught.value.__notes__[0]


async def test_what_depends_on_the_default_chain_is_simulated(sts: StsStub, clock: ManualClock) -> None:
    local = Counterpart(url=sts.url, access_key_id="AKIDLOCAL", secret_access_key="local-secret")
    plain = target(clock, {}, counterpart=local)
    request = await sign(plain, b"{}", stream=False)
    assert plain.simulated
    assert request.url == sts.url + PATH
    assert "Credential=AKIDLOCAL/" in request.headers["authorization"]
    assert plain.bucket.startswith("simulated|us-east-1|")
    role = target(clock, {"aws_role_name": ROLE, "aws_session_name": "team"}, counterpart=local)
    assert (await sign(role, b"{}", stream=False)).headers["x-amz-security-token"] == "token-1"
    assert "Credential=AKIDLOCAL/" in sts.requests[0]["authorization"]
    assert role.account == "111122223333"
    assert not target(clock, dict(STATIC), counterpart=local).simulated


async def test_simulation_is_detected(tmp_path: Path) -> None:
    assert await bedrock.detect_simulation([deployment({}), deployment(dict(STATIC))])
    assert not await bedrock.detect_simulation([deployment(dict(STATIC)), deployment({}, "openai/gpt-5")])
    assert not await bedrock.detect_simulation([])
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = A\naws_secret_access_key = s\n")
    assert not await bedrock.detect_simulation([deployment({})])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"aws_region_name": "nowhere"}, "AWS region"),
        ({"aws_access_key_id": "AKID"}, "together"),
        ({"aws_role_name": "bedrock-role"}, "role's ARN"),
        ({"aws_role_name": ROLE, "aws_session_name": "a b"}, "aws_session_name"),
        ({"aws_web_identity_token": "jwt"}, "needs aws_role_name"),
        ({"aws_session_tags": ["team"]}, "aws_session_tags"),
        ({"aws_bedrock_runtime_endpoint": "bedrock.example"}, "http"),
        ({"api_key": "k", "aws_bedrock_runtime_endpoint": "http://bedrock.example"}, "https"),
        ({"api_key": "k\nx: y"}, "no key has"),
        ({"aws_profile_name": 7}, "must be text"),
        ({"input_cost_per_token": -1}, "price"),
    ],
)
def test_what_cannot_work_is_refused_by_place(clock: ManualClock, params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        target(clock, params)
    assert caught.value.where == "config.yaml:7"


def test_a_fault_in_a_stream_is_judged_too(clock: ManualClock) -> None:
    error = target(clock, dict(STATIC)).classify_fault(WireFault("throttlingException", "Too many requests"))
    assert (error.status, error.verdict, error.native) == (429, "elsewhere", "ThrottlingException")


BOTH = ("bedrock_converse", "bedrock_invoke")
COUNTED = ("bedrock_invoke", "bedrock_converse")
CLAUDE = "us.anthropic.claude-opus-5-5"


@pytest.mark.parametrize(
    ("model", "dialects"),
    [
        (CLAUDE, {"chat": BOTH, "count_tokens": COUNTED}),
        (f"bedrock/{CLAUDE}", {"chat": BOTH, "count_tokens": COUNTED}),
        (f"bedrock/converse/{CLAUDE}", {"chat": ("bedrock_converse",), "count_tokens": COUNTED}),
        (f"bedrock/invoke/{CLAUDE}", {"chat": ("bedrock_invoke",), "count_tokens": COUNTED}),
        (f"bedrock/anthropic/{CLAUDE}", {"chat": ("anthropic_messages",), "count_tokens": COUNTED}),
        ("bedrock/us.amazon.nova-pro-v1:0", {"chat": ("bedrock_converse",)}),
        ("bedrock/invoke/us.amazon.nova-pro-v1:0", {"chat": ("bedrock_converse",)}),
        ("openai.gpt-oss-120b-1:0", {"chat": ("bedrock_converse", "openai_chat")}),
        ("us.openai.gpt-6-sol", {"chat": ("bedrock_converse", "openai_chat", "openai_responses")}),
        ("bedrock/xai.grok-4", {"chat": ("bedrock_converse", "openai_chat", "openai_responses")}),
        ("bedrock/converse/us.openai.gpt-6-sol", {"chat": ("bedrock_converse",)}),
        ("bedrock/openai/us.openai.gpt-6-sol", {"chat": ("openai_chat", "openai_responses")}),
        ("bedrock/amazon.titan-embed-text-v2:0", {"embeddings": ("titan_embeddings",)}),
        ("bedrock/cohere.embed-multilingual-v3", {"embeddings": ("cohere_embeddings",)}),
    ],
)
async def test_a_model_is_called_by_the_apis_it_has(
    clock: ManualClock, model: str, dialects: dict[Operation, tuple[str, ...]]
) -> None:
    it = target(clock, dict(STATIC), model=model)
    assert it.dialects == dialects
    for operation, names in dialects.items():
        for name in names:  # every one of them has an address
            signed = await it.sign(WireRequest(body=b"{}"), Errand(name, operation))
            assert signed.url.startswith("https://bedrock-runtime.us-west-2.amazonaws.com/")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("bedrock/anthropic/amazon.nova-pro-v1:0", "only Claude"),
        (f"bedrock/openai/{CLAUDE}", "OpenAI and xAI"),
        ("bedrock/openai/arn:aws:bedrock:us-east-1:111122223333:imported-model/abc", "Converse"),
    ],
)
def test_a_road_that_leads_nowhere_is_refused_by_place(clock: ManualClock, model: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"config.yaml:7: .*{message}"):
        target(clock, dict(STATIC), model=model)


def test_an_application_profile_takes_its_base_models_roads(clock: ManualClock) -> None:
    arn = "arn:aws:bedrock:eu-west-1:444455556666:application-inference-profile/abc"
    assert target(clock, {}, model=f"bedrock/{arn}").dialects == {"chat": ("bedrock_converse",)}
    assert target(clock, {}, model=f"bedrock/invoke/{arn}").dialects["chat"] == ("bedrock_invoke",)
    based = target(clock, {}, model=f"bedrock/{arn}", info={"base_model": CLAUDE})
    assert based.dialects["chat"] == BOTH


@pytest.mark.parametrize(
    ("model", "dialect", "stream", "path", "accept"),
    [
        (CLAUDE, "bedrock_invoke", False, f"/model/{CLAUDE}/invoke", "application/json"),
        (
            CLAUDE,
            "bedrock_invoke",
            True,
            f"/model/{CLAUDE}/invoke-with-response-stream",
            "application/vnd.amazon.eventstream",
        ),
        (f"bedrock/anthropic/{CLAUDE}", "anthropic_messages", True, "/anthropic/v1/messages", "text/event-stream"),
        ("us.openai.gpt-6-sol", "openai_chat", False, "/openai/v1/chat/completions", "application/json"),
        ("us.openai.gpt-6-sol", "openai_responses", True, "/openai/v1/responses", "text/event-stream"),
    ],
)
async def test_a_dialects_headers_are_signed_with_the_request(
    clock: ManualClock, model: str, dialect: str, stream: bool, path: str, accept: str
) -> None:
    headers = {"anthropic-version": "2023-06-01", "x-amzn-bedrock-request-metadata": '{"a":"b  c"}'}
    it = target(clock, dict(STATIC), model=model)
    signed = await it.sign(WireRequest(body=b"{}", headers=headers), Errand(dialect, "chat", stream))
    assert signed.url == f"https://bedrock-runtime.us-west-2.amazonaws.com{path}"
    assert signed.headers["accept"] == accept
    assert signed.headers.items() >= headers.items()
    assert (
        "anthropic-version;content-type;host;x-amz-date;x-amzn-bedrock-request-metadata"
        in (signed.headers["authorization"])
    )
    assert botocore_signature(signed, b"{}", clock) == signed.headers["authorization"]


def botocore_signature(signed: SignedRequest, body: bytes, clock: ManualClock) -> str:
    given = {name: value for name, value in signed.headers.items() if name not in ("authorization", "x-amz-date")}
    request = AWSRequest(method="POST", url=signed.url, data=body, headers=given)
    when = datetime.datetime.fromtimestamp(clock.now(), datetime.UTC)
    with patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: when):
        credentials = Credentials("AKIDEXAMPLE", "base-secret")
        botocore.auth.SigV4Auth(credentials, "bedrock", "us-west-2").add_auth(request)
    return str(request.headers["Authorization"])


async def test_a_vendors_error_does_not_touch_the_keys(sts: StsStub, clock: ManualClock) -> None:
    it = target(clock, {**STATIC, "aws_role_name": ROLE, "aws_sts_endpoint": sts.url}, model=CLAUDE)
    await sign(it, b"{}", stream=False)
    clock.advance(10)
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    assert it.classify_response(529, {}, body).native == "overloaded_error"
    assert it.classify_fault(WireFault("overloaded_error", "Overloaded")).verdict == "elsewhere"
    await sign(it, b"{}", stream=False)
    assert len(sts.requests) == 1
