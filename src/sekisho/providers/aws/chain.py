"""Asks botocore and STS for AWS keys. Everything here blocks: it is called in threads.

botocore is imported when it is first needed, because that costs 150 ms which a start without AWS should not pay.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from sekisho.providers.aws.clients import make_client
from sekisho.providers.aws.signing import Keys

DURATION = 3600
"""Seconds an assumed role lasts: the most that a role assumed by a role may."""

_REFUSED = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"})
_BUSY = frozenset(
    {"Throttling", "ThrottlingException", "RequestLimitExceeded", "ServiceUnavailable", "InternalFailure"}
)


class CredentialFailure(Exception):
    """No keys can be had. The message names the role or profile and never a key.

    kind: `absent`, nothing was found; `denied`, we may not have them; `refused`, the keys to ask with are no longer
      accepted; `unavailable`, nobody could be asked.
    """

    def __init__(self, kind: Literal["absent", "denied", "refused", "unavailable"], message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class CredentialSettings(Struct, frozen=True, kw_only=True):
    """Which keys to use. Equal settings share their keys.

    Without static keys and profile it is botocore's default chain. web_identity_token: a token, or the path of a file
    that holds one. session_tags: pairs of key and value. sts_endpoint: None for the region's own.
    """

    region: str
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    session_name: str = "sekisho"
    external_id: str | None = None
    session_tags: tuple[tuple[str, str], ...] = ()
    sts_endpoint: str | None = None
    web_identity_token: str | None = None

    def __repr__(self) -> str:
        return f"CredentialSettings({self.role_arn or self.profile or 'keys'})"

    def base(self) -> "CredentialSettings":
        """The settings of the keys with which the role is assumed; the same for every role and region."""
        return CredentialSettings(
            region="",
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
            session_token=self.session_token,
            profile=self.profile,
        )


class KeyFinder:
    """Static keys, a profile's, or those of the default chain."""

    def __init__(self, settings: CredentialSettings) -> None:
        self._settings = settings
        self._found: Any = None

    def forget(self) -> None:
        """Search anew next time."""
        self._found = None

    def find(self) -> Keys:
        """The keys as they are now; those that botocore renews are renewed. Raises CredentialFailure."""
        settings = self._settings
        if settings.access_key_id is not None and settings.secret_access_key is not None:
            return Keys(
                access_key_id=settings.access_key_id,
                secret_access_key=settings.secret_access_key,
                session_token=settings.session_token,
            )
        return _translating(
            self._search, f"AWS profile {settings.profile!r}" if settings.profile else "AWS credentials"
        )

    def _search(self) -> Keys:
        from botocore.credentials import RefreshableCredentials  # noqa: PLC0415 - see the module's docstring
        from botocore.session import Session  # noqa: PLC0415

        found = self._found or Session(profile=self._settings.profile).get_credentials()
        # What botocore does not renew is searched again each time, so that a changed file takes effect.
        self._found = found if isinstance(found, RefreshableCredentials) else None
        if found is None:
            raise CredentialFailure(
                "absent",
                "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or "
                "AWS_BEARER_TOKEN_BEDROCK, give the machine a role, or name keys in litellm_params",
            )
        frozen = found.get_frozen_credentials()
        return Keys(
            access_key_id=frozen.access_key, secret_access_key=frozen.secret_key, session_token=frozen.token or None
        )


def assume_role(settings: CredentialSettings, base: Keys) -> Keys:
    """The keys of the role, asked for with `base` at the region's STS. Raises CredentialFailure."""
    request: dict[str, Any] = _role_request(settings)
    if settings.external_id is not None:
        request["ExternalId"] = settings.external_id
    if settings.session_tags:
        request["Tags"] = [{"Key": key, "Value": value} for key, value in settings.session_tags]
    return _ask_sts(settings, base, "assume_role", request)


def assume_role_with_token(settings: CredentialSettings) -> Keys:
    """The keys of the role for a web identity. Raises CredentialFailure."""
    token = settings.web_identity_token or ""
    if token.startswith("/"):
        try:
            token = Path(token).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise CredentialFailure(
                "absent", f"aws_web_identity_token: cannot read {token}: {error.strerror}"
            ) from error
    request = {**_role_request(settings), "WebIdentityToken": token}
    return _ask_sts(settings, None, "assume_role_with_web_identity", request)


def _role_request(settings: CredentialSettings) -> dict[str, Any]:
    return {"RoleArn": settings.role_arn, "RoleSessionName": settings.session_name, "DurationSeconds": DURATION}


def _ask_sts(settings: CredentialSettings, base: Keys | None, operation: str, request: dict[str, Any]) -> Keys:
    def ask() -> Keys:
        with contextlib.closing(make_client("sts", settings.region, base, settings.sts_endpoint)) as client:
            return _read_keys(getattr(client, operation)(**request))

    return _translating(ask, f"the role {settings.role_arn}")


def _read_keys(answer: dict[str, Any]) -> Keys:
    credentials = answer["Credentials"]
    return Keys(
        access_key_id=credentials["AccessKeyId"],
        secret_access_key=credentials["SecretAccessKey"],
        session_token=credentials["SessionToken"],
        expires=credentials["Expiration"].timestamp(),
    )


def _translating(ask: Callable[[], Keys], what: str) -> Keys:
    """Runs `ask` and turns botocore's errors into CredentialFailure."""
    from botocore.exceptions import (  # noqa: PLC0415 - see the module's docstring
        BotoCoreError,
        ClientError,
        PartialCredentialsError,
        ProfileNotFound,
    )

    try:
        return ask()
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "Unknown"))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _BUSY or status >= 500 or status == 429:
            raise CredentialFailure("unavailable", f"AWS STS cannot give keys for {what} now ({code})") from error
        kind: Literal["refused", "denied"] = "refused" if code in _REFUSED else "denied"
        raise CredentialFailure(kind, f"AWS STS refuses keys for {what} ({code})") from error
    except (ProfileNotFound, PartialCredentialsError) as error:
        raise CredentialFailure("denied", f"{what} cannot be used: {error}") from error
    except BotoCoreError as error:
        raise CredentialFailure("unavailable", f"{what} cannot be had: {type(error).__name__}") from error
