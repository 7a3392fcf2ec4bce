"""What is known of deployments from the calls that went to them."""

from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Final

from sekisho.policy.routing.affinity import Affinity
from sekisho.policy.routing.headroom import Headroom, Quota
from sekisho.policy.routing.rest import Rests

_LEARNING: Final = 0.2
_REMEMBERED: Final = 128
_MOST_LANES: Final = 5_000
"""Names with wildcards make deployments of any number; beyond this those that are quiet are forgotten."""
_QUIET_SECONDS: Final = 600.0
_NOTHING_STATED: Final = Quota()


class Latency:
    """Milliseconds: the average, in which recent calls count more, and the last 128 for percentiles."""

    __slots__ = ("_last", "average")

    def __init__(self) -> None:
        self.average: float | None = None
        self._last: deque[float] = deque(maxlen=_REMEMBERED)

    def add(self, milliseconds: float) -> None:
        """One more."""
        average = self.average
        self.average = milliseconds if average is None else average + _LEARNING * (milliseconds - average)
        self._last.append(milliseconds)

    def percentile(self, part: float) -> float | None:
        """What this part (0 to 1) of the last calls did not exceed; None when there were none."""
        if not self._last:
            return None
        ordered = sorted(self._last)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class Lane:
    """One deployment's calls under way, how fast it answers, its last error, and the headroom of its quota.

    bucket: the quota that it draws on. in_flight: calls under way here; elsewhere: as told by other processes.
    first_token: the time to the first token. token: the time of whole calls for each of their output tokens. used_at:
    when it was last called, in monotonic seconds; last_error_at: in seconds since the epoch.
    """

    __slots__ = (
        *("bucket", "elsewhere", "first_token", "headroom", "in_flight", "last_error", "last_error_at"),
        *("token", "used_at"),
    )

    def __init__(self, bucket: str, headroom: Headroom, now: float) -> None:
        self.bucket = bucket
        self.headroom = headroom
        self.in_flight = 0
        self.elsewhere = 0
        self.first_token = Latency()
        self.token = Latency()
        self.last_error: str | None = None
        self.last_error_at: float | None = None
        self.used_at = now


class Lanes:
    """All that this process knows of its upstreams: lanes by deployment, headrooms by bucket, rests, and affinity."""

    def __init__(self) -> None:
        self.rests = Rests()
        self.affinity = Affinity()
        self._lanes: dict[str, Lane] = {}
        self._headrooms: dict[str, Headroom] = {}
        self._stated: Mapping[str, Quota] = {}
        self._told: dict[str, Quota] = {}
        self.crowded: Container[str] = ()
        """The buckets for which calls wait."""
        self.on_change: Callable[[str], None] | None = None
        """Called with such a bucket when a call was taken, has failed or ended in it."""

    def __len__(self) -> int:
        return len(self._lanes)

    def lane(self, deployment_id: str, bucket: str, now: float) -> Lane:
        """What is known of a deployment, which draws on the quota `bucket`."""
        lane = self._lanes.get(deployment_id)
        if lane is None:
            if len(self._lanes) >= _MOST_LANES:
                self._forget_quiet(now)
            lane = self._lanes[deployment_id] = Lane(bucket, self.headroom(bucket), now)
        elif lane.bucket != bucket:  # its provider has found out which model it is, and so which quota it draws on
            lane.bucket, lane.headroom = bucket, self.headroom(bucket)
        return lane

    def headroom(self, bucket: str) -> Headroom:
        """What is known of a quota."""
        headroom = self._headrooms.get(bucket)
        if headroom is None:
            headroom = self._headrooms[bucket] = Headroom()
            headroom.know(self._find_quota(bucket))
        return headroom

    def tell_change(self, bucket: str) -> None:
        """Something has changed in a bucket, after which it may have room."""
        if self.on_change is not None:
            self.on_change(bucket)

    def headrooms(self) -> Iterable[tuple[str, Headroom]]:
        """What is known of every quota, by bucket."""
        return self._headrooms.items()

    def by_deployment(self) -> Iterable[tuple[str, Lane]]:
        """What is known of every deployment, by its id."""
        return self._lanes.items()

    def state_quotas(self, quotas: Mapping[str, Quota]) -> None:
        """Take the quotas that the configuration states, by bucket, in place of those it stated before."""
        self._stated = quotas
        for bucket, headroom in self._headrooms.items():
            headroom.know(self._find_quota(bucket))

    def tell_quota(self, bucket: str, quota: Quota) -> None:
        """Take the quota that the upstream itself tells. What the configuration states counts before it."""
        self._told[bucket] = quota
        self.headroom(bucket).know(self._find_quota(bucket))

    def _find_quota(self, bucket: str) -> Quota:
        stated = self._stated.get(bucket, _NOTHING_STATED)
        told = self._told.get(bucket, _NOTHING_STATED)
        return Quota(
            told.tokens if stated.tokens is None else stated.tokens,
            told.requests if stated.requests is None else stated.requests,
        )

    def _forget_quiet(self, now: float) -> None:
        """Forget lanes, and the headrooms that none of the others has, in which nothing has moved for a while."""
        self._lanes = {
            name: lane for name, lane in self._lanes.items() if lane.in_flight or now - lane.used_at < _QUIET_SECONDS
        }
        used = {id(lane.headroom) for lane in self._lanes.values()}
        self._headrooms = {name: each for name, each in self._headrooms.items() if id(each) in used}
