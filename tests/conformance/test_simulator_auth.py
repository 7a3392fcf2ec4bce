"""Credentials, as boto3 uses them and as AWS refuses them."""

import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from tests.conformance.conftest import OTHER_KEY
from tests.support.bedrock import CLAUDE, aws_client, call, user
from tests.support.servers import serve_app

from sekisho.core.clock import ManualClock
from sekisho.simulator.app import build_simulator
from sekisho.simulator.settings import DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY, SimulatorSettings

PATH = f"/model/{CLAUDE}/converse"
HELLO = {"messages": [user("hello")]}


def converse(client: Any) -> Any:
    return client.converse(modelId=CLAUDE, messages=[user("hello")])


def assume(client: Any, role: str = "arn:aws:iam::111111111111:role/bedrock", **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.assume_role(RoleArn=role, RoleSessionName="a-session", **more)
    return answer


def client_of(simulator: str, answer: dict[str, Any], *, service: str = "bedrock-runtime", **more: Any) -> Any:
    keys = answer["Credentials"]
    return aws_client(
        service,
        simulator,
        access_key=keys["AccessKeyId"],
        secret_key=keys["SecretAccessKey"],
        **{"session_token": keys["SessionToken"], **more},
    )


def code_of(refused: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = refused.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_known_pair_opens_its_account(simulator: str) -> None:
    converse(aws_client("bedrock-runtime", simulator, access_key=OTHER_KEY.access_key, secret_key="other-secret"))
    (seen,) = call("GET", f"{simulator}/_simulator/calls")[1]["calls"]
    assert seen["account"] == "222222222222"


@pytest.mark.parametrize(
    ("access_key", "secret_key", "token", "code"),
    [
        (DEFAULT_ACCESS_KEY, "wrong", None, "InvalidSignatureException"),
        ("AKIANOBODYKNOWSTHIS0", DEFAULT_SECRET_KEY, None, "UnrecognizedClientException"),
        (DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY, "a token it has not", "UnrecognizedClientException"),
        ("ASIAINVENTED00000000", DEFAULT_SECRET_KEY, "invented.token", "UnrecognizedClientException"),
    ],
)
def test_wrong_credentials_are_refused(
    simulator: str, access_key: str, secret_key: str, token: str | None, code: str
) -> None:
    client = aws_client("bedrock-runtime", simulator, access_key=access_key, secret_key=secret_key, session_token=token)
    with pytest.raises(ClientError) as refused:
        converse(client)
    assert code_of(refused) == (code, 403)


def test_an_assumed_role_calls_in_its_own_account(simulator: str) -> None:
    answer = assume(aws_client("sts", simulator), "arn:aws:iam::ACCOUNT1:role/path/bedrock-role", DurationSeconds=900)
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::ACCOUNT1:assumed-role/bedrock-role/a-session"
    assert answer["Credentials"]["AccessKeyId"].startswith("ASIA")
    converse(client_of(simulator, answer, region="ap-northeast-1"))
    who = client_of(simulator, answer, service="sts").get_caller_identity()
    assert (who["Account"], who["Arn"]) == ("ACCOUNT1", answer["AssumedRoleUser"]["Arn"])
    assumed, conversed, _ = call("GET", f"{simulator}/_simulator/calls")[1]["calls"]
    assert (assumed["operation"], assumed["session_name"]) == ("AssumeRole", "a-session")
    assert (conversed["account"], conversed["region"]) == ("ACCOUNT1", "ap-northeast-1")
    assert conversed["session_name"] == "a-session"


def test_a_session_without_its_token_is_refused(simulator: str) -> None:
    answer = assume(aws_client("sts", simulator))
    with pytest.raises(ClientError) as refused:
        converse(client_of(simulator, answer, session_token=None))
    assert code_of(refused) == ("UnrecognizedClientException", 403)


def test_roles_are_assumed_within_their_rules(simulator: str) -> None:
    sts = aws_client("sts", simulator)
    guarded = "arn:aws:iam::333333333333:role/guarded"
    assume(sts, guarded, ExternalId="the-id")
    with pytest.raises(ClientError) as refused:
        assume(sts, guarded)
    assert code_of(refused) == ("AccessDenied", 403)
    for wrong in ({"RoleSessionName": "no spaces"}, {"RoleArn": "role"}, {"DurationSeconds": 899}, {"ExternalId": "x"}):
        with pytest.raises(ClientError) as refused:
            sts.assume_role(**{"RoleArn": "arn:aws:iam::1:role/r", "RoleSessionName": "fine", **wrong})
        assert code_of(refused) == ("ValidationError", 400)
    chained = client_of(simulator, assume(sts), service="sts")
    with pytest.raises(ClientError, match="1 hour session limit"):
        assume(chained, DurationSeconds=7200)
    with pytest.raises(ClientError) as refused:
        assume(aws_client("sts", simulator, secret_key="wrong"))
    assert code_of(refused) == ("SignatureDoesNotMatch", 403)


def signed_headers(url: str, service: str = "bedrock", body: bytes = b"{}") -> dict[str, str]:
    request = AWSRequest("POST", url, headers={"content-type": "application/json"}, data=body)
    SigV4Auth(Credentials(DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY), service, "us-east-1").add_auth(request)
    return dict(request.headers)


def test_a_changed_body_or_path_breaks_the_signature(simulator: str) -> None:
    headers = signed_headers(f"{simulator}{PATH}")
    status, document = call("POST", f"{simulator}{PATH}", HELLO, headers)
    assert status == 403
    assert "does not match the signature you provided" in document["message"]
    assert call("POST", f"{simulator}{PATH}-stream", {}, headers)[0] == 403


def test_a_signature_for_another_service_is_refused(simulator: str) -> None:
    status, document = call("POST", f"{simulator}{PATH}", {}, signed_headers(f"{simulator}{PATH}", "s3"))
    assert (status, "correct service: 'bedrock'" in document["message"]) == (403, True)


@pytest.mark.parametrize("authorization", [None, "Bearer ", "Basic abc", "AWS4-HMAC-SHA256 Credential=x"])
def test_no_usable_authorization_is_refused(simulator: str, authorization: str | None) -> None:
    headers = {"authorization": authorization} if authorization else {}
    assert call("POST", f"{simulator}{PATH}", HELLO, headers)[0] == 403


def test_a_bearer_token_opens_the_default_account(simulator: str) -> None:
    status, document = call("POST", f"{simulator}{PATH}", HELLO, {"authorization": "Bearer any"})
    assert (status, document["stopReason"]) == (200, "end_turn")


def test_bearer_tokens_can_be_named() -> None:
    settings = SimulatorSettings(bearer_tokens=("the-one",))
    with serve_app(build_simulator(settings, ManualClock())) as url:
        assert call("POST", f"{url}{PATH}", HELLO, {"authorization": "Bearer another"})[0] == 403
        assert call("POST", f"{url}{PATH}", HELLO, {"authorization": "Bearer the-one"})[0] == 200


def test_a_signature_of_another_time_is_refused() -> None:
    app = build_simulator(SimulatorSettings(), ManualClock())  # a clock that stands years ago
    with serve_app(app) as url, pytest.raises(ClientError, match="Signature not yet current"):
        converse(aws_client("bedrock-runtime", url))


def test_a_session_expires() -> None:
    clock = ManualClock(time.time())
    with serve_app(build_simulator(SimulatorSettings(), clock)) as url:
        client = client_of(url, assume(aws_client("sts", url)))
        converse(client)
        clock.advance(3600)
        with pytest.raises(ClientError) as refused:
            converse(client)
    assert code_of(refused) == ("ExpiredTokenException", 403)


def test_the_answer_names_its_request_and_its_error(simulator: str) -> None:
    request = urllib.request.Request(f"{simulator}{PATH}", data=b"{}", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(request, timeout=10):
        pass
    with refused.value as error:
        assert error.headers["x-amzn-errortype"].split(":")[0] == "MissingAuthenticationTokenException"
        assert error.headers["x-amzn-requestid"]
