"""The attempts of one call, up to the one that does what is asked.

Nearly always that is the first, at the deployment that routing puts first. When it cannot be made at once, or fails,
`search` takes over.
"""

from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Generic, TypeVar

from msgspec import Struct

from sekisho.config.snapshot import Snapshot
from sekisho.core.chat import ClientCall
from sekisho.core.errors import SekishoError, UpstreamError, UpstreamMisconfigured, UpstreamUnavailable
from sekisho.gateway.alarm import Limit
from sekisho.gateway.failures import Failures
from sekisho.gateway.fitting import Fitting
from sekisho.gateway.meter import Meter
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.gateway.record import CallRecord
from sekisho.gateway.search import Opening, Search
from sekisho.gateway.traffic import Trip
from sekisho.gateway.waiting import KeepOpen, Waiting
from sekisho.gateway.ways import Candidate, Roads
from sekisho.policy.routing.rest import find_rules
from sekisho.telemetry.calls import Attempt
from sekisho.telemetry.log import log_upstream_failure

_Done = TypeVar("_Done")


class Attempts(Struct, Generic[_Done], kw_only=True):
    """Makes the attempts; the meter and the record are told of each.

    try_once: what is done at a target. enter: called before attempts at another model group than the one that the call
    is held for; raises BudgetExceeded when it cannot be paid there. fitting: what keeps the call from candidates that
    cannot carry it; None where every one can. keep_open: inside it the call waits while all targets are full; None
    where it does not wait.
    """

    try_once: Callable[[Candidate], Awaitable[_Done]]
    call: ClientCall
    snapshot: Snapshot
    access: UpstreamAccess
    meter: Meter
    record: CallRecord
    enter: Callable[[str], Awaitable[None]] | None = None
    fitting: Fitting | None = None
    keep_open: KeepOpen | None = None
    _trip: Trip | None = None
    _served_by: tuple[Attempt, Candidate] | None = None

    async def first_that_succeeds(self, roads: Roads) -> _Done:
        """What the first target that succeeds gives. Raises the error that says most about why there is none."""
        seconds = self.call.timeout or self.snapshot.request_timeout
        search: Search[_Done] | None = None
        try:
            with Limit(self.access.alarm, seconds) as limit:
                upcoming = iter(roads.asked)
                first, failure = next(upcoming, None), None
                if first is not None:
                    if not self._is_free(first):
                        upcoming = chain((first,), upcoming)
                    else:
                        try:
                            return await self.make(first, roads.asked.group)
                        except SekishoError as error:
                            failure = error
                search = self._begin_search(roads, limit.left)
                return await search.run(Opening(upcoming, first, failure))
        except TimeoutError:
            failures = Failures() if search is None else search.failures
            message = f"No model answered within {seconds:g} s."
            failures.add(UpstreamUnavailable(message, verdict="never", native="timeout", status=504))
            raise failures.most_telling() from None

    async def make(
        self, candidate: Candidate, group: str, *, repeated: bool = False, trip: Trip | None = None
    ) -> _Done:
        """One attempt at a deployment of a group; `trip` is there where it has begun already. Raises its failure."""
        access, target, load = self.access, candidate.target, candidate.load
        attempt = self.record.begin_attempt(target, group)
        if trip is None and load is not None:
            probes = candidate.full and self.keep_open is not None
            trip = access.queue.begin(candidate) if probes else access.traffic.begin(target, load)
        try:
            done = await self.try_once(candidate)
        except SekishoError as error:
            if repeated and isinstance(error, UpstreamMisconfigured):  # fresh credentials have not mended it
                error.verdict = "elsewhere"
            self.meter.not_taken()
            self.record.end_attempt(attempt, error)
            log_upstream_failure(self.record.id, target, error, attempt.ms)
            if trip is not None:
                trip.failed(error, find_rules(self.snapshot, candidate.deployment))
            raise
        except BaseException:  # cancelled: nothing is known of the target
            if trip is not None:
                trip.finished(None)
            raise
        self.record.end_attempt(attempt)
        if trip is not None:
            trip.answered()
        self._trip, self._served_by = trip, (attempt, candidate)
        return done

    def fail(self, error: UpstreamError) -> None:
        """What had begun to answer broke down."""
        assert self._served_by is not None
        attempt, candidate = self._served_by
        self.record.end_attempt(attempt, error)
        if self._trip is not None:
            self._trip.failed(error, find_rules(self.snapshot, candidate.deployment))

    def finish(self) -> None:
        """The call is over."""
        if self._trip is not None:
            self._trip.finished(self.meter.usage)

    def _is_free(self, candidate: Candidate) -> bool:
        """Whether an attempt can be made at once, and may be; if it is to be a probe, it is one from now on."""
        access, target = self.access, candidate.target
        if candidate.wait > 0:
            return False
        if (fitting := self.fitting) is not None and fitting.precheck and fitting.overflows(target):
            return False
        if not candidate.full and candidate.most_parallel is None and access.queue.is_idle():  # as nearly always
            return True
        now, rests = self.record.clock.monotonic(), access.traffic.lanes.rests
        if candidate.load is None:  # such a call does not tell how its probe went
            return rests.remaining(target.bucket, target.deployment_id, now) <= 0
        if self.keep_open is not None and access.queue.is_full(candidate, now):
            return False
        return rests.let_pass(target.bucket, target.deployment_id, now)

    def _begin_search(self, roads: Roads, seconds: float) -> "Search[_Done]":
        access, call, record, snapshot = self.access, self.call, self.record, self.snapshot
        waiting = None
        if self.keep_open is not None and record.caller is not None:
            caller, settings = record.caller, snapshot.queue
            waiting = Waiting(access.queue, access.traffic, settings, caller, call, record, self.keep_open)
        return Search(
            self.make,
            roads,
            call=call,
            snapshot=snapshot,
            access=access,
            record=record,
            enter=self.enter,
            fitting=self.fitting,
            waiting=waiting,
            seconds=seconds,
        )
