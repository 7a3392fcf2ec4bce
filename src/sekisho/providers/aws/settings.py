"""The `aws_*` parameters of a deployment to the settings of its credentials."""

import re
from collections.abc import Mapping

from sekisho.core.errors import ConfigError
from sekisho.core.target import Counterpart
from sekisho.providers.aws.chain import CredentialSettings
from sekisho.providers.aws.sessions import (
    MAX_NAME,
    MAX_TAG_VALUE,
    MIN_NAME,
    PLACEHOLDERS,
    find_placeholders,
    has_placeholders,
    is_tag_sign,
)
from sekisho.providers.common.settings import name_key, read_text

# The account may be a placeholder, as in examples: AWS says better than we could that it does not exist.
_ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::([\w-]+):role/[\w+=,.@/-]+", re.ASCII)
_SESSION_NAME = re.compile(r"[\w+=,.@-]*", re.ASCII)
_FIELD = re.compile(r"\{\w*\}")
_MAX_TAGS = 50
_MAX_TAG_KEY = 128


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
    settings = CredentialSettings(
        region=region,
        access_key_id=key,
        secret_access_key=secret,
        session_token=read_text(params, "aws_session_token", where) if key else None,
        profile=read_text(params, "aws_profile_name", where),
        role_arn=role,
        session_name=_session_name(params, where),
        external_id=read_text(params, "aws_external_id", where),
        session_tags=_session_tags(params.get("aws_session_tags"), where),
        sts_endpoint=read_text(params, "aws_sts_endpoint", where),
        web_identity_token=token,
    )
    if role is None and has_placeholders(settings):
        raise ConfigError(
            "aws_session_name and aws_session_tags can name the caller only in a role's session: give aws_role_name",
            where=where,
        )
    if token is not None and any(find_placeholders(value) for _, value in settings.session_tags):
        raise ConfigError(
            "aws_session_tags cannot name the caller with aws_web_identity_token: the tags are in the token",
            where=where,
        )
    return settings


def _session_name(params: Mapping[str, object], where: str) -> str:
    name = read_text(params, "aws_session_name", where) or "sekisho"
    _check_placeholders("aws_session_name", name, where)
    plain = _FIELD.sub("", name)
    if not _SESSION_NAME.fullmatch(plain) or len(plain) > MAX_NAME or (plain == name and len(name) < MIN_NAME):
        raise ConfigError(
            f"aws_session_name must be 2 to 64 letters, digits or any of +=,.@-_, not {name!r}", where=where
        )
    return name


def _check_placeholders(parameter: str, text: str, where: str) -> None:
    for field in find_placeholders(text):
        if field not in PLACEHOLDERS:
            known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
            raise ConfigError(f"{parameter}: {{{field}}} is not known here; there are {known}", where=where)


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
    if len(tags) > _MAX_TAGS:
        raise ConfigError(f"aws_session_tags has {len(tags)} tags, and AWS takes {_MAX_TAGS}", where=where)
    for key, text in tags:
        _check_tag(key, text, where)
    return tags


def _check_tag(key: str, value: str, where: str) -> None:
    _check_placeholders("aws_session_tags", value, where)
    plain = _FIELD.sub("", value)
    if not 0 < len(key) <= _MAX_TAG_KEY or len(plain) > MAX_TAG_VALUE:
        raise ConfigError(
            f"aws_session_tags: a key has 1 to {_MAX_TAG_KEY} characters and a value at most {MAX_TAG_VALUE}, "
            f"which {key!r} does not keep to",
            where=where,
        )
    if not all(is_tag_sign(sign) for sign in key + plain):
        raise ConfigError(
            f"aws_session_tags: {key!r} has a character that is no letter, digit, space or any of _.:/=+-@", where=where
        )


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
