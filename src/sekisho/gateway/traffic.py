"""What this process has under way at each deployment, and what it knows from that: one for the whole process."""

from typing import Final

from msgspec import Struct

from sekisho.core.clock import Clock
from sekisho.core.errors import SekishoError, UpstreamThrottled
from sekisho.core.target import Target
from sekisho.core.usage import Usage
from sekisho.gateway.fleets import Fleets
from sekisho.policy.routing.headroom import Quota, count_used, guess_used
from sekisho.policy.routing.lane import Lanes, Latency
from sekisho.policy.routing.load import Load
from sekisho.policy.routing.rest import DEFAULT_RULES, Rest, RestRules, Rests

_LONG_THROTTLE_SECONDS: Final = 600.0
"""Who is throttled for longer has used up a quota for a day, which says nothing about the one for a minute."""
_LONGEST_ERROR: Final = 500


class LatencyState(Struct, frozen=True):
    """Milliseconds: the average, in which recent calls count more, and percentiles of the last calls."""

    average: float
    p50: float
    p95: float


class RoadState(Struct, frozen=True, kw_only=True):
    """What is known of one deployment, as far as this process has used it.

    used_tokens, used_requests: of its quota, in the last minute, with what is under way.
    quota: per minute, as configured, told by the upstream, or learned from throttles.
    room: the part of the quota that is left, from 0 to 1; None when no quota is known.
    first_token: the time to the first token. token: the time of whole calls for each of their output tokens.
    last_error: what it was, for the administrator. last_error_at: seconds since the epoch.
    """

    in_flight: int
    used_tokens: int
    used_requests: int
    quota: Quota
    room: float | None
    first_token: LatencyState | None
    token: LatencyState | None
    last_error: str | None
    last_error_at: float | None
    rest: Rest


class Trip:
    """One attempt at one deployment, from its beginning to its end; each of its words counts once."""

    __slots__ = (
        *("_answered", "_began", "_clock", "_ended", "_lane", "_lanes", "_load", "_reserved", "_target"),
        "refused",
    )

    def __init__(self, lanes: Lanes, clock: Clock, target: Target, load: Load) -> None:
        now = clock.monotonic()
        lane = lanes.lane(target.deployment_id, target.bucket, now)
        lane.in_flight += 1
        lane.used_at = now
        self._lanes = lanes
        self._clock = clock
        self._target = target
        self._load = load
        self._lane = lane
        self._began = now
        self._reserved = lane.headroom.reserve(load, now)
        self._answered = self._ended = False
        self.refused = False
        """Whether the deployment had no room for it."""

    def answered(self) -> None:
        """The deployment has begun to answer: the first token is there, or the whole answer."""
        if self._answered or self._ended:
            return
        self._answered = True
        now, target, lane, lanes = self._clock.monotonic(), self._target, self._lane, self._lanes
        lane.first_token.add((now - self._began) * 1000)
        lane.headroom.accepted(now)
        lanes.rests.succeeded(target.bucket, target.deployment_id, self._began, now)
        if (session := self._load.session) is not None:
            lanes.affinity.settle_in(session, target.deployment_id, now)
        if target.bucket in lanes.crowded:
            lanes.tell_change(target.bucket)

    @property
    def undecided(self) -> bool:
        """Whether it is not known yet whether the deployment takes the call."""
        return not (self._answered or self._ended)

    def dropped(self) -> None:
        """Nothing was sent after all."""
        if self._ended:
            return
        now, target = self._end(), self._target
        self._lane.headroom.release(self._began, self._reserved, now)
        self._lanes.rests.give_up_probe(target.bucket, target.deployment_id)
        if target.bucket in self._lanes.crowded:
            self._lanes.tell_change(target.bucket)

    def finished(self, usage: Usage | None) -> None:
        """The answer is over, whole or not; `usage` is what is known to have been used.

        Without an answer, because the client hung up while the deployment was silent, it says nothing about the
        deployment.
        """
        if self._ended:
            return
        now, target, lane, lanes = self._end(), self._target, self._lane, self._lanes
        if not self._answered:
            lanes.rests.give_up_probe(target.bucket, target.deployment_id)
        used = self._guess(now) if usage is None else count_used(usage, target.facts.burndown)
        lane.headroom.settle(self._began, self._reserved, used, now)
        if target.bucket in lanes.crowded:
            lanes.tell_change(target.bucket)
        if usage is None:
            return
        if usage.output > 0:
            lane.token.add((now - self._began) * 1000 / usage.output)
        if (session := self._load.session) is not None and self._answered:
            lanes.affinity.learn(session, target.deployment_id, usage, now)

    def failed(self, error: SekishoError, rules: RestRules = DEFAULT_RULES) -> None:
        """It was refused, or never reached the deployment, which is left alone by these rules."""
        if self._ended:
            return
        now, target, lane = self._end(), self._target, self._lane
        lane.last_error, lane.last_error_at = _describe(error), self._clock.now()
        self.refused = isinstance(error, UpstreamThrottled)
        if self._answered:  # it was at work, and that was counted
            lane.headroom.settle(self._began, self._reserved, self._guess(now), now)
        else:
            self._return_reserved(error, now)
        self._lanes.rests.failed(target.bucket, target.deployment_id, error, now, rules)
        if target.bucket in self._lanes.crowded:
            self._lanes.tell_change(target.bucket)

    def _guess(self, now: float) -> int:
        """What it has used of the quota, if nobody tells."""
        target, load = self._target, self._load
        home = self._lanes.affinity.find(load.session, now) if load.session is not None else None
        cached = home.cached if home is not None and home.deployment_id == target.deployment_id else 0
        return guess_used(load, cached, target.facts.burndown)

    def _return_reserved(self, error: SekishoError, now: float) -> None:
        headroom = self._lane.headroom
        headroom.release(self._began, self._reserved, now)
        if isinstance(error, UpstreamThrottled) and error.cooldown < _LONG_THROTTLE_SECONDS:
            headroom.throttled(self._reserved, of_requests=_speaks_of_requests(error), now=now)

    def _end(self) -> float:
        self._ended = True
        self._lane.in_flight -= 1
        return self._clock.monotonic()


class Traffic:
    """The calls under way, and what is known of the deployments they go to.

    clock: tells the time of everything here. fleets: the deployments to choose among, as the configuration groups them.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lanes = Lanes()
        self.fleets = Fleets(self.lanes, clock)

    @property
    def rests(self) -> Rests:
        """What is left alone after failures."""
        return self.lanes.rests

    def begin(self, target: Target, load: Load) -> Trip:
        """A call begins at the target. The trip must be ended: by `finished` or `failed`."""
        return Trip(self.lanes, self.clock, target, load)

    def tell_quota(self, bucket: str, quota: Quota) -> None:
        """Take the quota of a bucket (`Target.bucket`) that the upstream tells."""
        self.lanes.tell_quota(bucket, quota)

    def add_foreign(self, bucket: str, tokens: int, requests: int, at: float | None = None) -> None:
        """Count what other processes have used of a bucket, now or at a time before (monotonic).

        Below 0 when they give back.
        """
        now = self.clock.monotonic()
        self.lanes.headroom(bucket).add_foreign(tokens, requests, now if at is None else min(at, now), now)

    def state(self, target: Target) -> RoadState:
        """What is known of the target now."""
        now = self.clock.monotonic()
        lane = self.lanes.lane(target.deployment_id, target.bucket, now)
        headroom = lane.headroom
        quota = headroom.quota(now)
        return RoadState(
            in_flight=lane.in_flight,
            used_tokens=headroom.tokens.used.total(now),
            used_requests=headroom.requests.used.total(now),
            quota=quota,
            room=None if quota == Quota() else max(0.0, headroom.free_part(now)),
            first_token=_sum_up(lane.first_token),
            token=_sum_up(lane.token),
            last_error=lane.last_error,
            last_error_at=lane.last_error_at,
            rest=self.rests.describe(target.bucket, target.deployment_id, now),
        )


def _speaks_of_requests(error: UpstreamThrottled) -> bool:
    """Whether there were too many requests, not too many tokens; services say so in their text only."""
    text = " ".join([error.message, *getattr(error, "__notes__", ())]).lower()
    return "token" not in text and "request" in text


def _describe(error: SekishoError) -> str:
    """What is kept of an error: with the error itself all that was on the stack would be kept."""
    return " ".join([error.message, *getattr(error, "__notes__", ())])[:_LONGEST_ERROR]


def _sum_up(latency: Latency) -> LatencyState | None:
    average, p50, p95 = latency.average, latency.percentile(0.5), latency.percentile(0.95)
    if average is None or p50 is None or p95 is None:
        return None
    return LatencyState(average, p50, p95)
