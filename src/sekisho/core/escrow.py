"""What the ledger asks of the store: leases on accounts, and grants of requests and tokens in time."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

LEASE_SECONDS: Final = 300.0
"""How long a worker goes on spending from its leases when it cannot tell anybody that it lives."""
RELEASE_SECONDS: Final = 900.0
"""How long a worker that may still live must be silent before others get its leases.

What it admitted in its last moments, when nobody had heard of it for `LEASE_SECONDS`, has ended by then. Both sides
count by their own monotonic clocks, and the worker from an earlier moment, so clocks that are wrong do no harm.
"""


class Want(Struct, frozen=True, kw_only=True):
    """A worker needs `wished` more of an account, whose limit is `limit`."""

    account: str
    limit: int
    wished: int


class Grant(Struct, frozen=True, kw_only=True):
    """What a worker got of an account: what it wished or more, or less when less is left.

    spent: what everyone has spent. left: what is beyond everyone's leases now.
    """

    amount: int
    spent: int
    left: int


class Pulse(Struct, frozen=True):
    """What a worker learns when it says that it lives.

    known: whether it was known. If not, nothing is leased to it, whatever it had before.
    workers: how many live, with itself.
    """

    known: bool
    workers: int


class Escrow(Protocol):
    """The one truth about accounts, shared by all workers."""

    async def lease(self, wants: Sequence[Want]) -> list[Grant]:
        """Lease what can be had, in one transaction. Raises StoreUnavailable.

        More than what is wished is leased only as a small share of what is left, so that the next calls need not ask.
        """
        ...

    async def give_back(self, amounts: Sequence[tuple[str, int]]) -> None:
        """Take amounts off this worker's leases. Raises StoreUnavailable."""
        ...

    async def held(self, accounts: Collection[str]) -> Mapping[str, int]:
        """What is leased to this worker, of these accounts and of any other. Raises StoreUnavailable."""
        ...

    async def wanted(self, accounts: Collection[str]) -> list[str]:
        """Those of this worker's accounts that another worker could not get enough of. Raises StoreUnavailable."""
        ...


class Span(Struct, frozen=True):
    """The length of a sliding window and of its buckets, in seconds."""

    seconds: int
    bucket: int


class RateWant(Struct, frozen=True, kw_only=True):
    """A worker's dealings about one limit in time: what it gives back, and what it wants.

    least: what the smallest call that waits needs; less is of no use. 0 when none waits.
    needed: what all calls that wait need. ahead: what those to come could use, if there is plenty.
    alone: whether `least` may pass the whole limit when nothing else is used, so that no call is too big for ever.
    unused: by the stamp of a grant, what was granted then and has not been used.
    extra: what was used beyond all grants, and must count from now on.
    """

    name: str
    limit: int
    span: Span
    least: int = 0
    needed: int = 0
    ahead: int = 0
    alone: bool = False
    unused: Mapping[int, int] = {}
    extra: int = 0


class RateGrant(Struct, frozen=True, kw_only=True):
    """What may be used of a limit in the next moments.

    amount: 0, or at least what the smallest call needs.
    stamp: names the grant. seconds: how long it may be used.
    used: what everyone has used or been granted, before this grant, in the span.
    wait: seconds until what is needed will be free; 0.0 when it is.
    """

    amount: int
    stamp: int
    seconds: float
    used: int
    wait: float


class Grants(Protocol):
    """The one truth about limits in time, shared by all workers."""

    async def exchange(self, wants: Sequence[RateWant]) -> list[RateGrant]:
        """Take back what was not used and grant anew, in one transaction. Raises StoreUnavailable."""
        ...
