"""Who sent a request: by an AWS signature, or by a bearer API key."""

import base64
import hmac

import msgspec
from msgspec import Struct

from sekisho.identity.sigv4 import SignatureFault, SignedMessage, parse_authorization, verify_signature
from sekisho.simulator.errors import Refusal
from sekisho.simulator.http import Request
from sekisho.simulator.settings import (
    DEFAULT_ACCESS_KEY,
    DEFAULT_ACCOUNT,
    DEFAULT_KEY_ARN,
    DEFAULT_SECRET_KEY,
    SimulatorSettings,
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
    """Who sent a request to `service`, by its name in signatures. Raises Refusal as AWS refuses."""
    authorization = request.headers.get("authorization", "")
    if not authorization:
        raise Refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
    if authorization[:7].lower() == "bearer " and service == "bedrock":
        return _read_bearer(authorization[7:].strip(), settings)
    try:
        signed = parse_authorization(authorization)
        credential = _find_credential(signed.access_key, request.headers.get("x-amz-security-token"), settings, now)
        message = SignedMessage(
            method=request.method,
            raw_path=request.raw_path,
            query=request.query,
            headers=request.headers,
            body=request.body,
        )
        verify_signature(message, signed, credential.secret, service=service, now=now)
    except SignatureFault as fault:
        raise Refusal(fault.name, fault.message) from fault
    return Principal(
        account=credential.account,
        arn=credential.arn,
        region=signed.region,
        access_key=signed.access_key,
        assumed=credential.assumed,
    )


def _read_bearer(token: str, settings: SimulatorSettings) -> Principal:
    if not token or (settings.bearer_tokens and token not in settings.bearer_tokens):
        raise Refusal("AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.")
    return Principal(account=DEFAULT_ACCOUNT, arn=DEFAULT_KEY_ARN, region=settings.default_region)


def _find_credential(key: str, token: str | None, settings: SimulatorSettings, now: float) -> _Credential:
    if settings.issuer is not None and (issued := settings.issuer(key, token)) is not None:
        return _Credential(issued.secret_key, issued.account, issued.arn, assumed=True)
    if key.startswith("ASIA"):
        session = read_session_token(token or "")
        if session is None or session.access_key != key:
            raise _unknown_key()
        if session.expires <= now:
            raise Refusal("ExpiredTokenException", "The security token included in the request is expired")
        return _Credential(session_secret(key), session.account, session.arn, assumed=True)
    if token is not None:
        raise _unknown_key()
    if key == DEFAULT_ACCESS_KEY:
        return _Credential(DEFAULT_SECRET_KEY, DEFAULT_ACCOUNT, DEFAULT_KEY_ARN)
    for pair in settings.key_pairs:
        if pair.access_key == key:
            return _Credential(pair.secret_key, pair.account, f"arn:aws:iam::{pair.account}:user/{key.lower()}")
    raise _unknown_key()


def _unknown_key() -> Refusal:
    return Refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
