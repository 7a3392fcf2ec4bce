"""Virtual keys: how they are made, recognised and shown."""

import hashlib
import secrets
from typing import Final

PREFIX: Final = "sk-"
_RANDOM_BYTES: Final = 16
_SHOWN: Final = 4
_LONG_ENOUGH_TO_SHOW: Final = 16


def make_key() -> str:
    """A new key: `sk-` and 22 characters that carry 128 random bits."""
    return PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def hash_key(key: str) -> str:
    """What is stored of a key: its SHA-256 in hex. Keys are random, so that no salt is needed."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def mask_key(key: str) -> str:
    """What may be shown of a key: `sk-...` and its last four characters, or none of them if it is short."""
    return f"{PREFIX}...{key[-_SHOWN:] if len(key) >= _LONG_ENOUGH_TO_SHOW else ''}"
