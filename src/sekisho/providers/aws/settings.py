"""The `aws_*` parameters of a deployment to the settings of its credentials."""

import re
from collections.abc import Mapping

from sekisho.core.errors import ConfigError
from sekisho.core.target import Counterpart
from sekisho.providers.aws.chain import CredentialSettings
from sekisho.providers.common.settings import name_key, read_text

# The account may be a placeholder, as in examples: AWS says better than we could that it does not exist.
_ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::([\w-]+):role/[\w+=,.@/-]+", re.ASCII)
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)


def read_credentials(params: Mapping[str, object], region: str, where: str) -> CredentialSettings:
    """Reads the `aws_*` parameters. Raises ConfigError."""
    key, secret = read_text(params, "aws_access_key_id", where), read_text(params, "aws_secret_access_key", where)
    if (key is None) != (secret is None):
        raise ConfigError("aws_access_key_id and aws_secret_access_key are needed together", where=where)
    role, token = read_text(params, "aws_role_name", where), read_text(params, "aws_web_identity_token", where)
    if role is not None and not _ROLE_ARN.fullmatch(role):
        raise ConfigError(
            f"aws_role_name must be a role's ARN (arn:aws:iam::123456789012:role/name), not {role!r}", where=where
        )
    if token is not None and role is None:
        raise ConfigError("aws_web_identity_token needs aws_role_name, the role to assume with it", where=where)
    session_name = read_text(params, "aws_session_name", where) or "sekisho"
    if not _SESSION_NAME.fullmatch(session_name):
        raise ConfigError(
            f"aws_session_name must be 2 to 64 letters, digits or any of +=,.@-_, not {session_name!r}", where=where
        )
    return CredentialSettings(
        region=region,
        access_key_id=key,
        secret_access_key=secret,
        session_token=read_text(params, "aws_session_token", where) if key else None,
        profile=read_text(params, "aws_profile_name", where),
        role_arn=role,
        session_name=session_name,
        external_id=read_text(params, "aws_external_id", where),
        session_tags=_session_tags(params.get("aws_session_tags"), where),
        sts_endpoint=read_text(params, "aws_sts_endpoint", where),
        web_identity_token=token,
    )


def _session_tags(value: object, where: str) -> tuple[tuple[str, str], ...]:
    """LiteLLM's list of `{Key, Value}`, or a mapping."""
    pairs: list[tuple[object, object]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list) and all(isinstance(tag, dict) for tag in value):
        pairs = [(tag.get("Key"), tag.get("Value")) for tag in value]
    elif value is not None:
        pairs = [(None, None)]
    tags = tuple((key, text) for key, text in pairs if isinstance(key, str) and isinstance(text, str))
    if len(tags) != len(pairs):
        raise ConfigError("aws_session_tags must be a list of {Key: text, Value: text}", where=where)
    return tags


def names_own_keys(params: Mapping[str, object]) -> bool:
    """Whether a deployment says where its keys come from, so that the default chain is not asked."""
    return any(params.get(name) for name in ("aws_access_key_id", "aws_profile_name", "aws_web_identity_token"))


def simulated_credentials(settings: CredentialSettings, counterpart: Counterpart) -> CredentialSettings:
    """The same role, assumed at the counterpart with the counterpart's keys."""
    return CredentialSettings(
        region=settings.region,
        access_key_id=counterpart.access_key_id,
        secret_access_key=counterpart.secret_access_key,
        role_arn=settings.role_arn,
        session_name=settings.session_name,
        external_id=settings.external_id,
        session_tags=settings.session_tags,
        sts_endpoint=counterpart.url,
    )


def role_account(settings: CredentialSettings) -> str | None:
    """The account of the role to assume, if one is."""
    role = _ROLE_ARN.fullmatch(settings.role_arn or "")
    return role[1] if role else None


def name_identity(settings: CredentialSettings) -> str:
    """What tells quotas apart where the account is not known; never a key itself."""
    if settings.access_key_id is not None:
        return name_key(settings.access_key_id)
    return f"profile-{settings.profile}" if settings.profile else "default"
