"""What one call puts on the road it takes."""

from msgspec import Struct


class Load(Struct, frozen=True):
    """The tokens that a call will probably use, in the units in which upstreams count their quotas.

    input: of all kinds, cached or not. output: what it will probably produce. ceiling: the most it may produce, which
    upstreams reserve at the start. session: what tells apart the conversations that have a prompt cache of their own;
    None when there is nothing to keep.
    """

    input: int
    output: int
    ceiling: int
    session: str | None = None
