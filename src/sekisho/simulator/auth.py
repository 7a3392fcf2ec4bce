"""Who signed a request: AWS Signature Version 4, computed again from what arrived, and bearer API keys.

The rules are those of "Signature Version 4 signing process" in the AWS documentation: the canonical path is the path as
sent, percent-encoded once more; a signature is good for five minutes around the server's time.
"""

import base64
import calendar
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from urllib.parse import quote

import msgspec
from msgspec import Struct

from sekisho.simulator.errors import AwsError
from sekisho.simulator.http import Request
from sekisho.simulator.settings import (
    DEFAULT_ACCESS_KEY,
    DEFAULT_ACCOUNT,
    DEFAULT_KEY_ARN,
    DEFAULT_SECRET_KEY,
    SimulatorSettings,
)

_SKEW_SECONDS = 300
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/aws4_request"
    r",\s*SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
# Sessions are signed rather than remembered, so that every process of a simulation knows those of the others.
_SESSION_KEY = b"sekisho simulator: sessions"


class Principal(Struct, frozen=True, kw_only=True):
    """Who calls: the account, the ARN, and the region the credentials were used for."""

    account: str
    arn: str
    region: str
    access_key: str | None = None
    assumed: bool = False


class Session(Struct, frozen=True, kw_only=True):
    """Temporary credentials; `expires` in seconds since the epoch."""

    access_key: str
    account: str
    arn: str
    expires: float


class _Credential(Struct, frozen=True):
    secret: str
    account: str
    arn: str
    assumed: bool = False


def session_secret(access_key: str) -> str:
    """The secret key that belongs to a temporary access key (40 characters)."""
    return base64.b64encode(hmac.digest(_SESSION_KEY, f"secret {access_key}".encode(), "sha256"))[:40].decode()


def write_session_token(session: Session) -> str:
    """A session token, which only a simulator can make."""
    body = base64.urlsafe_b64encode(msgspec.json.encode(session))
    seal = base64.urlsafe_b64encode(hmac.digest(_SESSION_KEY, body, "sha256"))
    return f"{body.decode()}.{seal.decode()}"


def read_session_token(token: str) -> Session | None:
    """The session of a token, expired or not; None when no simulator made it."""
    body, _, seal = token.partition(".")
    expected = base64.urlsafe_b64encode(hmac.digest(_SESSION_KEY, body.encode(), "sha256"))
    if not hmac.compare_digest(expected, seal.encode()):
        return None
    return msgspec.json.decode(base64.urlsafe_b64decode(body), type=Session)


def authenticate(request: Request, *, service: str, settings: SimulatorSettings, now: float) -> Principal:
    """Who sent a request to `service` (`bedrock` or `sts`). Raises AwsError as AWS refuses."""
    authorization = request.headers.get("authorization", "")
    if not authorization:
        raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token")
    if authorization[:7].lower() == "bearer " and service == "bedrock":
        return _read_bearer(authorization[7:].strip(), settings)
    match = _AUTHORIZATION.fullmatch(authorization.strip())
    if match is None:
        raise AwsError(
            "IncompleteSignatureException",
            "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters.",
        )
    credential = _find_credential(match["key"], request.headers.get("x-amz-security-token"), settings, now)
    _check_scope(match, service)
    stamp = _check_time(request.headers, match["date"], now)
    expected = _sign(request, match, stamp, credential.secret)
    if not hmac.compare_digest(expected, match["signature"]):
        raise _mismatch()
    return Principal(
        account=credential.account,
        arn=credential.arn,
        region=match["region"],
        access_key=match["key"],
        assumed=credential.assumed,
    )


def _read_bearer(token: str, settings: SimulatorSettings) -> Principal:
    if not token or (settings.bearer_tokens and token not in settings.bearer_tokens):
        raise AwsError("AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.")
    return Principal(account=DEFAULT_ACCOUNT, arn=DEFAULT_KEY_ARN, region=settings.default_region)


def _find_credential(key: str, token: str | None, settings: SimulatorSettings, now: float) -> _Credential:
    if key.startswith("ASIA"):
        session = read_session_token(token or "")
        if session is None or session.access_key != key:
            raise _unknown_key()
        if session.expires <= now:
            raise AwsError("ExpiredTokenException", "The security token included in the request is expired")
        return _Credential(session_secret(key), session.account, session.arn, assumed=True)
    if token is not None:
        raise _unknown_key()
    if key == DEFAULT_ACCESS_KEY:
        return _Credential(DEFAULT_SECRET_KEY, DEFAULT_ACCOUNT, DEFAULT_KEY_ARN)
    for pair in settings.key_pairs:
        if pair.access_key == key:
            return _Credential(pair.secret_key, pair.account, f"arn:aws:iam::{pair.account}:user/{key.lower()}")
    raise _unknown_key()


def _unknown_key() -> AwsError:
    return AwsError("UnrecognizedClientException", "The security token included in the request is invalid.")


def _mismatch() -> AwsError:
    return AwsError(
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access"
        " Key and signing method. Consult the service documentation for details.",
    )


def _check_scope(match: re.Match[str], service: str) -> None:
    if match["service"] != service:
        raise AwsError("InvalidSignatureException", f"Credential should be scoped to correct service: '{service}'. ")
    if "host" not in match["headers"].split(";"):
        raise AwsError(
            "InvalidSignatureException", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        )


def _check_time(headers: Mapping[str, str], scope_date: str, now: float) -> str:
    stamp = headers.get("x-amz-date", "")
    try:
        signed_at = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise AwsError(
            "IncompleteSignatureException", "Authorization header requires a valid 'X-Amz-Date' header."
        ) from None
    if not stamp.startswith(scope_date):
        raise AwsError("InvalidSignatureException", "Date in Credential scope does not match YYYYMMDD from X-Amz-Date.")
    server = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    if signed_at < now - _SKEW_SECONDS:
        raise AwsError("InvalidSignatureException", f"Signature expired: {stamp} is now earlier than {server} - 5 min.")
    if signed_at > now + _SKEW_SECONDS:
        raise AwsError(
            "InvalidSignatureException", f"Signature not yet current: {stamp} is later than {server} + 5 min."
        )
    return stamp


def _sign(request: Request, match: re.Match[str], stamp: str, secret: str) -> str:
    body_hash = hashlib.sha256(request.body).hexdigest()
    declared = request.headers.get("x-amz-content-sha256", body_hash)
    if declared not in (body_hash, "UNSIGNED-PAYLOAD"):
        raise _mismatch()
    names = match["headers"].split(";")
    if any(name not in request.headers for name in names):
        raise _mismatch()
    canonical = "\n".join(
        [
            request.method,
            quote(request.raw_path, safe="/~"),
            "&".join(sorted(pair if "=" in pair else f"{pair}=" for pair in request.query.split("&") if pair)),
            *(f"{name}:{' '.join(request.headers[name].split())}" for name in names),
            "",
            match["headers"],
            declared,
        ]
    )
    scope = f"{match['date']}/{match['region']}/{match['service']}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hex()
