"""How much one upstream quota can still take: the mirror of the upstream's own accounts.

Amazon Bedrock counts per account, region and model. At the start of a call it reserves the whole input and the most
output that the call may have; at the end it keeps input and cache writes (cache reads are free) and the output times
the model's burndown rate, and gives the rest back. Here the same is counted in a sliding minute, which is the strictest
way: what fits here fits where whole minutes or a leaky bucket are counted.

Where a quota is not known it is learned: what was in use when a call was throttled is all there is. Such a figure may
be too low, because others use the quota too, so it grows until the next throttle or until the known quota is reached;
faster where what was in use here can hardly have been the reason.
"""

from collections import deque
from typing import Final

from msgspec import Struct

from sekisho.core.usage import Usage
from sekisho.policy.routing.load import Load

_MINUTE: Final = 60
_GROWTH: Final = 0.05
"""By which part a learned quota grows each minute."""
_DOUBTFUL_GROWTH: Final = 0.5
"""The same where less was in use than the refused call needed: others must have used the quota."""
_RECOVERY: Final = 0.25
"""By which part of a known quota its learned remainder grows each minute: others have used it, and will cease to."""
_LEARNING: Final = 0.1
_LIKELY_SECONDS: Final = 10.0
"""How long a call lasts of which nothing is known."""
_LIKELY_TOKENS: Final = 1_000_000.0
_LIKELY_REQUESTS: Final = 1_000.0
"""An unknown quota never counts as full; its use is only compared with that of others, in these units."""


class Quota(Struct, frozen=True):
    """What an upstream allows each minute; None where it is not known."""

    tokens: int | None = None
    requests: int | None = None


class Minute:
    """A sum over the last minute, in slots of a second. A slot counts until the whole of it is a minute old.

    second: the monotonic time, in whole seconds, to which it was last slid. After `slide`, which is needed once in a
    second, `sum` is what counts; it is below 0 when more was given back than taken.
    """

    __slots__ = ("_slots", "second", "sum")

    def __init__(self) -> None:
        self._slots: deque[list[int]] = deque()
        self.second = -1
        self.sum = 0

    def add(self, amount: int, now: float) -> None:
        """Count `amount` now; a negative one takes back what was counted for others."""
        second, slots = int(now), self._slots
        if slots and slots[-1][0] >= second:
            slots[-1][1] += amount
        else:
            slots.append([second, amount])
        self.sum += amount

    def correct(self, since: float, amount: int, now: float) -> None:
        """Change what was counted at `since`: more counts from now, less is taken away if it still counts."""
        if amount > 0:
            self.add(amount, now)
        elif amount < 0:
            second = int(since)
            for slot in reversed(self._slots):
                if slot[0] <= second:
                    if slot[0] == second:
                        slot[1] += amount
                        self.sum += amount
                    return

    def put(self, at: float, amount: int, now: float) -> None:
        """Change what counts from `at`, if it still counts; `at` is not after now."""
        second = int(at)
        if second <= now - _MINUTE - 1:
            return
        slots, place = self._slots, len(self._slots)
        while place and slots[place - 1][0] > second:
            place -= 1
        if place and slots[place - 1][0] == second:
            slots[place - 1][1] += amount
        else:
            slots.insert(place, [second, amount])
        self.sum += amount

    def slots(self, now: float) -> dict[int, int]:
        """What counts now, by the second since which it counts."""
        self.total(now)
        return {second: amount for second, amount in self._slots if amount}

    def total(self, now: float) -> int:
        """The sum now, at least 0."""
        self.slide(int(now))
        return self.sum if self.sum > 0 else 0

    def slide(self, second: int) -> None:
        """Go on to this second, and forget what is too old by then."""
        slots, oldest = self._slots, second - _MINUTE - 1
        while slots and slots[0][0] <= oldest:
            self.sum -= slots.popleft()[1]
        self.second = second

    def falls_to(self, most: float, now: float) -> float:
        """When the sum will be at most `most` if nothing more is counted."""
        left, when = self.total(now), now
        for second, amount in self._slots:
            if left <= most:
                return when
            left -= amount
            when = second + _MINUTE + 1
        return when


class Allowance:
    """One quota in one unit, tokens or requests: what is used of it, and what is known of its size."""

    __slots__ = ("_growth", "_learned_at", "_likely", "known", "learned", "used")

    def __init__(self, likely: float) -> None:
        self.used = Minute()
        self.known: int | None = None
        self.learned: float | None = None
        """What a throttle has shown; None where none has shown it to be smaller than it is known to be."""
        self._learned_at = 0.0
        self._growth = _GROWTH
        self._likely = likely

    def limit(self, now: float) -> float | None:
        """The quota as far as it is known or learned."""
        learned, known = self.learned, self.known
        if learned is None:
            return known
        minutes = (now - self._learned_at) / _MINUTE
        if known is None:
            return learned * (1 + self._growth * minutes)
        learned += known * _RECOVERY * minutes
        if learned < known:
            return learned
        self.learned = None
        return known

    def room(self, need: int, now: float) -> float:
        """The part of the quota that is left when `need` is taken; below 0 when it does not fit."""
        minute, second = self.used, int(now)
        if minute.second != second:
            minute.slide(second)
        used = minute.sum
        used = used + need if used > 0 else need
        limit = self.known if self.learned is None else self.limit(now)
        if limit is None:
            return self._likely / (self._likely + used)
        return (limit - used) / limit if limit > 0 else -1.0

    def free_at(self, need: int, now: float) -> float:
        """When `need` fits, if nothing else comes. What never fits does so when nothing else is under way."""
        limit = self.limit(now)
        return now if limit is None else self.used.falls_to(max(0.0, limit - need), now)

    def fits(self, need: int, ahead: int, now: float) -> bool:
        """Whether `need` fits once `ahead` is taken; what never fits does so when nothing else is under way."""
        limit = self.limit(now)
        if limit is None:
            return True
        used = self.used.total(now) + ahead
        return used + need <= limit or used <= 0

    def is_doubtful(self, need: int, ahead: int, now: float) -> bool:
        """Whether all that speaks against `need` is what was learned from throttles, which may be too little."""
        known = self.known
        return self.learned is not None and (known is None or self.used.total(now) + ahead + need <= known)

    def throttled(self, need: int, now: float) -> None:
        """A call that needed so much was refused, and counts no longer: there is not much more than what is used.

        One call must fit, since otherwise none would ever be sent there.
        """
        used = self.used.total(now)
        self.learned, self._learned_at = float(max(used, need)), now
        self._growth = _GROWTH if used >= need else _DOUBTFUL_GROWTH

    def learn(self, amount: int, now: float) -> None:
        """Another process was refused, when so much was in use."""
        self.learned, self._learned_at, self._growth = float(amount), now, _GROWTH

    def accepted(self, now: float) -> None:
        """A call was taken that is counted already: there is at least what is used."""
        used, limit = self.used.total(now), self.limit(now)
        if self.learned is not None and limit is not None and used > limit:
            self.learned, self._learned_at = float(used), now


class Headroom:
    """What one bucket (`Target.bucket`) can still take, in tokens and requests. Times are in monotonic seconds."""

    __slots__ = ("_calls", "_reserved", "_seconds", "_strain", "_strained_at", "requests", "tokens")

    def __init__(self) -> None:
        self.tokens = Allowance(_LIKELY_TOKENS)
        self.requests = Allowance(_LIKELY_REQUESTS)
        self._strain = self._strained_at = 0.0
        self._calls = 0  # under way
        self._reserved = 0  # for these
        self._seconds = _LIKELY_SECONDS  # that a call lasts

    def know(self, quota: Quota) -> None:
        """Take the quota from whoever knows it."""
        self.tokens.known, self.requests.known = quota.tokens, quota.requests

    def quota(self, now: float) -> Quota:
        """The quota as known or learned."""
        tokens, requests = self.tokens.limit(now), self.requests.limit(now)
        return Quota(None if tokens is None else int(tokens), None if requests is None else int(requests))

    def room(self, load: Load, now: float) -> float:
        """The part of the quota that is left with this load, from 1 down; below 0 when it would be throttled."""
        tokens = self.tokens.room(load.input + load.ceiling, now)
        requests = self.requests.room(1, now)
        return tokens if tokens < requests else requests

    def takes(self, load: Load, now: float) -> bool:
        """Whether the load would not be throttled, as far as anything is known of the quota."""
        tokens, requests = self.tokens, self.requests
        known = tokens.known is not None or requests.known is not None
        if not known and tokens.learned is None and requests.learned is None:
            return True
        return self.room(load, now) >= 0

    def fits(self, load: Load, tokens: int, requests: int, now: float) -> bool:
        """Whether the load fits, once so many tokens and requests of others are taken."""
        need = load.input + load.ceiling
        return self.tokens.fits(need, tokens, now) and self.requests.fits(1, requests, now)

    def is_doubtful(self, load: Load, tokens: int, requests: int, now: float) -> bool:
        """Whether a load that does not fit might be taken all the same, because the quota is only guessed."""
        need = load.input + load.ceiling
        return (self.tokens.fits(need, tokens, now) or self.tokens.is_doubtful(need, tokens, now)) and (
            self.requests.fits(1, requests, now) or self.requests.is_doubtful(1, requests, now)
        )

    def free_part(self, now: float) -> float:
        """The part of the quota that is not used."""
        return min(self.tokens.room(0, now), self.requests.room(0, now))

    def free_at(self, load: Load, now: float) -> float:
        """When the load will probably fit, if nothing else comes; `now` when it does.

        Calls under way give most of what is reserved for them back when they end.
        """
        need = load.input + load.ceiling
        tokens, requests = self.tokens.free_at(need, now), self.requests.free_at(1, now)
        if tokens > now and self._calls:
            excess = -self.tokens.room(need, now) * (self.tokens.limit(now) or 0)
            ending = -(-excess * self._calls // self._reserved) if self._reserved else 0
            if 0 < ending <= self._calls:
                tokens = min(tokens, now + self._seconds * ending / (self._calls + 1))
        return max(tokens, requests)

    def reserve(self, load: Load, now: float) -> int:
        """Count a call that begins; the tokens that are reserved for it."""
        reserved = load.input + load.ceiling
        self.tokens.used.add(reserved, now)
        self.requests.used.add(1, now)
        self._calls += 1
        self._reserved += reserved
        return reserved

    def settle(self, since: float, reserved: int, used: int, now: float) -> None:
        """Set a call that began at `since` to what it has used, by the upstream's count (`count_used`)."""
        self._calls -= 1
        self._reserved -= reserved
        self._seconds += _LEARNING * (now - since - self._seconds)
        self.tokens.used.correct(since, used - reserved, now)

    def release(self, since: float, reserved: int, now: float) -> None:
        """Take away a call that began at `since` and was refused."""
        self._calls -= 1
        self._reserved -= reserved
        self.tokens.used.correct(since, -reserved, now)
        self.requests.used.correct(since, -1, now)

    def wait(self, seconds: float, now: float) -> None:
        """A call waits here for so long."""
        self._strain = self.strain(now) + seconds
        self._strained_at = now

    def strain(self, now: float) -> float:
        """How many seconds calls have waited here of late; it halves every minute."""
        return self._strain * 0.5 ** ((now - self._strained_at) / _MINUTE) if self._strain else 0.0

    def excess_strain(self, other: "Headroom", now: float) -> float:
        """Which part (0 to 1) of what is waited here would not be waited at the other."""
        here = self.strain(now)
        return max(0.0, 1 - other.strain(now) / here) if here else 0.0

    def delay_by(self, tokens: int, load: Load, now: float) -> float:
        """By how many seconds, in all, other calls are probably delayed when a load uses up so many tokens more.

        They take the quota from all calls for some part of a minute, which hurts the more the less of it is left.
        """
        limit = self.tokens.limit(now)
        if not limit:
            return 0.0
        fullness = 1 - self.room(load, now)
        return _MINUTE * tokens / limit * self.requests.used.total(now) * fullness**2

    def learn(self, quota: Quota, now: float) -> None:
        """Take over what another process has learned from a throttle."""
        for allowance, amount in ((self.tokens, quota.tokens), (self.requests, quota.requests)):
            if amount is not None:
                allowance.learn(amount, now)

    def learned(self, now: float) -> Quota:
        """What was learned from throttles, for other processes."""
        quota = self.quota(now)
        return Quota(
            None if self.tokens.learned is None else quota.tokens,
            None if self.requests.learned is None else quota.requests,
        )

    def accepted(self, now: float) -> None:
        """The upstream has taken a call that is reserved here."""
        if self.tokens.learned is not None:
            self.tokens.accepted(now)
        if self.requests.learned is not None:
            self.requests.accepted(now)

    def throttled(self, reserved: int, *, of_requests: bool, now: float) -> None:
        """The upstream has refused a call, released already, for too many tokens or for too many requests."""
        if of_requests:
            self.requests.throttled(1, now)
        else:
            self.tokens.throttled(reserved, now)

    def add_foreign(self, tokens: int, requests: int, at: float, now: float) -> None:
        """Count what others have used of it at some time before; less than nothing when they have given back."""
        if tokens:
            self.tokens.used.put(at, tokens, now)
        if requests:
            self.requests.used.put(at, requests, now)


def count_used(usage: Usage, burndown: int) -> int:
    """The tokens that stay counted for a call at its end."""
    return usage.input + usage.cache_write_5m + usage.cache_write_1h + usage.output * burndown


def guess_used(load: Load, cached: int, burndown: int) -> int:
    """The same where no usage was told; `cached` tokens of the prompt probably lay in the cache."""
    return max(0, load.input - cached) + load.output * burndown
