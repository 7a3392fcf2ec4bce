"""SHA-256 of bodies that begin as one before, for upstreams whose requests are signed: only what is new is hashed."""

from collections.abc import Hashable, Mapping, MutableMapping
from hashlib import sha256
from typing import Any

from msgspec import Raw, Struct

from sekisho.core.chat import ClientCall


class _Hashed(Struct, frozen=True):
    """What was hashed: `head`, and `size` bytes of what follows it. `state` is hashlib's, which is only copied."""

    head: bytes
    size: int
    state: Any


def begin_digest(made: MutableMapping[Hashable, Any], form: Hashable, head: bytes, shared: memoryview) -> Any:
    """A hash of `head` and `shared`, to be updated with the rest of the body.

    Args:
        made: What is made of turns that calls share (`core.chat.KnownTurns`).
        form: Tells in which form they stand in `shared`: with more turns, it begins as it did with fewer.
        head: What stands before them.
        shared: The turns as they are written.
    """
    key = (begin_digest, form)
    known: _Hashed | None = made.get(key)
    if known is None or known.size > len(shared) or known.head != head:
        known = _Hashed(head, 0, sha256(head))
    state = known.state.copy()
    if known.size < len(shared):
        state.update(shared[known.size :])
        made[key] = _Hashed(head, len(shared), state.copy())
    return state


def digest_passed(call: ClientCall, members: Mapping[str, Raw | object], body: bytes) -> str | None:
    """The SHA-256 of a body that was written from members of a call's, in hexadecimal.

    None where nothing is known of its conversation, or that was edited.
    """
    known = call.beginning
    if known is None or members.get(known.name) is not call.members[known.name]:
        return None
    shared = memoryview(call.members[known.name])[: known.end - known.start]
    at = body.find(bytes(shared[:64]))
    if not body.startswith(shared, at):
        return None  # the same begins inside something before it
    end = at + len(shared)
    digest = begin_digest(known.made, digest_passed, body[:at], memoryview(body)[at:end])
    digest.update(memoryview(body)[end:])
    return str(digest.hexdigest())
