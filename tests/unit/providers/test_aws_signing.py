"""Our Signature Version 4 is botocore's."""

import datetime
from hashlib import sha256
from unittest.mock import patch

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from sekisho.providers.aws.signing import Keys, Place, Signer
from sekisho.providers.bedrock.address import model_url

HEADERS = {"accept": "application/vnd.amazon.eventstream", "content-type": "application/json"}
ENDPOINTS = (
    "https://bedrock-runtime.us-east-1.amazonaws.com",
    "http://127.0.0.1:4100",
    "https://Example.COM:443/prefix/x",
    "http://localhost:80",
    "https://proxy.example:8443/a~b",
)


def _botocore_headers(url: str, body: bytes, keys: Keys, region: str, now: float) -> dict[str, str]:
    request = AWSRequest(method="POST", url=url, data=body, headers=dict(HEADERS))
    credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    when = datetime.datetime.fromtimestamp(now, datetime.UTC)
    with patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: when):
        botocore.auth.SigV4Auth(credentials, "bedrock", region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@given(
    endpoint=st.sampled_from(ENDPOINTS),
    model_id=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=3, max_size=80),
    body=st.binary(max_size=200),
    access=st.text("ABCDEFGHIJKLMNOP0123456789", min_size=16, max_size=20),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
    token=st.none() | st.text("abc/+=XYZ0", min_size=1, max_size=60),
    region=st.sampled_from(["us-east-1", "eu-central-1", "us-gov-west-1"]),
    now=st.integers(min_value=946_684_800, max_value=4_000_000_000),
    constant=st.booleans(),
)
def test_signature_equals_botocores(
    endpoint: str,
    model_id: str,
    body: bytes,
    access: str,
    secret: str,
    token: str | None,
    region: str,
    now: int,
    constant: bool,
) -> None:
    url = model_url(endpoint, model_id, "converse")
    keys = Keys(access_key_id=access, secret_access_key=secret, session_token=token)
    place, headers = (Place.of(url, HEADERS), {}) if constant else (Place.of(url), HEADERS)
    signer = Signer(region, "bedrock")
    ours = signer.sign(place, headers, body, keys, float(now))
    assert ours == signer.sign(place, headers, body, keys, float(now), sha256(body).hexdigest())
    theirs = _botocore_headers(url, body, keys, region, float(now))
    assert ours["authorization"] == theirs["authorization"]
    assert ours["x-amz-date"] == theirs["x-amz-date"]
    assert ours.get("x-amz-security-token") == theirs.get("x-amz-security-token")


def test_runs_of_white_space_count_as_one_in_the_signature() -> None:
    keys, url = Keys(access_key_id="AKID", secret_access_key="s"), "https://h.example/model/m/invoke"
    headers = {**HEADERS, "x-amzn-bedrock-request-metadata": '{"a": "b   c",  "d": "e"}'}
    ours = Signer("us-east-1", "bedrock").sign(Place.of(url), headers, b"", keys, 1_700_000_000.0)
    request = AWSRequest(method="POST", url=url, data=b"", headers=headers)
    when = datetime.datetime.fromtimestamp(1_700_000_000, datetime.UTC)
    with patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: when):
        botocore.auth.SigV4Auth(Credentials("AKID", "s"), "bedrock", "us-east-1").add_auth(request)
    assert ours["authorization"] == request.headers["Authorization"]
    assert ours["x-amzn-bedrock-request-metadata"] == headers["x-amzn-bedrock-request-metadata"]


def test_the_signing_key_follows_the_day_and_the_key() -> None:
    url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse"
    signer, place = Signer("us-east-1", "bedrock"), Place.of(url)
    old = Keys(access_key_id="AKIDOLD", secret_access_key="old")
    new = Keys(access_key_id="AKIDNEW", secret_access_key="new")
    for keys, now in ((old, 1_700_000_000.0), (old, 1_700_086_400.0), (new, 1_700_086_400.0), (old, 1_700_000_000.0)):
        expected = _botocore_headers(url, b"{}", keys, "us-east-1", now)["authorization"]
        assert signer.sign(place, HEADERS, b"{}", keys, now)["authorization"] == expected


def test_keys_do_not_show_themselves() -> None:
    keys = Keys(access_key_id="AKIDEXAMPLE", secret_access_key="very-secret", session_token="session-secret")
    assert "secret" not in repr(keys)
    assert "EXAMPLE" not in repr(keys)
