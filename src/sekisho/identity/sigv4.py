"""AWS Signature Version 4, verified: the signature of a request computed again from what arrived.

The rules are those of "Signature Version 4 signing process" in the AWS documentation, for services other than S3: the
canonical path is the path as sent, percent-encoded once more; a signature is good for five minutes around the server's
time. Pure functions; whose secret it is decides the caller.
"""

import calendar
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import quote

from msgspec import Struct

SCHEME: Final = "AWS4-HMAC-SHA256"
"""What the Authorization header of a signed request begins with."""
SKEW_SECONDS: Final = 300

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/aws4_request"
    r",\s*SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


class SignatureFault(Exception):
    """A signature that proves nothing: AWS's own name for the error, and its words, which SDKs show their users."""

    def __init__(self, name: Literal["IncompleteSignatureException", "InvalidSignatureException"], message: str):
        super().__init__(message)
        self.name = name
        self.message = message


class SignedMessage(Struct, frozen=True, kw_only=True):
    """A request as it arrived.

    raw_path: still percent-encoded, without the query.
    query: the raw query string, without the question mark.
    headers: by lower-case name; values as latin-1 text, those of one name joined by commas.
    """

    method: str
    raw_path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class Authorization(Struct, frozen=True, kw_only=True):
    """What the Authorization header of a signed request says."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str


def parse_authorization(value: str) -> Authorization:
    """Take an Authorization header apart. Raises SignatureFault when it is not one of a signed request."""
    match = _AUTHORIZATION.fullmatch(value.strip())
    if match is None:
        raise SignatureFault(
            "IncompleteSignatureException",
            "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters.",
        )
    return Authorization(
        access_key=match["key"],
        date=match["date"],
        region=match["region"],
        service=match["service"],
        signed_headers=tuple(match["headers"].split(";")),
        signature=match["signature"],
    )


def verify_signature(
    message: SignedMessage, authorization: Authorization, secret: str, *, service: str, now: float
) -> None:
    """Check that a request for `service` was signed with `secret` about `now` (seconds since the epoch), as it is.

    Raises:
        SignatureFault: It was not. The message never tells the expected signature.
    """
    _check_scope(authorization, service)
    stamp = _check_time(message.headers, authorization.date, now)
    expected = _sign(message, authorization, stamp, secret)
    if not hmac.compare_digest(expected, authorization.signature):
        raise _mismatch()


def _mismatch() -> SignatureFault:
    return SignatureFault(
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access"
        " Key and signing method. Consult the service documentation for details.",
    )


def _check_scope(authorization: Authorization, service: str) -> None:
    if authorization.service != service:
        words = f"Credential should be scoped to correct service: '{service}'. "
        raise SignatureFault("InvalidSignatureException", words)
    if "host" not in authorization.signed_headers:
        words = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        raise SignatureFault("InvalidSignatureException", words)


def _check_time(headers: Mapping[str, str], scope_date: str, now: float) -> str:
    """The time of signing as it was written."""
    stamp = headers.get("x-amz-date", "")
    try:
        signed_at = calendar.timegm(time.strptime(stamp, _STAMP))
    except ValueError:
        words = "Authorization header requires a valid 'X-Amz-Date' header."
        raise SignatureFault("IncompleteSignatureException", words) from None
    if not stamp.startswith(scope_date):
        words = "Date in Credential scope does not match YYYYMMDD from X-Amz-Date."
        raise SignatureFault("InvalidSignatureException", words)
    server = time.strftime(_STAMP, time.gmtime(now))
    if signed_at < now - SKEW_SECONDS:
        words = f"Signature expired: {stamp} is now earlier than {server} - 5 min."
        raise SignatureFault("InvalidSignatureException", words)
    if signed_at > now + SKEW_SECONDS:
        words = f"Signature not yet current: {stamp} is later than {server} + 5 min."
        raise SignatureFault("InvalidSignatureException", words)
    return stamp


def _sign(message: SignedMessage, authorization: Authorization, stamp: str, secret: str) -> str:
    scope = f"{authorization.date}/{authorization.region}/{authorization.service}/aws4_request"
    digest = hashlib.sha256(_canonicalize(message, authorization.signed_headers)).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, f"{SCHEME}\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hex()


def _canonicalize(message: SignedMessage, signed_headers: tuple[str, ...]) -> bytes:
    headers = message.headers
    if any(name not in headers for name in signed_headers):
        raise _mismatch()
    pairs = sorted(pair if "=" in pair else f"{pair}=" for pair in message.query.split("&") if pair)
    lines = [
        message.method,
        quote(message.raw_path.encode("latin-1"), safe="/~"),
        "&".join(pairs),
        *(f"{name}:{' '.join(headers[name].split())}" for name in signed_headers),
        "",
        ";".join(signed_headers),
        _hash_body(message),
    ]
    return "\n".join(lines).encode("latin-1")


def _hash_body(message: SignedMessage) -> str:
    """The hash that the client says it signed, once it is known to be that of the body."""
    actual = hashlib.sha256(message.body).hexdigest()
    declared = message.headers.get("x-amz-content-sha256", actual)
    if not hmac.compare_digest(declared.encode("latin-1"), actual.encode()):
        raise _mismatch()
    return actual
