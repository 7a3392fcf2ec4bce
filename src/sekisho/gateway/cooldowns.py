"""Which upstream quotas are at rest after a failure, and for how long."""

from sekisho.core.clock import Clock


class Cooldowns:
    """Rest periods by bucket: what shares a quota (account, region, model) rests together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def rest(self, bucket: str, seconds: float) -> None:
        """Leave the bucket alone for so long; a longer rest already begun stays."""
        until = self._clock.monotonic() + seconds
        if seconds > 0 and until > self._until.get(bucket, 0.0):
            self._until[bucket] = until

    def remaining(self, bucket: str) -> float:
        """Seconds the bucket is still to be left alone; 0.0 when it may be called."""
        until = self._until.get(bucket)
        if until is None:
            return 0.0
        remaining = until - self._clock.monotonic()
        if remaining <= 0:
            del self._until[bucket]
            return 0.0
        return remaining

    def wake(self, bucket: str) -> None:
        """It answered: nothing of its rest is left."""
        self._until.pop(bucket, None)
