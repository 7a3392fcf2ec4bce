"""The calls of this process that wait for room at a deployment."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from sekisho.core.errors import UpstreamThrottled
from sekisho.gateway.traffic import Trip
from sekisho.gateway.ways import Candidate
from sekisho.policy.routing.line import Ticket
from sekisho.policy.routing.load import Load

Turn = tuple[Candidate, Trip]
"""The deployment that has room for a call, and the attempt that is begun there already."""


class Waiter(Ticket, eq=False, kw_only=True):
    """A call of this process that waits.

    candidates: where it may go, each with its load, in the order in which it prefers them.
    not_before: for some of them, by deployment, when it may go there (monotonic). turn: set once it has its turn, or
    must give up.
    """

    candidates: Sequence[Candidate]
    not_before: Mapping[str, float]
    turn: "asyncio.Future[Turn | UpstreamThrottled]"

    @property
    def buckets(self) -> Iterable[str]:
        """The quotas that may serve it, each once."""
        return dict.fromkeys(candidate.target.bucket for candidate in self.candidates)


def find_load(candidate: Candidate) -> Load:
    """What a call that waits puts on a deployment."""
    assert candidate.load is not None  # what does not count, does not wait
    return candidate.load
