"""Reading a deployment's parameters, with errors that name its place in the configuration."""

import hashlib
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from sekisho.core.errors import ConfigError

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?", re.ASCII)
_GIVEN_BY_US = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})


def read_text(values: Mapping[str, object], name: str, where: str) -> str | None:
    """A text parameter; None when it is absent or empty."""
    value = values.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be text, not {type(value).__name__}", where=where)
    return value


def read_key(values: Mapping[str, object], name: str, where: str) -> str | None:
    """A secret that goes into a header; the message for one that cannot does not show it."""
    key = read_text(values, name, where)
    return None if key is None else check_key(key, name, where)


def check_key(key: str, name: str, where: str) -> str:
    """`key` without white space around it. Raises ConfigError when it cannot be sent in a header."""
    key = key.strip()
    if not _HEADER_VALUE.fullmatch(key):
        raise ConfigError(f"{name} has characters that no key has, such as a line break", where=where)
    return key


def check_url(url: object, what: str, where: str) -> str:
    """An http(s) URL without its last slash; `what` names it in messages. Raises ConfigError."""
    try:
        parts = urlsplit(str(url))
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, or half an IPv6 address
        usable = False
    if not usable or parts.query or parts.fragment:
        raise ConfigError(f"{what} {url!r} must be an http(s) URL without a query", where=where)
    return str(url).rstrip("/")


def read_headers(params: Mapping[str, object], where: str) -> dict[str, str]:
    """`extra_headers`: more headers for every request, names in lower case. Raises ConfigError."""
    given = params.get("extra_headers") or {}
    if not isinstance(given, dict):
        raise ConfigError("extra_headers must be a mapping of names to text", where=where)
    headers: dict[str, str] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name) or name.lower() in _GIVEN_BY_US:
            raise ConfigError(f"extra_headers: {name!r} is not the name of a header that can be set", where=where)
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise ConfigError(f"extra_headers: {name} must be text of printable ASCII characters", where=where)
        headers[name.lower()] = value
    return headers


def name_key(key: str) -> str:
    """What tells a key from others without showing it."""
    return f"key-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
