"""What a request's headers say of who sends it."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from sekisho.identity.aws_keys import is_signature
from sekisho.identity.keys import hash_key, mask_key

Headers = Sequence[tuple[bytes, bytes]]
"""A request's headers, names in lower case."""

_RANKS: Final = {
    b"x-litellm-api-key": 0,
    b"authorization": 1,
    b"api-key": 2,
    b"x-api-key": 3,
    b"x-goog-api-key": 4,
    b"ocp-apim-subscription-key": 5,
}
"""Where a key may stand; the first of them that is there counts (LiteLLM's order)."""


class Credential(Struct, frozen=True, gc=False):
    """What stands where a key may stand, of which nothing is proved yet: a key, a signature of AWS's kind, or nothing.

    key_hash: the key's. shown: what may be shown of the key. signature: the whole of it.
    """

    key_hash: str | None = None
    shown: str = ""
    signature: str | None = None


def find_credential(headers: Headers) -> Credential:
    """The credential in these headers."""
    key = find_key(headers)
    if key is None:
        return Credential()
    return Credential(signature=key) if is_signature(key) else Credential(hash_key(key), mask_key(key))


def find_key(headers: Headers) -> str | None:
    """The key in these headers, with or without `Bearer`, or the whole of a signature; None if there is none."""
    best, best_rank = b"", len(_RANKS)
    for name, value in headers:
        if name in _RANKS and (rank := _RANKS[name]) < best_rank and (stripped := value.strip()):
            best, best_rank = stripped, rank
    scheme, _, rest = best.partition(b" ")
    if rest and scheme.lower() == b"bearer":
        best = rest.strip()
    return best.decode("latin-1") or None
