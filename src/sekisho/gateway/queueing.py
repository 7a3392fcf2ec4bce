"""Calls that wait because every deployment they may go to is full for now: one waiting room for the whole process.

Before each upstream quota (`Target.bucket`) there is a line (`policy.routing.line`), and a call stands in all lines
that may serve it. Whenever something changes in a quota, and several times a second, its line is looked through: who
comes first in fair order begins there as soon as there is room for it. Its place in the quota is taken in the same
moment, so that no two calls are let into the same room.

Where the size of a quota is only guessed from throttles, waiting for the guess to come true may be waiting for nothing:
there one call at a time goes ahead as a probe, and with every probe that is taken, one more at a time.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from sekisho.core.errors import UpstreamThrottled
from sekisho.gateway.delays import Delays, refuse_to_wait
from sekisho.gateway.traffic import Traffic, Trip
from sekisho.gateway.waiters import Turn, Waiter, find_load
from sekisho.gateway.ways import Candidate
from sekisho.policy.routing.line import Line, Ticket

_LOOK_SECONDS: Final = 0.25
"""How often lines are looked through when nothing else gives cause to: what counts in a quota goes off by itself."""
_SOONEST: Final = 0.005


class _Probing:
    """The calls that were let into a quota whose size is doubtful, and how many may be at a time."""

    __slots__ = ("trips", "width")

    def __init__(self) -> None:
        self.width = 1
        self.trips: list[Trip] = []

    def may_begin(self, more: int) -> bool:
        """Whether another may go beside `more` new ones; what was taken has widened the way, a refusal narrows it."""
        still = [trip for trip in self.trips if trip.undecided]
        decided = len(self.trips) - len(still)
        if decided:
            refused = any(trip.refused for trip in self.trips)
            self.width = 1 if refused else self.width + decided
            self.trips = still
        return len(still) + more < self.width


class _Look(Struct):
    """One look through a line: for what part of the quota, and how many calls it has let in so far, by deployment."""

    bucket: str
    now: float
    part: float
    taken: dict[str, int] = {}

    def take(self, candidate: Candidate) -> None:
        """Let in one more."""
        name = candidate.target.deployment_id
        self.taken[name] = self.taken.get(name, 0) + 1


class Queue:
    """The lines of one process. Times are in monotonic seconds."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._lines: dict[str, Line] = {}
        self._delays = Delays(traffic, self._lines)
        self._probing: dict[str, _Probing] = {}
        self._crowds: dict[str, set[Waiter]] = {}
        self._changed: dict[str, None] = {}  # in their order: a simulation must be the same each time
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.Handle | None = None
        traffic.lanes.crowded, traffic.lanes.on_change = self._lines, self._note_change

    @property
    def lines(self) -> Mapping[str, Line]:
        """The lines in which somebody waits, by bucket."""
        return self._lines

    def __len__(self) -> int:
        return sum(len(crowd) for crowd in self._crowds.values())

    def is_idle(self) -> bool:
        """Whether nobody waits, and nothing is at rest that one could wait for."""
        return not (self._lines or self._traffic.lanes.rests.any)

    def is_full(self, candidate: Candidate, now: float) -> bool:
        """Whether a call cannot go there now because of those that went or wait there before."""
        bucket, lanes = candidate.target.bucket, self._traffic.lanes
        busy = candidate.most_parallel is not None and self._is_busy(candidate, now)
        if busy or bucket in self._lines or lanes.rests.is_throttled(bucket, now):
            return True
        if not candidate.full or lanes.headroom(bucket).fits(find_load(candidate), 0, 0, now):
            return False
        return not (lanes.headroom(bucket).is_doubtful(find_load(candidate), 0, 0, now) and self._may_probe(bucket, 0))

    def begin(self, candidate: Candidate) -> Trip:
        """Begin an attempt where nobody waits. It must be ended."""
        target, load, now = candidate.target, find_load(candidate), self._traffic.clock.monotonic()
        probe = candidate.full and not self._traffic.lanes.headroom(target.bucket).fits(load, 0, 0, now)
        trip = self._traffic.begin(target, load)
        if probe:
            self._note_probe(target.bucket, trip)
        return trip

    async def wait(self, waiter: Waiter, seconds: float, most: int) -> Turn:
        """Wait for a turn, for no longer than so many seconds, together with no more than `most` others.

        The attempt that comes with the turn must be ended.

        Raises:
            UpstreamThrottled: There is none, or there will be none in time. It says when to come back.
        """
        soonest = self._delays.find_soonest(waiter)
        if soonest > seconds:
            raise refuse_to_wait("the wait would be too long", self._delays.find_end(waiter))
        self._make_place(waiter, most)
        self._enter(waiter)
        try:
            async with asyncio.timeout(seconds):
                turn = await waiter.turn
        except TimeoutError:
            if not waiter.turn.done() or waiter.turn.cancelled():
                raise refuse_to_wait(f"no place came free in {seconds:.0f} s", self._delays.find_end(waiter)) from None
            turn = waiter.turn.result()
        except BaseException:  # the client hung up, maybe at the moment in which it would have been its turn
            self._give_back(waiter)
            raise
        finally:
            self._leave(waiter)
        if isinstance(turn, UpstreamThrottled):
            raise turn
        return turn

    def refund(self, waiter: Waiter, candidate: Candidate) -> None:
        """The upstream has refused what had its turn: it shall not count for its team."""
        if (line := self._lines.get(candidate.target.bucket)) is not None:
            line.refund(waiter)

    def tell_foreign(self, bucket: str, tickets: Sequence[Ticket]) -> None:
        """Let these be the calls that wait for a quota in other processes."""
        line = self._lines.get(bucket)
        if line is None and not tickets:
            return
        self._line(bucket).replace_foreign(tickets)
        self._close_if_empty(bucket)
        self._note_change(bucket)

    def may_go(self, waiter: Waiter, bucket: str, now: float) -> bool:
        """Whether nothing but room keeps a call from a quota: not the deployment, nor its own patience."""
        rests = self._traffic.rests
        rest = rests.remaining(bucket, "", now)
        return any(
            candidate.target.bucket == bucket
            and waiter.not_before.get(candidate.target.deployment_id, 0.0) <= now
            and rests.remaining(bucket, candidate.target.deployment_id, now) <= rest
            for candidate in waiter.candidates
        )

    def look(self, buckets: Iterable[str]) -> None:
        """Let in everybody for whom there is room now."""
        for bucket in list(buckets):
            if (line := self._lines.get(bucket)) is not None:
                self._let_in(bucket, line)

    def _line(self, bucket: str) -> Line:
        line = self._lines.get(bucket)
        if line is None:
            line = self._lines[bucket] = Line(self._traffic.clock.now())
        return line

    def _enter(self, waiter: Waiter) -> None:
        self._crowds.setdefault(waiter.team, set()).add(waiter)
        for bucket in waiter.buckets:
            self._line(bucket).add(waiter)
        self.look(waiter.buckets)
        self._plan_look()

    def _leave(self, waiter: Waiter) -> None:
        crowd = self._crowds.get(waiter.team)
        if crowd is not None:
            crowd.discard(waiter)
            if not crowd:
                del self._crowds[waiter.team]
        for bucket in waiter.buckets:
            if (line := self._lines.get(bucket)) is not None:
                line.remove(waiter)
                self._close_if_empty(bucket)
                self._note_change(bucket)  # who comes next may need less

    def _close_if_empty(self, bucket: str) -> None:
        if not self._lines[bucket]:
            del self._lines[bucket]

    def _give_back(self, waiter: Waiter) -> None:
        if waiter.turn.done() and not waiter.turn.cancelled() and isinstance(turn := waiter.turn.result(), tuple):
            candidate, trip = turn
            self.refund(waiter, candidate)
            trip.dropped()

    def _make_place(self, waiter: Waiter, most: int) -> None:
        """See that there is a place: the team that takes most of them for its share gives up its last one."""
        if len(self) < most:
            return
        others = self._crowds.items()
        team, crowd = max(others, key=lambda each: _crowding(each[1]), default=(waiter.team, set[Waiter]()))
        own = len(self._crowds.get(waiter.team, ())) + 1
        if most <= 0 or team == waiter.team or not crowd or _crowding(crowd) <= own / waiter.weight:
            raise refuse_to_wait("too many calls are waiting", self._delays.find_end(waiter))
        last = max(crowd, key=lambda each: (each.priority, each.arrived))
        self._leave(last)
        if not last.turn.done():
            last.turn.set_result(refuse_to_wait("too many calls are waiting", self._delays.find_end(last)))

    def _note_change(self, bucket: str) -> None:
        """Look through a line soon: what has changed may not be complete yet."""
        if bucket not in self._lines:
            return
        self._changed[bucket] = None
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self._look_soon)

    def _look_soon(self) -> None:
        self._soon = None
        changed, self._changed = self._changed, {}
        self.look(changed)
        self._plan_look()

    def _look_again(self) -> None:
        self._later = None
        self.look(self._lines)
        self._plan_look()

    def _plan_look(self) -> None:
        """Look again in a moment, as long as somebody waits here."""
        if self._later is not None or not self._crowds:
            return
        now, rests = self._traffic.clock.monotonic(), self._traffic.rests
        waits = [rests.remaining(bucket, "", now) for bucket in self._lines]
        delay = max(_SOONEST, min([_LOOK_SECONDS, *(wait for wait in waits if wait > 0)]))
        self._later = asyncio.get_running_loop().call_later(delay, self._look_again)

    def _let_in(self, bucket: str, line: Line) -> None:
        """Let in from the front of a line. Room for calls of other processes that come before is left to them."""
        now, lanes = self._traffic.clock.monotonic(), self._traffic.lanes
        if lanes.rests.remaining(bucket, "", now) > 0:
            return
        headroom, look, tokens, calls = lanes.headroom(bucket), _Look(bucket, now, line.part_here()), 0, 0
        let_in: list[tuple[Waiter, Candidate]] = []
        probes: list[Waiter] = []
        for ticket in line.in_order():
            if isinstance(ticket, Waiter):
                candidate = self._find_free(ticket, look)
                if candidate is None:
                    continue
                load = find_load(candidate)
                if not headroom.fits(load, tokens, calls, now):
                    doubtful = headroom.is_doubtful(load, tokens, calls, now)
                    if not (doubtful and self._may_probe(bucket, len(probes))):
                        break
                    probes.append(ticket)
                let_in.append((ticket, candidate))
                look.take(candidate)
            elif not _has_room(headroom.tokens.limit(now), headroom.tokens.used.total(now), tokens + ticket.tokens):
                break
            tokens, calls = tokens + ticket.tokens, calls + 1
        for waiter, candidate in let_in:
            self._let_go(waiter, candidate, line, probe=waiter in probes)

    def _let_go(self, waiter: Waiter, candidate: Candidate, line: Line, *, probe: bool) -> None:
        target, now = candidate.target, self._traffic.clock.monotonic()
        if not self._traffic.rests.take_probe(target.bucket, target.deployment_id, now):
            return
        line.serve(waiter)
        trip = self._traffic.begin(target, find_load(candidate))
        if probe:
            self._note_probe(target.bucket, trip)
        waiter.turn.set_result((candidate, trip))
        self._leave(waiter)

    def _may_probe(self, bucket: str, more: int) -> bool:
        probing = self._probing.get(bucket)
        return more == 0 if probing is None else probing.may_begin(more)

    def _note_probe(self, bucket: str, trip: Trip) -> None:
        self._probing.setdefault(bucket, _Probing()).trips.append(trip)

    def _find_free(self, waiter: Waiter, look: _Look) -> Candidate | None:
        """The first deployment of the quota that may take the call, but for its tokens."""
        if waiter.turn.done():
            return None
        rests = self._traffic.rests
        for candidate in waiter.candidates:
            target = candidate.target
            if (
                target.bucket == look.bucket
                and rests.remaining(look.bucket, target.deployment_id, look.now) <= 0
                and waiter.not_before.get(target.deployment_id, 0.0) <= look.now
                and not self._is_busy(candidate, look.now, look)
            ):
                return candidate
        return None

    def _is_busy(self, candidate: Candidate, now: float, look: _Look | None = None) -> bool:
        """Whether a deployment serves as many calls as may be: in all, or of this process, if others wait elsewhere."""
        most = candidate.most_parallel
        if most is None:
            return False
        lane = self._traffic.lanes.lane(candidate.target.deployment_id, candidate.target.bucket, now)
        calls = lane.in_flight + (look.taken.get(candidate.target.deployment_id, 0) if look is not None else 0)
        if look is not None and look.part < 1.0:
            return calls >= max(1, round(most * look.part))
        return calls + lane.elsewhere >= most


def _has_room(limit: float | None, used: int, more: int) -> bool:
    return limit is None or used + more <= limit


def _crowding(crowd: set[Waiter]) -> float:
    """How many places a team takes for its weight."""
    return len(crowd) / next(iter(crowd)).weight if crowd else 0.0
