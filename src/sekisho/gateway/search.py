"""Where else a call may go, when its first attempt has failed or there was no room for it.

A target that fails with the verdict "elsewhere" is left at once: for the next deployment of its group, then for the
fallbacks. Only where a group has no other deployment left is the same target tried again, after a growing pause, and
only if its failure is of the kind that passes. What is at rest is tried last. Nothing waits after the last attempt.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from sekisho.config.snapshot import Snapshot
from sekisho.core.chat import ClientCall
from sekisho.core.errors import (
    BudgetExceeded,
    InternalError,
    InvalidRequest,
    SekishoError,
    Unsupported,
    UpstreamError,
    UpstreamRejected,
    UpstreamThrottled,
    UpstreamUnavailable,
)
from sekisho.core.target import Target
from sekisho.gateway.failures import Failures
from sekisho.gateway.fitting import Fitting
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.gateway.record import CallRecord
from sekisho.gateway.repeats import Repeats
from sekisho.gateway.reply import NOT_CONNECTED
from sekisho.gateway.traffic import Trip
from sekisho.gateway.waiting import Waiting
from sekisho.gateway.ways import Candidate, Road, Roads
from sekisho.telemetry.log import log_passed_over

_Done = TypeVar("_Done")
_Result = TypeVar("_Result", covariant=True)
_MARGIN = 0.1
"""Seconds before its time is up when a call stops to wait, so that it can say why it has failed."""


class Make(Protocol[_Result]):
    """Makes an attempt, as `Attempts.make` does."""

    async def __call__(
        self, candidate: Candidate, group: str, *, repeated: bool = False, trip: Trip | None = None
    ) -> _Result:
        """Raises what the attempt has failed with."""
        ...


class Opening(Struct, frozen=True):
    """What was done so far: `failure` is that of the attempt at the `first` candidate, if there was one.

    upcoming: the candidates still to come of the group that is asked for; they may be put in order only as they are
    asked for.
    """

    upcoming: Iterator[Candidate]
    first: Candidate | None = None
    failure: SekishoError | None = None


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


class Search(Generic[_Done]):
    """The search of one call.

    make: makes an attempt. enter, fitting: as for `Attempts`. waiting: how the call waits while all are full; None
    where it does not. seconds: how long the search may take.
    """

    def __init__(
        self,
        make: Make[_Done],
        roads: Roads,
        *,
        call: ClientCall,
        snapshot: Snapshot,
        access: UpstreamAccess,
        record: CallRecord,
        enter: Callable[[str], Awaitable[None]] | None,
        fitting: Fitting | None,
        waiting: Waiting | None,
        seconds: float,
    ) -> None:
        self.failures = Failures()
        self._make = make
        self._roads = roads
        self._snapshot = snapshot
        self._rests = access.traffic.rests
        self._record = record
        self._enter = enter
        self._fitting = fitting
        self._waiting = waiting
        self._repeats = Repeats(call, snapshot, access.random)
        self._until = record.clock.monotonic() + seconds
        self._broken: set[str] = set()
        self._unpaid: set[str] = set()
        self._unreachable: set[tuple[str, str]] = set()
        self._rejection: UpstreamRejected | None = None
        self._opening: Opening | None = None

    async def run(self, opening: Opening) -> _Done:
        """What the first target that succeeds gives. Raises the error that says most about why there is none.

        The group asked for and its regular fallbacks are tried; after a rejection those for its reason.
        """
        self._opening, roads = opening, self._roads
        done = await self._walk([roads.asked, *roads.pick(roads.fallbacks.regular)])
        if done is None and self._rejection is not None:
            rejection, self._rejection = self._rejection, None
            others = roads.pick(roads.fallbacks.after(rejection))
            if not others:
                raise rejection
            done = await self._walk(others)
        if done is None:
            raise self.failures.most_telling()
        return done

    async def _walk(self, some: Iterable[Road]) -> _Done | None:
        """One road after the other; while all are full, whichever has room first; what was put off comes last.

        Ends early when the group asked for has rejected.
        """
        some, roads = list(some), self._roads
        waiting, put_off = deque(some), deque[_Visit]()
        while waiting:
            road = waiting.popleft()
            done = await self._try_road(road, put_off, way_out=bool(waiting))
            if done is not None or self._rejection is not None:
                return done
            if road is roads.asked and self._is_too_long_for(put_off):
                longer = roads.pick(roads.fallbacks.context_window)
                waiting.extendleft(reversed(longer))
                some += longer
        done = await self._wait_for_room(some)
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

    async def _try_road(self, road: Road, put_off: deque[_Visit], *, way_out: bool) -> _Done | None:
        opening, self._opening = self._opening, None
        upcoming = _Upcoming(self._reachable_first(road if opening is None else opening.upcoming))
        if opening is not None and opening.first is not None and opening.failure is not None:
            self._note(opening.first, opening.failure)
            visit = _Visit(opening.first, road.group, upcoming.has_more, way_out)
            done = await self._try_candidate(visit, opening.failure)
            if done is not None or self._rejection is not None:
                return done
        for candidate in upcoming:
            if candidate.wait > 0:
                await self._pause(candidate.wait)
                continue
            visit = _Visit(candidate, road.group, upcoming.has_more, way_out)
            asked = road is self._roads.asked
            if not asked and self._would_break(visit):
                continue
            self._check_time()
            too_long = asked and self._overflows(candidate)
            if not too_long and self._waiting is not None and self._waiting.is_full(candidate):
                continue
            if too_long or self._is_at_rest(candidate):
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

    async def _wait_for_room(self, some: Sequence[Road]) -> _Done | None:
        """Wait in line for whatever has room first, as long as that is all that is wrong."""
        while self._waiting is not None:
            self._check_time()
            open_ones = list(self._list_open(some))
            groups = {candidate.target.deployment_id: group for candidate, group in open_ones}
            left = self._until - self._record.clock.monotonic() - _MARGIN
            try:
                turn = await self._waiting.next_turn([candidate for candidate, _ in open_ones], left)
            except UpstreamThrottled as error:
                self.failures.prefer(error)
                return None
            if turn is None:
                return None
            candidate, trip = turn
            group = groups[candidate.target.deployment_id]
            done = await self._try_candidate(_Visit(candidate, group, has_sibling=lambda: False, trip=trip))
            if done is not None or self._rejection is not None:
                return done
        return None

    def _list_open(self, some: Sequence[Road]) -> Iterator[tuple[Candidate, str]]:
        """The deployments of the roads that may still serve the call, each with its group."""
        for road in some:
            for candidate in road.everyone() if road.group not in self._unpaid else ():
                if candidate.target.deployment_id in self._broken:
                    continue
                if road is self._roads.asked:
                    fits = not self._overflows(candidate)
                else:
                    fits = self._find_obstacle(candidate.target, road.group) is None
                if fits:
                    yield candidate, road.group

    def _is_too_long_for(self, put_off: Sequence[_Visit]) -> bool:
        """Whether the call was not tried at all, because its prompt is certainly too long."""
        return not self._record.attempts and bool(put_off) and self._overflows(put_off[0].candidate)

    def _is_at_rest(self, candidate: Candidate) -> bool:
        """Whether to leave it alone while there are others; whoever is not told so may have become its probe."""
        rests, target, now = self._rests, candidate.target, self._record.clock.monotonic()
        if candidate.load is None:  # such a call does not tell how its probe went
            return rests.remaining(target.bucket, target.deployment_id, now) > 0
        return not rests.let_pass(target.bucket, target.deployment_id, now)

    def _overflows(self, candidate: Candidate) -> bool:
        return self._fitting is not None and self._fitting.overflows(candidate.target)

    def _would_break(self, visit: _Visit) -> bool:
        """Whether a fallback cannot carry the conversation; those that the request itself names are taken at that."""
        target = visit.candidate.target
        obstacle = self._find_obstacle(target, visit.group)
        if obstacle is not None:
            log_passed_over(self._record.id, target, obstacle)
        return obstacle is not None

    def _find_obstacle(self, target: Target, group: str) -> str | None:
        roads = self._roads
        if self._fitting is None or (roads.fallbacks.wished and group in roads.fallbacks.regular):
            return None
        return self._fitting.find_obstacle(target, roads.meant_for)

    async def _try_candidate(self, visit: _Visit, failure: SekishoError | None = None) -> _Done | None:
        """Try one, again where that is worth it; `failure` is what a first attempt has failed with, if it was made.

        Raises what no other candidate can mend.
        """
        if failure is None and not await self._can_pay(visit):
            return None
        repeats = 0
        while True:
            if failure is None:
                try:
                    trip, visit.trip = visit.trip, None
                    return await self._make(visit.candidate, visit.group, repeated=repeats > 0, trip=trip)
                except SekishoError as error:
                    self._note(visit.candidate, error)
                    failure = error
            allowed = self._repeats.allow(
                failure, visit.candidate.deployment, last=not visit.has_sibling(), way_out=visit.way_out
            )
            if repeats >= allowed:
                self._leave(failure)
                return None
            wait = self._repeats.choose_wait(failure, repeats)
            repeats, failure = repeats + 1, None
            await self._pause(wait)

    def _note(self, candidate: Candidate, error: SekishoError) -> None:
        """An attempt has failed."""
        self.failures.add(error)
        if isinstance(error, UpstreamUnavailable) and error.native == NOT_CONNECTED:
            self._unreachable.add(_place_of(candidate.target))
        if self._waiting is not None and isinstance(error, UpstreamThrottled):
            self._waiting.note_throttle(candidate, error)
        else:
            self._broken.add(candidate.target.deployment_id)

    async def _can_pay(self, visit: _Visit) -> bool:
        """Whether the call is held for the model of this group, now that it goes there."""
        if self._enter is None:
            return True
        if visit.group not in self._unpaid:
            try:
                await self._enter(visit.group)
            except BudgetExceeded as error:
                self.failures.add(error)
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

    def _leave(self, error: SekishoError) -> None:
        """Go on after a failure; raises where nobody else would do better."""
        if isinstance(error, UpstreamRejected):
            asked = self._record.group == self._roads.asked.group
            if asked and error.reason == "request":
                raise error
            self._rejection = error if asked else self._rejection
        elif isinstance(error, InternalError) or (
            isinstance(error, InvalidRequest) and not isinstance(error, Unsupported)
        ):
            raise error
        elif isinstance(error, UpstreamError) and error.verdict == "never":
            raise self.failures.most_telling() from error

    def _check_time(self) -> None:
        """Raises what has failed so far when it is too late to try anything else."""
        most = self._snapshot.max_attempt_seconds
        if most is None or not self._record.attempts:
            return
        if self._record.elapsed_ms() / 1000 - self._record.queued >= most:
            raise self.failures.most_telling()


def _place_of(target: Target) -> tuple[str, str]:
    """What is reached or not as a whole: a provider's region, or a deployment where there are no regions."""
    return target.provider, target.region or target.deployment_id
