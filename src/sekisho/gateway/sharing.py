"""What processes on the same quotas tell each other, once a second: what they use, what rests, who waits.

Each keeps lines of its own, and no call waits for the database. With what the others have told a second ago each can
leave the right room to them: their use counts in the headroom, their throttles are not found out again, and their
waiting calls have places in the lines here. With the database away each goes on alone.

All times in what is told are in seconds since the epoch. The clocks of all hosts must agree to about a second.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, Protocol

import msgspec
from msgspec import Struct, structs

from sekisho.core.clock import Clock
from sekisho.core.errors import StoreUnavailable
from sekisho.gateway.queueing import Queue
from sekisho.gateway.traffic import Traffic
from sekisho.gateway.waiters import Waiter
from sekisho.policy.routing.headroom import Headroom, Quota
from sekisho.policy.routing.line import FlowName, Line, Ticket
from sekisho.policy.routing.rest import Throttle
from sekisho.telemetry.log import log_crash_aside

_log = logging.getLogger(__name__)

_PERIOD_SECONDS: Final = 1.0
_TOLD_CALLS: Final = 64
"""So many waiting calls of each quota are told, those that come first: there is no room for more within a second."""
_REPEAT_SECONDS: Final = 3.0
"""How often a process says that nothing has changed, so that what it has said goes on counting."""
_REMEMBERED_SECONDS: Final = 65.0
"""For how long what an upstream has counted for a process matters after that process has fallen silent."""

Slots = dict[int, int]
"""Amounts by the second since which they count."""


class WaitingCall(Struct, frozen=True, array_like=True):
    """A call that waits in the process that tells of it."""

    team: str
    priority: int
    weight: float
    tokens: int
    likely: int
    arrived: float


class BucketState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One quota as a process knows it. `began` tells one line of a process from the next; `served` is what it served.

    learned: what the quota was found to be, at the throttle. virtual: the line's virtual time. served: virtual time by
    team, interactive and batch.
    """

    tokens: Slots = {}
    requests: Slots = {}
    rest: Throttle | None = None
    learned: Quota | None = None
    waiting: list[WaitingCall] = []
    began: float = 0.0
    virtual: float = 0.0
    served: list[tuple[str, bool, float]] = []


class RoadsState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a process tells. in_flight: calls under way, by deployment."""

    buckets: dict[str, BucketState] = {}
    in_flight: dict[str, int] = {}


class Exchange(Protocol):
    """Where what is told is put down and read."""

    async def exchange(self, state: bytes | None) -> dict[str, bytes]:
        """Put down what this process tells, unless it is None, and read what the others do. Raises StoreUnavailable."""
        ...

    async def leave(self) -> None:
        """Tell the others that this process tells nothing more. Raises StoreUnavailable."""
        ...


_NOTHING: Final = RoadsState()
_NO_BUCKET: Final = BucketState()


class Sharing:
    """One process's part in the exchange."""

    def __init__(self, traffic: Traffic, queue: Queue, repository: Exchange, clock: Clock) -> None:
        self._traffic = traffic
        self._queue = queue
        self._repository = repository
        self._clock = clock
        self._offset = round(clock.now() - clock.monotonic())
        self._known: dict[str, RoadsState] = {}
        self._heard_at: dict[str, float] = {}
        self._told = b""
        self._told_at = 0.0
        self._away = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to exchange, once a second."""
        self._task = asyncio.create_task(self._run(), name="sharing")

    async def close(self) -> None:
        """Stop, and let the others know."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        try:
            await self._repository.leave()
        except StoreUnavailable:
            _log.debug("this worker's row is left to expire")

    async def exchange(self) -> None:
        """Tell and hear, once. With the database away, nobody is heard."""
        now = self._clock.now()
        state = _encode(self._describe())
        tell = state != self._told or now - self._told_at >= _REPEAT_SECONDS
        try:
            others = await self._repository.exchange(state if tell else None)
        except StoreUnavailable as error:
            self._note_away(error)
            others = {}
        else:
            self._away = False
            if tell:
                self._told, self._told_at = state, now
        self._hear({worker: told for worker, text in others.items() if (told := self._read(text)) is not None})

    async def _run(self) -> None:
        while True:
            try:
                await self.exchange()
            except Exception:  # noqa: BLE001  # what nobody foresaw must not end the exchange
                log_crash_aside("sharing roads", "the other workers")
            await asyncio.sleep(_PERIOD_SECONDS)

    def _note_away(self, error: StoreUnavailable) -> None:
        if not self._away:
            _log.warning("roads are shared with no other worker until the database answers: %s", error.__cause__)
        self._away = True

    def _describe(self) -> RoadsState:
        """What this process knows by itself; what it has heard belongs to others."""
        now, lanes = self._traffic.clock.monotonic(), self._traffic.lanes
        throttles = {throttle.bucket: throttle for throttle in lanes.rests.throttles(now)}
        buckets = {}
        for bucket, headroom in list(lanes.headrooms()):
            state = self._describe_bucket(bucket, headroom, throttles.get(bucket), now)
            if state != _NO_BUCKET:
                buckets[bucket] = state
        in_flight = {name: lane.in_flight for name, lane in lanes.by_deployment() if lane.in_flight}
        return RoadsState(buckets=buckets, in_flight=in_flight)

    def _describe_bucket(self, bucket: str, headroom: Headroom, throttle: Throttle | None, now: float) -> BucketState:
        others = [state.buckets[bucket] for state in self._known.values() if bucket in state.buckets]
        line = self._queue.lines.get(bucket)
        rest = throttle and Throttle(
            bucket, throttle.since + self._offset, throttle.until + self._offset, throttle.reason
        )
        return BucketState(
            tokens=self._own(headroom.tokens.used.slots(now), (other.tokens for other in others)),
            requests=self._own(headroom.requests.used.slots(now), (other.requests for other in others)),
            rest=rest,
            learned=headroom.learned(now) if throttle is not None else None,
            waiting=list(islice(_list_waiting(line, bucket, self._queue, now), _TOLD_CALLS)) if line else [],
            began=line.began if line else 0.0,
            virtual=line.virtual if line else 0.0,
            served=[(*name, price) for name, price in line.served.items()] if line else [],
        )

    def _own(self, slots: Slots, others: Iterable[Slots]) -> Slots:
        """What of all that counts is not from others."""
        own = {second + self._offset: amount for second, amount in slots.items()}
        for other in others:
            for second, amount in other.items():
                if second in own:
                    own[second] -= amount
        return {second: amount for second, amount in own.items() if amount > 0}

    def _read(self, text: bytes) -> RoadsState | None:
        """What another process tells, by the clock of this one; None for what another version writes otherwise."""
        try:
            state = _decode(text)
        except msgspec.MsgspecError as error:
            _log.debug("what another worker tells cannot be read: %s", error)
            return None
        now = int(self._traffic.clock.monotonic()) + self._offset
        buckets = {
            name: structs.replace(bucket, tokens=_until(bucket.tokens, now), requests=_until(bucket.requests, now))
            for name, bucket in state.buckets.items()
        }
        return structs.replace(state, buckets=buckets)

    def _hear(self, told: dict[str, RoadsState]) -> None:
        """Let what the others tell now take the place of what they told before."""
        before, now = self._known, self._clock.now()
        self._heard_at |= dict.fromkeys(told, now)
        silent = {worker: _silence(state) for worker, state in before.items() if worker not in told}
        for worker in [each for each in silent if now - self._heard_at[each] > _REMEMBERED_SECONDS]:
            del silent[worker], self._heard_at[worker]
        self._known = silent | told
        for worker, state in told.items():
            old = before.get(worker, _NOTHING).buckets
            for bucket in state.buckets.keys() | old.keys():
                self._hear_bucket(bucket, old.get(bucket, _NO_BUCKET), state.buckets.get(bucket, _NO_BUCKET))
                self._hear_line(worker, bucket, state.buckets.get(bucket, _NO_BUCKET))
        self._count_elsewhere()
        self._place_waiting(
            {bucket for states in (before, told) for state in states.values() for bucket in state.buckets}
        )

    def _hear_bucket(self, bucket: str, old: BucketState, new: BucketState) -> None:
        now, headroom = self._traffic.clock.monotonic(), self._traffic.lanes.headroom(bucket)
        for second in old.tokens.keys() | new.tokens.keys() | old.requests.keys() | new.requests.keys():
            tokens = new.tokens.get(second, 0) - old.tokens.get(second, 0)
            requests = new.requests.get(second, 0) - old.requests.get(second, 0)
            headroom.add_foreign(tokens, requests, second - self._offset, now)
        if new.rest is not None:
            rest = Throttle(bucket, new.rest.since - self._offset, new.rest.until - self._offset, new.rest.reason)
            if self._traffic.rests.share_throttle(rest, now) and new.learned is not None:
                headroom.learn(new.learned, now)

    def _hear_line(self, worker: str, bucket: str, told: BucketState) -> None:
        line = self._queue.lines.get(bucket)
        if line is not None and told.began:
            served: dict[FlowName, float] = {(team, batch): price for team, batch, price in told.served}
            line.hear(f"{worker}/{told.began}", told.virtual, served)

    def _count_elsewhere(self) -> None:
        for name, lane in self._traffic.lanes.by_deployment():
            lane.elsewhere = sum(state.in_flight.get(name, 0) for state in self._known.values())

    def _place_waiting(self, buckets: Iterable[str]) -> None:
        """Give the calls that wait elsewhere their places in the lines here."""
        for bucket in buckets:
            states = [state.buckets.get(bucket, _NO_BUCKET) for state in self._known.values()]
            self._queue.tell_foreign(bucket, [_make_ticket(call) for state in states for call in state.waiting])


def _list_waiting(line: Line, bucket: str, queue: Queue, now: float) -> Iterator[WaitingCall]:
    """The calls of this process that would go if there were room, in their order."""
    for ticket in line.in_order():
        if isinstance(ticket, Waiter) and queue.may_go(ticket, bucket, now):
            yield WaitingCall(ticket.team, ticket.priority, ticket.weight, ticket.tokens, ticket.likely, ticket.arrived)


def _make_ticket(call: WaitingCall) -> Ticket:
    return Ticket(
        team=call.team,
        priority=call.priority,
        weight=call.weight,
        tokens=call.tokens,
        likely=call.likely,
        arrived=call.arrived,
        foreign=True,
    )


def _until(slots: Slots, now: int) -> Slots:
    """What the clock of another host has put into the future counts from now."""
    early: Slots = {}
    for second, amount in slots.items():
        early[min(second, now)] = early.get(min(second, now), 0) + amount
    return early


def _silence(state: RoadsState) -> RoadsState:
    """What stays of a state when its process tells nothing more: what upstreams have counted for it."""
    buckets = {
        name: BucketState(tokens=bucket.tokens, requests=bucket.requests) for name, bucket in state.buckets.items()
    }
    return RoadsState(buckets=buckets)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RoadsState).decode
