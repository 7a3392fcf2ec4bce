"""Who makes an administrative change, known wherever the change is written, without being handed down to there.

The gate of the admin API says once who acts (`acting_as`); every change that is written while the request is served
carries that name into the audit trail. A change outside of any request is the gateway's own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from msgspec import Struct


class Author(Struct, frozen=True, kw_only=True):
    """Who makes a change.

    name: a user's id, else a key's alias or hash, as in `created_by`.
    role: the role that allowed it; `system` for the gateway itself.
    source_ip: where the request came from; None when there was none.
    request: method and path of the request.
    """

    name: str
    role: str
    source_ip: str | None = None
    request: str | None = None


GATEWAY: Final = Author(name="sekisho", role="system")
"""The author of what nobody asked for, such as the starter key of the embedded default."""

_author: ContextVar[Author] = ContextVar("sekisho.author", default=GATEWAY)


@contextmanager
def acting_as(author: Author) -> Iterator[None]:
    """Let `author` be the author of every change within, in this task and those it starts."""
    token = _author.set(author)
    try:
        yield
    finally:
        _author.reset(token)


def current_author() -> Author:
    """Whoever acts now."""
    return _author.get()
