"""How long calls will wait for room, and what is said to those who cannot."""

from collections.abc import Mapping
from typing import Final

from sekisho.core.errors import UpstreamThrottled
from sekisho.gateway.traffic import Traffic
from sekisho.gateway.waiters import Waiter, find_load
from sekisho.gateway.ways import Candidate
from sekisho.policy.routing.line import Line

_MINUTE: Final = 60.0
_LEAST_RETRY_AFTER: Final = 1.0


class Delays:
    """Estimates, by what is known of the quotas and by the lines before them (by bucket)."""

    def __init__(self, traffic: Traffic, lines: Mapping[str, Line]) -> None:
        self._traffic = traffic
        self._lines = lines

    def find_soonest(self, waiter: Waiter) -> float:
        """Seconds that it will wait at least: by what rests, and by what waits for quotas that are known."""
        now = self._traffic.clock.monotonic()
        waits = [max(self._rest(waiter, each, now), self._drain(waiter, each, now)) for each in waiter.candidates]
        return min(waits)

    def find_end(self, waiter: Waiter) -> float:
        """Seconds after which it could probably be served, if it came back then."""
        now, lanes = self._traffic.clock.monotonic(), self._traffic.lanes
        waits = []
        for candidate in waiter.candidates:
            headroom = lanes.headroom(candidate.target.bucket)
            free = headroom.free_at(find_load(candidate), now) - now
            waits.append(max(self._rest(waiter, candidate, now), free, self._drain(waiter, candidate, now, sure=False)))
        return min(waits)

    def _rest(self, waiter: Waiter, candidate: Candidate, now: float) -> float:
        target = candidate.target
        rest = self._traffic.rests.remaining(target.bucket, target.deployment_id, now)
        return max(rest, waiter.not_before.get(target.deployment_id, now) - now)

    def _drain(self, waiter: Waiter, candidate: Candidate, now: float, *, sure: bool = True) -> float:
        """Seconds that those take who come first; `sure` leaves out what was only learned from throttles."""
        bucket = candidate.target.bucket
        line = self._lines.get(bucket)
        if line is None:
            return 0.0
        headroom, (calls, tokens) = self._traffic.lanes.headroom(bucket), line.count_before(waiter)
        seconds = 0.0
        for allowance, amount in ((headroom.tokens, tokens), (headroom.requests, calls)):
            limit = None if sure and allowance.learned is not None else allowance.limit(now)
            if limit is not None:
                seconds = max(seconds, amount / max(limit, 1.0) * _MINUTE)
        return seconds


def refuse_to_wait(reason: str, seconds: float) -> UpstreamThrottled:
    """What a call is told that cannot wait, or has waited in vain; agents go by the words "rate limit"."""
    retry_after = max(_LEAST_RETRY_AFTER, seconds)
    message = (
        f"The rate limit of every deployment of this model is reached, and {reason}. "
        f"Try again in {retry_after:.0f} seconds."
    )
    return UpstreamThrottled(message, verdict="never", native="queue", retry_after=retry_after)
