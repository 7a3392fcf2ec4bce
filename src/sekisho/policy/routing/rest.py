"""What is left alone after failures, and for how long.

Three things rest, each for its own reason:

- A *quota* (`Target.bucket`: account, region, model) cools after a throttle or a failed connection, for as long as the
  failure says. Where that is only guessed, a throttled one cools for a shorter time at first, and for twice as long
  each time that it is refused again.
- A *circuit breaker* of the same bucket opens when most calls of a minute fail. After a while it is half open: one call
  at a time is let through as a probe. A success closes it, a failure opens it for twice as long.
- A *deployment* that does not work as configured (access, model id, credentials) is set aside, and probed sparsely in
  the same way.

Times are monotonic seconds and are given by the caller; nothing here looks at a clock.
"""

from typing import Literal

from msgspec import Struct

from sekisho.config.snapshot import Deployment, PerFailure, Snapshot
from sekisho.core.errors import (
    SekishoError,
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamRejected,
    UpstreamThrottled,
    UpstreamUnavailable,
)
from sekisho.policy.routing.kinds import find_number

RestKind = Literal["free", "cooling", "open", "half_open", "set_aside"]

_WINDOW_SECONDS = 60.0
_FIRST_REST_SECONDS = 5.0
"""A quota that is used up need not stay so until the minute is over: what calls reserve comes back at their end."""
_OPEN_SECONDS = 10.0
_LONGEST_OPEN_SECONDS = 120.0
_ASIDE_SECONDS = 300.0
_LONGEST_ASIDE_SECONDS = 3600.0
_PROBE_SECONDS = 30.0
"""For how long one probe keeps others from probing; it may hang, and its caller may be gone."""
_LONGEST_REASON = 300


class Rest(Struct, frozen=True):
    """Whether a deployment is at rest: `seconds` still, and why. Half open means that the next call is a probe."""

    kind: RestKind
    seconds: float = 0.0
    reason: str | None = None


class RestRules(Struct, frozen=True, kw_only=True):
    """What the configuration says of rest.

    cooldown: seconds to rest in place of every guess; what an upstream itself has said counts all the same. 0 switches
      rest off, also for broken deployments; None leaves it to the kind of failure.
    allowed_fails: how many failures of the upstream within a minute are borne; allowed_by_kind: the same by kind, also
      for throttles, refused configurations and refused requests, of which otherwise the first two are not borne at all
      and the last is nothing against the upstream.
    """

    cooldown: float | None = None
    allowed_fails: int = 3
    allowed_by_kind: PerFailure = PerFailure()

    def allows(self, error: UpstreamError) -> int | None:
        """How many such failures within a minute are borne; None for any number."""
        known = find_number(self.allowed_by_kind, error)
        if known is not None:
            return known
        if isinstance(error, UpstreamRejected):
            return None
        return self.allowed_fails if isinstance(error, UpstreamUnavailable) else 0


def find_rules(snapshot: Snapshot, deployment: Deployment) -> RestRules:
    """The rules for one deployment: its own, else those of all."""
    cooldown = snapshot.cooldown_time if deployment.cooldown_time is None else deployment.cooldown_time
    allowed = snapshot.allowed_fails if deployment.allowed_fails is None else deployment.allowed_fails
    return RestRules(
        cooldown=0.0 if snapshot.disable_cooldowns else cooldown,
        allowed_fails=allowed,
        allowed_by_kind=deployment.allowed_fails_policy or snapshot.allowed_fails_policy,
    )


class Throttle(Struct, frozen=True):
    """A quota that was found used up: since when and until when it is left alone, and why."""

    bucket: str
    since: float
    until: float
    reason: str


DEFAULT_RULES = RestRules()
_FREE = Rest("free")


class _Spell(Struct):
    """One spell of rest: since and until when, why, how often in a row, and until when a probe is under way.

    throttled: whether nothing is wrong but that a quota is used up. foreign: whether another process has found so.
    """

    since: float
    until: float
    reason: str
    times: int = 1
    probe_until: float = 0.0
    throttled: bool = False
    foreign: bool = False


class _Count(Struct):
    """The calls of a bucket since the first failure of a minute."""

    since: float
    failures: int = 0
    successes: int = 0


class Rests:
    """The rest of every quota and every deployment, as one worker has seen it."""

    def __init__(self) -> None:
        self._cooling: dict[str, _Spell] = {}
        self._counts: dict[str, _Count] = {}
        self._open: dict[str, _Spell] = {}
        self._aside: dict[str, _Spell] = {}

    @property
    def any(self) -> bool:
        """Whether anything may be at rest."""
        return bool(self._cooling or self._open or self._aside)

    def remaining(self, bucket: str, deployment_id: str, now: float) -> float:
        """Seconds the deployment is still to be left alone; 0.0 when it may be called, if only by a probe."""
        if not (self._cooling or self._open or self._aside):
            return 0.0
        cooling = self._cooling.get(bucket)
        if cooling is not None and cooling.until + _WINDOW_SECONDS <= now:
            del self._cooling[bucket]
            cooling = None
        longest = 0.0 if cooling is None else max(0.0, cooling.until - now)
        for spell in self._trials(bucket, deployment_id):
            longest = max(longest, spell.until - now, spell.probe_until - now)
        return longest

    def let_pass(self, bucket: str, deployment_id: str, now: float) -> bool:
        """Whether it may be called now: `take_probe` for what is not at rest."""
        if not (self._cooling or self._open or self._aside):
            return True
        return self.remaining(bucket, deployment_id, now) <= 0 and self.take_probe(bucket, deployment_id, now)

    def take_probe(self, bucket: str, deployment_id: str, now: float) -> bool:
        """Ask to call it now. False while another call probes whether it works again.

        Who is told True must report `succeeded`, `failed` or `give_up_probe`.
        """
        if not (self._open or self._aside):
            return True
        trials = self._trials(bucket, deployment_id)
        if any(spell.probe_until > now for spell in trials):
            return False
        for spell in trials:
            if spell.until <= now:
                spell.probe_until = now + _PROBE_SECONDS
        return True

    def give_up_probe(self, bucket: str, deployment_id: str) -> None:
        """The call that probed has ended without telling anything: its client hung up, for one."""
        for spell in self._trials(bucket, deployment_id):
            spell.probe_until = 0.0

    def failed(
        self, bucket: str, deployment_id: str, error: SekishoError, now: float, rules: RestRules = DEFAULT_RULES
    ) -> None:
        """An attempt has failed with this error."""
        self.give_up_probe(bucket, deployment_id)
        if not isinstance(error, UpstreamError):
            return
        if isinstance(error, UpstreamRejected | UpstreamThrottled):  # it works, and has understood
            self._end_trials(bucket, deployment_id, now)
        allowed = rules.allows(error)
        if isinstance(error, UpstreamUnavailable):
            self._cool(bucket, error, now, rules)
            self._strain(bucket, error, allowed, now, rules)
        elif allowed is not None and self._is_too_much(bucket, allowed, now):
            if isinstance(error, UpstreamMisconfigured):
                self._set_aside(deployment_id, error, now, rules)
            elif isinstance(error, UpstreamThrottled):
                self._cool(bucket, error, now, rules)
            else:
                self._begin_open(bucket, error, now, rules)

    def succeeded(self, bucket: str, deployment_id: str, began: float, now: float) -> None:
        """An attempt that began at `began` was answered.

        That says nothing against what failed later than it began.
        """
        if not (self._counts or self._cooling or self._open or self._aside):
            return
        if (count := self._counts.get(bucket)) is not None:
            if now - count.since > _WINDOW_SECONDS:
                del self._counts[bucket]
            else:
                count.successes += 1
        if (cooling := self._cooling.get(bucket)) is not None and began >= cooling.since:
            del self._cooling[bucket]
        self._end_trials(bucket, deployment_id, began)

    def is_throttled(self, bucket: str, now: float) -> bool:
        """Whether the quota rests for no other reason than that it is used up."""
        spell = self._cooling.get(bucket) if self._cooling else None
        return spell is not None and spell.throttled and spell.until > now

    def throttles(self, now: float) -> list[Throttle]:
        """The quotas that were found used up here, for other processes."""
        return [
            Throttle(bucket, spell.since, spell.until, spell.reason)
            for bucket, spell in self._cooling.items()
            if spell.throttled and not spell.foreign and spell.until > now
        ]

    def share_throttle(self, throttle: Throttle, now: float) -> bool:
        """Let a quota rest that another process has found used up. Says whether that is news."""
        known = self._cooling.get(throttle.bucket)
        if throttle.until <= now or (known is not None and throttle.until <= known.until + 1.0):
            return False
        self._cooling[throttle.bucket] = _Spell(
            throttle.since, throttle.until, throttle.reason, throttled=True, foreign=True
        )
        return True

    def wake(self, bucket: str, deployment_id: str) -> None:
        """Forget everything against it: its configuration was changed, or somebody has looked."""
        for spells, name in ((self._cooling, bucket), (self._open, bucket), (self._aside, deployment_id)):
            spells.pop(name, None)
        self._counts.pop(bucket, None)

    def describe(self, bucket: str, deployment_id: str, now: float) -> Rest:
        """How it stands, for people."""
        if (spell := self._aside.get(deployment_id)) is not None:
            return _describe_trial(spell, "set_aside", now)
        if (spell := self._open.get(bucket)) is not None:
            return _describe_trial(spell, "open", now)
        if (spell := self._cooling.get(bucket)) is not None and spell.until > now:
            return Rest("cooling", spell.until - now, spell.reason)
        return _FREE

    def _trials(self, bucket: str, deployment_id: str) -> list[_Spell]:
        """The spells that end with a probe."""
        found = [self._open.get(bucket), self._aside.get(deployment_id)]
        return [spell for spell in found if spell is not None]

    def _end_trials(self, bucket: str, deployment_id: str, began: float) -> None:
        """A call that began then has shown that it works."""
        for spells, name in ((self._open, bucket), (self._aside, deployment_id)):
            if (spell := spells.get(name)) is not None and began >= spell.since:
                del spells[name]

    def _cool(self, bucket: str, error: UpstreamError, now: float, rules: RestRules) -> None:
        """Let the quota rest; a longer rest already begun stays."""
        seconds, times = _decide_seconds(error, rules), 1
        known, throttled = self._cooling.get(bucket), isinstance(error, UpstreamThrottled)
        if throttled and not error.told and rules.cooldown is None:
            if known is not None:
                times = known.times + (known.until <= now)
            seconds = min(seconds, _FIRST_REST_SECONDS * 2 ** min(times - 1, 10))
        if seconds > 0 and (known is None or now + seconds > known.until):
            self._cooling[bucket] = _Spell(now, now + seconds, _name_reason(error), times, throttled=throttled)

    def _strain(self, bucket: str, error: UpstreamError, allowed: int | None, now: float, rules: RestRules) -> None:
        """Count a failure of the upstream against its breaker."""
        spell = self._open.get(bucket)
        if spell is None:
            if allowed is not None and self._is_too_much(bucket, allowed, now):
                self._begin_open(bucket, error, now, rules)
        elif now >= spell.until:  # the probe has failed
            self._open[bucket] = _next_spell(spell, error, now, rules, _OPEN_SECONDS, _LONGEST_OPEN_SECONDS)

    def _is_too_much(self, bucket: str, allowed: int, now: float) -> bool:
        """Count a failure. Whether there were more within a minute than are allowed, and than calls that succeeded."""
        if allowed == 0:
            return True
        count = self._counts.get(bucket)
        if count is None or now - count.since > _WINDOW_SECONDS:
            count = self._counts[bucket] = _Count(now)
        count.failures += 1
        return count.failures > allowed and count.failures > count.successes

    def _begin_open(self, bucket: str, error: UpstreamError, now: float, rules: RestRules) -> None:
        self._counts.pop(bucket, None)
        if rules.cooldown != 0:
            self._open[bucket] = _next_spell(None, error, now, rules, _OPEN_SECONDS, _LONGEST_OPEN_SECONDS)

    def _set_aside(self, deployment_id: str, error: UpstreamMisconfigured, now: float, rules: RestRules) -> None:
        """Leave a deployment alone. One that fresh credentials may mend is not, before they have failed, too."""
        if error.verdict == "same" or rules.cooldown == 0:
            return
        spell = self._aside.get(deployment_id)
        if spell is None or now >= spell.until:
            first = error.cooldown or _ASIDE_SECONDS
            self._aside[deployment_id] = _next_spell(spell, error, now, rules, first, _LONGEST_ASIDE_SECONDS)


def _next_spell(
    before: _Spell | None, error: UpstreamError, now: float, rules: RestRules, first: float, longest: float
) -> _Spell:
    """The first spell, or the one after a probe has failed: twice as long, where nobody has configured a time."""
    times = 1 if before is None else before.times + 1
    seconds = rules.cooldown if rules.cooldown is not None else min(longest, first * 2 ** min(times - 1, 10))
    return _Spell(now, now + seconds, _name_reason(error), times)


def _describe_trial(spell: _Spell, kind: Literal["open", "set_aside"], now: float) -> Rest:
    if spell.until > now:
        return Rest(kind, spell.until - now, spell.reason)
    return Rest("half_open", max(0.0, spell.probe_until - now), spell.reason)


def _decide_seconds(error: UpstreamError, rules: RestRules) -> float:
    """For how long a quota rests: what the upstream has said, else what is configured, else what is usual."""
    if rules.cooldown is None or error.cooldown <= 0:
        return error.cooldown
    if rules.cooldown > 0 and error.told:
        return max(error.cooldown, rules.cooldown)
    return rules.cooldown


def _name_reason(error: UpstreamError) -> str:
    """For the administrator: the upstream's own words are in the notes."""
    kind = "throttled" if isinstance(error, UpstreamThrottled) else error.message
    return " ".join([*filter(None, [error.native]), kind, *getattr(error, "__notes__", ())])[:_LONGEST_REASON]
