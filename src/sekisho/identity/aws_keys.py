"""Callers that sign their requests, as AWS's SDKs do, with a key pair that is another form of a virtual key.

Nothing of a pair is stored. The access key id is the key's hash in other letters; the secret is derived from the hash
and the master key, so that whoever steals the database can still sign nothing. A new master key makes all pairs void.
"""

import base64
import hashlib
import hmac
from functools import cached_property
from typing import Final

from msgspec import Struct

from sekisho.core.clock import Clock
from sekisho.core.errors import InvalidRequest, Unauthenticated
from sekisho.identity.sigv4 import (
    SCHEME,
    Authorization,
    SignatureFault,
    SignedMessage,
    parse_authorization,
    verify_signature,
)

_SERVICE: Final = "bedrock"
_PREFIX: Final = "SKAK"
_PADDING: Final = "===="  # what base32 adds to 32 bytes
_PURPOSE: Final = b"sekisho-sigv4:"
_SHOWN: Final = 4
_NO_MASTER_KEY: Final = "AWS key pairs need a master key, and this gateway has none. Set SEKISHO_MASTER_KEY."


class KeyPair(Struct, frozen=True):
    """What a client that signs is configured with."""

    access_key_id: str
    secret_access_key: str


class SignedCallers:
    """Issues the key pairs of one installation, and checks what is signed with them."""

    def __init__(self, clock: Clock, master_key: str | None) -> None:
        self._clock = clock
        self._master_key = master_key

    def issue(self, key_hash: str) -> KeyPair:
        """The pair of a virtual key, given its hash in hex; always the same one.

        Raises:
            InvalidRequest: There is no master key, which pairs are derived from.
        """
        if self._master_key is None:
            raise InvalidRequest(_NO_MASTER_KEY)
        text = base64.b32encode(bytes.fromhex(key_hash)).decode().removesuffix(_PADDING)
        return KeyPair(_PREFIX + text, self._find_secret(key_hash))

    def identify(self, authorization: str) -> tuple[str, str]:
        """Whose signature an Authorization header claims to hold: the key's hash, and what to call it in errors.

        Raises:
            Unauthenticated: It is no signature, or made with a pair that was not issued here.
        """
        _, key_hash, shown = self._read(authorization)
        return key_hash, shown

    def prove(self, authorization: str, message: SignedMessage) -> None:
        """Check a signature over the whole request. Raises Unauthenticated."""
        signature, key_hash, _ = self._read(authorization)
        secret = self._find_secret(key_hash)
        try:
            verify_signature(message, signature, secret, service=_SERVICE, now=self._clock.now())
        except SignatureFault as fault:
            raise Unauthenticated(fault.message, code=fault.name) from fault

    def _read(self, authorization: str) -> tuple[Authorization, str, str]:
        if self._master_key is None:
            raise Unauthenticated(_NO_MASTER_KEY)
        try:
            signature = parse_authorization(authorization)
        except SignatureFault as fault:
            raise Unauthenticated(fault.message, code=fault.name) from fault
        key_hash = read_access_key_id(signature.access_key)
        if key_hash is None:
            raise Unauthenticated(
                "This AWS access key id was not issued here. Get a key pair for your virtual key with"
                " POST /key/aws_credentials, or send the virtual key itself as AWS_BEARER_TOKEN_BEDROCK.",
                kind="token_not_found_in_db",
                param="key",
            )
        return signature, key_hash, f"{_PREFIX}...{signature.access_key[-_SHOWN:]}"

    def _find_secret(self, key_hash: str) -> str:
        digest = hmac.digest(self._server_secret, _PURPOSE + key_hash.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    @cached_property
    def _server_secret(self) -> bytes:
        """Slow to compute (some 50 ms, once): whoever has a pair must not be able to find the master key by trying."""
        assert self._master_key is not None
        return hashlib.scrypt(self._master_key.encode("utf-8", "surrogatepass"), salt=_PURPOSE, n=2**14, r=8, p=1)


def is_signature(key: str) -> bool:
    """Whether what stands where a key may stand is a signature."""
    return key.startswith(SCHEME)


def read_access_key_id(access_key_id: str) -> str | None:
    """The hash, in hex, of the virtual key that an access key id stands for; None if it is none of ours."""
    text = access_key_id.removeprefix(_PREFIX)
    if text == access_key_id:
        return None
    try:
        digest = base64.b32decode(text + _PADDING)
    except ValueError:
        return None
    return digest.hex() if len(digest) == hashlib.sha256().digest_size else None
