"""Try the candidates of a call, one after the other, until one does what is asked.

A target that fails with the verdict "elsewhere" is left at once: for the next deployment of its group, then for the
fallbacks. Only where a group has no other deployment left is the same target tried again, after a growing pause, and
only if its failure is of the kind that passes. What is at rest is tried last. Nothing waits after the last attempt.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from random import Random
from typing import Generic, TypeVar

from msgspec import Struct

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.chat import ClientCall
from sekisho.core.errors import (
    BudgetExceeded,
    InternalError,
    InvalidRequest,
    SekishoError,
    Unsupported,
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamRejected,
    UpstreamThrottled,
    UpstreamUnavailable,
)
from sekisho.core.target import Target
from sekisho.gateway.failures import Failures
from sekisho.gateway.fitting import Fitting
from sekisho.gateway.meter import Meter
from sekisho.gateway.record import CallRecord
from sekisho.gateway.repeats import Repeats
from sekisho.gateway.reply import NOT_CONNECTED
from sekisho.gateway.traffic import Traffic, Trip
from sekisho.gateway.waiting import Waiting
from sekisho.gateway.ways import Candidate, Road, Roads
from sekisho.policy.routing.rest import find_rules
from sekisho.telemetry.calls import Attempt
from sekisho.telemetry.log import log_passed_over, log_upstream_failure

_Done = TypeVar("_Done")
_MARGIN = 0.1
"""Seconds before its time is up when a call stops to wait, so that it can say why it has failed."""


class _Visit(Struct):
    """A candidate's turn.

    has_sibling: asks whether another of its group is left. way_out: whether a fallback is. trip: the attempt, where it
    is begun already.
    """

    candidate: Candidate
    group: str
    has_sibling: Callable[[], bool]
    way_out: bool = False
    trip: Trip | None = None


class _Upcoming:
    """The candidates of a road that are still to come; they may be put in order only as they are asked for."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._rest = iter(candidates)
        self._next: Candidate | None = None

    def __iter__(self) -> Iterator[Candidate]:
        while self.has_more():
            candidate, self._next = self._next, None
            assert candidate is not None
            yield candidate

    def has_more(self) -> bool:
        """Whether there is another."""
        if self._next is None:
            self._next = next(self._rest, None)
        return self._next is not None


class Attempts(Generic[_Done]):
    """The attempts of one call; the meter and the record are told of each.

    try_once: what is done at a target. enter: called before attempts at a model group; raises BudgetExceeded when the
    call cannot be paid there. fitting: what keeps the call from candidates that cannot carry it; None where every one
    can. waiting: how it waits while all are full; None where it does not.
    """

    def __init__(
        self,
        try_once: Callable[[Candidate], Awaitable[_Done]],
        *,
        call: ClientCall,
        snapshot: Snapshot,
        traffic: Traffic,
        random: Random,
        meter: Meter,
        record: CallRecord,
        enter: Callable[[str], Awaitable[None]] | None = None,
        fitting: Fitting | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        self._try_once = try_once
        self._enter = enter
        self._call = call
        self._snapshot = snapshot
        self._traffic = traffic
        self._repeats = Repeats(call, snapshot, random)
        self._meter = meter
        self._record = record
        self._fitting = fitting
        self._waiting = waiting
        self._until = record.clock.monotonic() + (call.timeout or snapshot.request_timeout)
        self._broken: set[str] = set()
        self._unpaid: set[str] = set()
        self._unreachable: set[tuple[str, str]] = set()
        self._asked = ""
        self._trip: Trip | None = None
        self._served_by: tuple[Attempt, Deployment] | None = None
        self._failures = Failures()
        self._rejection: UpstreamRejected | None = None

    async def first_that_succeeds(self, roads: Roads) -> _Done:
        """What the first target that succeeds gives. Raises the error that says most about why there is none."""
        self._asked = roads.asked.group
        seconds = self._call.timeout or self._snapshot.request_timeout
        try:
            async with asyncio.timeout(seconds):
                if (done := await self._try_roads(roads)) is not None:
                    return done
        except TimeoutError:
            message = f"No model answered within {seconds:g} s."
            self._failures.add(UpstreamUnavailable(message, verdict="never", native="timeout", status=504))
        raise self._failures.most_telling()

    def fail(self, error: UpstreamError) -> None:
        """What had begun to answer broke down."""
        assert self._served_by is not None
        attempt, deployment = self._served_by
        self._record.end_attempt(attempt, error)
        if self._trip is not None:
            self._trip.failed(error, find_rules(self._snapshot, deployment))

    def finish(self) -> None:
        """The call is over."""
        if self._trip is not None:
            self._trip.finished(self._meter.usage)

    async def _try_roads(self, roads: Roads) -> _Done | None:
        """The group asked for and its regular fallbacks; after a rejection those for its reason."""
        done = await self._walk([roads.asked, *roads.pick(roads.fallbacks.regular)], roads)
        if done is not None or self._rejection is None:
            return done
        rejection, self._rejection = self._rejection, None
        others = roads.pick(roads.fallbacks.after(rejection))
        if not others:
            raise rejection
        return await self._walk(others, roads)

    async def _walk(self, some: Iterable[Road], roads: Roads) -> _Done | None:
        """One road after the other; while all are full, whichever has room first; what was put off comes last.

        Ends early when the group asked for has rejected.
        """
        some = list(some)
        waiting, put_off = deque(some), deque[_Visit]()
        while waiting:
            road = waiting.popleft()
            done = await self._try_road(road, roads, put_off, way_out=bool(waiting))
            if done is not None or self._rejection is not None:
                return done
            if road is roads.asked and self._is_too_long_for(put_off):
                longer = roads.pick(roads.fallbacks.context_window)
                waiting.extendleft(reversed(longer))
                some += longer
        done = await self._wait_for_room(some, roads)
        if done is not None or self._rejection is not None:
            return done
        while put_off:
            visit = put_off.popleft()
            visit.way_out = bool(put_off)
            self._check_time()
            done = await self._try_candidate(visit)
            if done is not None or self._rejection is not None:
                return done
        return None

    async def _try_road(self, road: Road, roads: Roads, put_off: deque[_Visit], *, way_out: bool) -> _Done | None:
        upcoming = _Upcoming(self._reachable_first(road.candidates))
        for candidate in upcoming:
            if candidate.wait > 0:
                await self._pause(candidate.wait)
                continue
            visit = _Visit(candidate, road.group, upcoming.has_more, way_out)
            if road is not roads.asked and self._would_break(visit, roads):
                continue
            self._check_time()
            too_long = road is roads.asked and self._overflows(candidate)
            if not too_long and self._waiting is not None and self._waiting.is_full(candidate):
                continue
            if too_long or self._rests(candidate):
                put_off.append(visit)
                continue
            done = await self._try_candidate(visit)
            if done is not None or self._rejection is not None:  # its siblings would reject it, too
                return done
        return None

    def _reachable_first(self, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
        """Those of a region last that could not be connected to: whoever finds that out again may wait for seconds."""
        late = []
        for candidate in candidates:
            if candidate.wait <= 0 and _place_of(candidate.target) in self._unreachable:
                late.append(candidate)
            else:
                yield candidate
        yield from late

    async def _wait_for_room(self, some: Sequence[Road], roads: Roads) -> _Done | None:
        """Wait in line for whatever has room first, as long as that is all that is wrong."""
        while self._waiting is not None:
            self._check_time()
            open_ones = list(self._list_open(some, roads))
            groups = {candidate.target.deployment_id: group for candidate, group in open_ones}
            left = self._until - self._record.clock.monotonic() - _MARGIN
            try:
                turn = await self._waiting.next_turn([candidate for candidate, _ in open_ones], left)
            except UpstreamThrottled as error:
                self._failures.prefer(error)
                return None
            if turn is None:
                return None
            candidate, trip = turn
            group = groups[candidate.target.deployment_id]
            done = await self._try_candidate(_Visit(candidate, group, has_sibling=lambda: False, trip=trip))
            if done is not None or self._rejection is not None:
                return done
        return None

    def _list_open(self, some: Sequence[Road], roads: Roads) -> Iterator[tuple[Candidate, str]]:
        """The deployments of the roads that may still serve the call, each with its group."""
        for road in some:
            for candidate in road.everyone() if road.group not in self._unpaid else ():
                if candidate.target.deployment_id in self._broken:
                    continue
                if road is roads.asked:
                    fits = not self._overflows(candidate)
                else:
                    fits = self._find_obstacle(candidate.target, road.group, roads) is None
                if fits:
                    yield candidate, road.group

    def _is_too_long_for(self, put_off: Sequence[_Visit]) -> bool:
        """Whether the call was not tried at all, because its prompt is certainly too long."""
        return not self._record.attempts and bool(put_off) and self._overflows(put_off[0].candidate)

    def _rests(self, candidate: Candidate) -> bool:
        """Whether to leave it alone while there are others; whoever is not told so may have become its probe."""
        rests, target, now = self._traffic.rests, candidate.target, self._record.clock.monotonic()
        if rests.remaining(target.bucket, target.deployment_id, now) > 0:
            return True
        counts = candidate.load is not None  # only such a call tells how its probe went
        return counts and not rests.take_probe(target.bucket, target.deployment_id, now)

    def _overflows(self, candidate: Candidate) -> bool:
        return self._fitting is not None and self._fitting.overflows(candidate.target)

    def _would_break(self, visit: _Visit, roads: Roads) -> bool:
        """Whether a fallback cannot carry the conversation; those that the request itself names are taken at that."""
        target = visit.candidate.target
        obstacle = self._find_obstacle(target, visit.group, roads)
        if obstacle is not None:
            log_passed_over(self._record.id, target, obstacle)
        return obstacle is not None

    def _find_obstacle(self, target: Target, group: str, roads: Roads) -> str | None:
        if self._fitting is None or (roads.fallbacks.wished and group in roads.fallbacks.regular):
            return None
        return self._fitting.find_obstacle(target, roads.meant_for)

    async def _try_candidate(self, visit: _Visit) -> _Done | None:
        """Try one, again where that is worth it. Raises what no other candidate can mend."""
        if not await self._can_pay(visit):
            return None
        repeats = 0
        while True:
            try:
                return await self._attempt(visit, repeats)
            except SekishoError as error:
                allowed = self._repeats.allow(
                    error, visit.candidate.deployment, last=not visit.has_sibling(), way_out=visit.way_out
                )
                if repeats >= allowed:
                    self._leave(error)
                    return None
                wait = self._repeats.choose_wait(error, repeats)
            repeats += 1
            await self._pause(wait)

    async def _can_pay(self, visit: _Visit) -> bool:
        """Whether the call is held for the model of this group, now that it goes there."""
        if self._enter is None:
            return True
        if visit.group not in self._unpaid:
            try:
                await self._enter(visit.group)
            except BudgetExceeded as error:
                self._failures.add(error)
                self._unpaid.add(visit.group)
            else:
                return True
        if visit.trip is not None:
            visit.trip.finished(None)
        return False

    async def _pause(self, seconds: float) -> None:
        """The waiting counts as the upstream's, not as the gateway's."""
        if seconds > 0:
            with self._record.waiting():
                await asyncio.sleep(seconds)

    async def _attempt(self, visit: _Visit, repeats: int) -> _Done:
        candidate, target = visit.candidate, visit.candidate.target
        attempt = self._record.begin_attempt(target, visit.group)
        trip, visit.trip = visit.trip or self._begin_trip(candidate), None
        try:
            done = await self._try_once(candidate)
        except SekishoError as error:
            if repeats and isinstance(error, UpstreamMisconfigured):  # fresh credentials have not mended it
                error.verdict = "elsewhere"
            self._meter.not_taken()
            self._failures.add(error)
            self._record.end_attempt(attempt, error)
            log_upstream_failure(self._record.id, target, error, attempt.ms)
            if isinstance(error, UpstreamUnavailable) and error.native == NOT_CONNECTED:
                self._unreachable.add(_place_of(target))
            if trip is not None:
                trip.failed(error, find_rules(self._snapshot, candidate.deployment))
            if self._waiting is not None and isinstance(error, UpstreamThrottled):
                self._waiting.note_throttle(candidate, error)
            else:
                self._broken.add(target.deployment_id)
            raise
        except BaseException:  # cancelled: nothing is known of the target
            if trip is not None:
                trip.finished(None)
            raise
        self._record.end_attempt(attempt)
        if trip is not None:
            trip.answered()
        self._trip, self._served_by = trip, (attempt, candidate.deployment)
        return done

    def _begin_trip(self, candidate: Candidate) -> Trip | None:
        if candidate.load is None:
            return None
        if self._waiting is not None:
            return self._waiting.begin(candidate)
        return self._traffic.begin(candidate.target, candidate.load)

    def _leave(self, error: SekishoError) -> None:
        """Go on after a failure; raises where nobody else would do better."""
        if isinstance(error, UpstreamRejected):
            asked = self._record.group == self._asked
            if asked and error.reason == "request":
                raise error
            self._rejection = error if asked else self._rejection
        elif isinstance(error, InternalError) or (
            isinstance(error, InvalidRequest) and not isinstance(error, Unsupported)
        ):
            raise error
        elif isinstance(error, UpstreamError) and error.verdict == "never":
            raise self._failures.most_telling() from error

    def _check_time(self) -> None:
        """Raises what has failed so far when it is too late to try anything else."""
        most = self._snapshot.max_attempt_seconds
        if most is None or not self._record.attempts:
            return
        if self._record.elapsed_ms() / 1000 - self._record.queued >= most:
            raise self._failures.most_telling()


def _place_of(target: Target) -> tuple[str, str]:
    """What is reached or not as a whole: a provider's region, or a deployment where there are no regions."""
    return target.provider, target.region or target.deployment_id
