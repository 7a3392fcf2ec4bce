"""Limits of requests and tokens in time: per minute and per day, of a scope and of a model within a scope.

A worker that is alone counts in its own memory. Where several serve the same callers, each uses only its `shares`, so
that all together never pass a limit. Tokens count as they are expected while a call is under way, and then as they
were.
"""

from collections.abc import Iterator, Sequence
from math import inf

from msgspec import Struct

from sekisho.core.accounts import owner_prefix
from sekisho.core.caller import Scope
from sekisho.core.clock import Clock
from sekisho.core.errors import Refusal, StoreUnavailable
from sekisho.core.escrow import Grants, Span
from sekisho.ledger.plans import Plans
from sekisho.ledger.refusals import over_rate
from sekisho.ledger.shares import NOWHERE, Need, Renewal, Share
from sekisho.ledger.windows import DAY, MINUTE

_FRESH_SECONDS = 5.0
"""For how long what the store told of others is worth telling callers."""


class Rate(Struct, frozen=True):
    """One limit in time. `what` is what it limits, in words; `tokens` whether that is tokens."""

    name: str
    what: str
    limit: int
    span: Span
    tokens: bool
    scope: Scope


class Remaining(Struct, frozen=True):
    """What a caller may still do, for the response headers: of the tightest limit.

    reset: seconds until all is free again; below 0 when it is.
    """

    limit: int
    remaining: int
    reset: float


class Rated(Struct):
    """The limits in time of calls to a model group, the narrowest scope first.

    requests, tokens: the shares of those of requests, and of those of tokens; of the latter `minutes` are per minute.
    second: the monotonic time, in whole seconds, to which all their windows were last slid.
    """

    limits: Sequence[tuple[Rate, Share]] = ()
    requests: Sequence[Share] = ()
    tokens: Sequence[Share] = ()
    minutes: Sequence[Share] = ()
    second: int = -1

    def slide(self, second: int) -> None:
        """Go on to this second, which is needed once in it before what windows hold is read or added to."""
        for _, share in self.limits:
            if share.window.second != second:
                share.window.slide(second)
        self.second = second


class Taken(Struct, frozen=True, gc=False):
    """What one call has taken of limits of tokens: `amount` of each share; `stamps` say where from, where some did."""

    rated: Rated
    amount: int
    stamps: Sequence[int] = ()


class _Part(Struct, gc=False):
    """What one call takes of one limit; `stamp` says where from, once it is taken."""

    rate: Rate
    share: Share
    amount: int
    stamp: int | None = None


class RateLimits:
    """All limits in time of one worker; without `grants` it must be the only one."""

    def __init__(self, clock: Clock, grants: Grants | None = None) -> None:
        self._clock = clock
        self._renewal = None if grants is None else Renewal(grants, clock)
        self._shares: dict[str, Share] = {}
        self._plans = Plans(self._plan)

    def take_at_once(self, scopes: Sequence[Scope], group: str, tokens: int) -> Taken | None:
        """As `take`, where nobody has to be asked: the usual case. None otherwise; nothing is taken then."""
        plan, now = self._plans.get(scopes, group), self._clock.monotonic()
        if self._renewal is not None:
            return _take_granted(plan, tokens, now)
        if plan.second != (second := int(now)):
            plan.slide(second)
        for share in plan.requests:
            if share.window.total >= share.limit:
                return None
        for share in plan.tokens:
            used = share.window.total + share.held
            if used + tokens > share.limit and (used or not share.limit):
                return None  # while nothing else is used, a call passes that needs more than the whole limit, but 0
        for share in plan.requests:
            share.window.total += 1
        for share in plan.tokens:
            share.held += tokens
        return Taken(plan, tokens)

    async def take(self, scopes: Sequence[Scope], group: str, tokens: int) -> Taken:
        """Count one call of so many expected tokens. What is returned must be settled.

        Raises RateLimited, or AccessDenied where the limit is 0, naming the narrowest scope, or StoreUnavailable when
        this worker's shares do not reach and the database is away; then nothing counts.
        """
        if (taken := self.take_at_once(scopes, group, tokens)) is not None:
            return taken
        plan = self._plans.get(scopes, group)
        if self._renewal is None:
            full = _find_full(plan, tokens, self._clock.monotonic())
            if full is None:  # a moment has passed since
                return await self.take(scopes, group, tokens)
            raise self._refuse(*full, tokens)
        parts = [_Part(rate, share, tokens if rate.tokens else 1) for rate, share in plan.limits]
        await self._take_all(self._renewal, parts)
        now = self._clock.monotonic()
        for part in parts:
            if not part.rate.tokens:
                self._settle(part, 1, now)
        return Taken(plan, tokens, [part.stamp or NOWHERE for part in parts if part.rate.tokens])

    def find_refusal(self, scopes: Sequence[Scope], group: str, tokens: int) -> Refusal | None:
        """The refusal of the narrowest of these scopes that by what is known here has no room for a call."""
        full = _find_full(self._plan(scopes, group), tokens, self._clock.monotonic())
        return full and self._refuse(*full, tokens)

    def settle(self, taken: Taken, tokens: int) -> None:
        """A call is over, and has used so many tokens."""
        now, expected, plan = self._clock.monotonic(), taken.amount, taken.rated
        if plan.second != (second := int(now)):
            plan.slide(second)
        for share in plan.tokens:
            share.held -= expected
            share.window.total += tokens
        if taken.stamps and tokens != expected:  # there are none where this worker is alone
            for share, stamp in zip(plan.tokens, taken.stamps, strict=True):
                share.correct(stamp, expected - tokens, now)

    def remaining(self, scopes: Sequence[Scope], group: str) -> tuple[Remaining | None, Remaining | None]:
        """The tightest limit of requests per minute, and that of tokens."""
        plan, now = self._plans.get(scopes, group), self._clock.monotonic()
        if plan.second != (second := int(now)):
            plan.slide(second)
        fresh = None if self._renewal is None else now - _FRESH_SECONDS
        return _find_tightest(plan.requests, now, fresh), _find_tightest(plan.minutes, now, fresh)

    def heard(self, workers: int) -> None:
        """The store answers, and knows of so many workers."""
        if self._renewal is not None:
            self._renewal.heard(workers)

    async def run(self) -> None:
        """Keep the shares as they are needed, for ever; ends at once where there is nobody to share with."""
        if self._renewal is not None:
            await self._renewal.run(lambda: list(self._shares.values()))

    def forget_idle(self) -> None:
        """Drop the limits that nothing was counted in lately: nothing is lost by it."""
        now = self._clock.monotonic()
        self._shares = {name: share for name, share in self._shares.items() if not share.is_idle(now)}
        self._plans.forget()

    def _plan(self, scopes: Sequence[Scope], group: str) -> Rated:
        limits = [(rate, self._share(rate)) for rate in rates_of(scopes, group)]
        tokens = [share for rate, share in limits if rate.tokens]
        minutes = [share for share in tokens if share.span is MINUTE]
        return Rated(limits, [share for rate, share in limits if not rate.tokens], tokens, minutes)

    def _share(self, rate: Rate) -> Share:
        share = self._shares.get(rate.name)
        if share is None:
            share = self._shares[rate.name] = Share(rate.name, rate.limit, rate.span, alone=rate.tokens)
        elif share.limit != rate.limit:
            share.limit = rate.limit
            self._plans.forget()  # a call that came before the change may have set what was the limit then
        return share

    async def _take_all(self, renewal: Renewal, parts: Sequence[_Part]) -> None:
        """Take every part, or none. What is there is taken at once, so that it is there when the rest has come."""
        try:
            short = self._take_what_is_there(parts)
            while short:
                short = await self._get_more(renewal, short)
        except BaseException:
            now = self._clock.monotonic()
            for part in parts:
                if part.stamp is not None:
                    self._settle(part, 0, now)
            raise

    def _take_what_is_there(self, parts: Sequence[_Part]) -> list[_Part]:
        """Take what can be had without asking anybody; returns the rest."""
        now = self._clock.monotonic()
        short: list[_Part] = []
        for part in parts:
            share, amount = part.share, part.amount
            share.last_use = now
            if share.admits(amount, now):
                part.stamp = share.use(amount, now)
                share.held += amount
            else:
                short.append(part)
        return short

    async def _get_more(self, renewal: Renewal, short: Sequence[_Part]) -> list[_Part]:
        """Ask the store for what a call lacks, and take it; returns what others were faster to get.

        Raises the refusal of the narrowest limit that has no room.
        """
        try:
            answers = await renewal.refill([Need(part.share, part.amount) for part in short])
        except StoreUnavailable:
            missing = self._take_what_is_there(short)
            for part in missing:
                if part.share.used(self._clock.monotonic()) + part.amount > part.rate.limit:
                    raise self._refuse(part.rate, part.share, tokens=part.amount) from None
            if missing:
                raise
            return []
        refusals: list[Refusal] = []
        rest: list[_Part] = []
        for part, answer in zip(short, answers, strict=True):
            if isinstance(answer, int):
                part.stamp = answer
                part.share.held += part.amount
            elif answer.amount:
                rest.append(part)
            else:
                refusals.append(over_rate(part.rate.scope, part.rate.what, part.rate.limit, answer.used, answer.wait))
        if refusals:
            raise refusals[0]
        return rest

    def _refuse(self, rate: Rate, share: Share, tokens: int) -> Refusal:
        now = self._clock.monotonic()
        room = max(0, rate.limit - (tokens if rate.tokens else 1) - share.held)
        return over_rate(rate.scope, rate.what, rate.limit, share.used(now), share.window.seconds_until(now, room))

    def _settle(self, part: _Part, used: int, now: float) -> None:
        """Count what was used of a part in the end."""
        share, less = part.share, part.amount - used
        share.held -= part.amount
        share.window.add(now, used)
        if less and part.stamp is not None:
            share.correct(part.stamp, less, now)


def _find_full(plan: Rated, tokens: int, now: float) -> tuple[Rate, Share] | None:
    """The narrowest limit that has no room for a call, by what this worker alone has used."""
    for rate, share in plan.limits:
        used = share.used(now)
        if used + (tokens if rate.tokens else 1) > share.limit and (used or not rate.tokens or not share.limit):
            return rate, share
    return None


def _take_granted(plan: Rated, tokens: int, now: float) -> Taken | None:
    """Take what a call needs of what the store has granted for now; None when that does not reach."""
    for share in plan.requests:
        if share.left < 1 or share.until <= now:
            return None
    for share in plan.tokens:
        if share.left < tokens or share.until <= now:
            return None
    for share in plan.requests:
        share.use(1, now)
        share.window.add(now, 1)
    for share in plan.tokens:
        share.held += tokens
    return Taken(plan, tokens, [share.use(tokens, now) for share in plan.tokens])


def _find_tightest(shares: Sequence[Share], now: float, fresh: float | None) -> Remaining | None:
    """What is left of the limit of which least is left; what the store told since `fresh` counts, too."""
    least, tightest = inf, None
    for share in shares:
        left = share.limit - share.window.total - share.held
        if fresh is not None and share.told_at > fresh:
            left = min(left, share.limit - share.told + share.left)
        if left < least:
            least, tightest = left, share
    if tightest is None:
        return None
    return Remaining(tightest.limit, int(least) if least > 0 else 0, _until_free(tightest, now, fresh))


def _until_free(share: Share, now: float, fresh: float | None) -> float:
    """Seconds until all of a limit is free again, if nobody uses it meanwhile; below 0 when it is.

    What is held counts for a span from now on at least, and what others are known to use, from when that was told.
    """
    seconds = share.window.empty_at() - now
    if share.held and seconds < share.span.seconds:
        seconds = share.span.seconds
    if fresh is not None and share.told_at > fresh and share.told - share.left > share.window.total + share.held:
        seconds = max(seconds, share.told_at + share.span.seconds - now)
    return seconds


def rates_of(scopes: Sequence[Scope], group: str) -> Iterator[Rate]:
    """Every limit in time that holds for a call to a model group, the narrowest scope first."""
    for scope in scopes:
        owner = owner_prefix(scope.kind, scope.id)
        if (of_model := scope.model_limits.get(group)) is not None:
            named = f"for the model '{group}'"
            if of_model.rpm_limit is not None:
                name = f"{owner}model:{group}:rpm"
                yield Rate(name, f"requests per minute {named}", of_model.rpm_limit, MINUTE, False, scope)
            if of_model.tpm_limit is not None:
                name = f"{owner}model:{group}:tpm"
                yield Rate(name, f"tokens per minute {named}", of_model.tpm_limit, MINUTE, True, scope)
        if scope.rpm_limit is not None:
            yield Rate(f"{owner}rpm", "requests per minute", scope.rpm_limit, MINUTE, False, scope)
        if scope.tpm_limit is not None:
            yield Rate(f"{owner}tpm", "tokens per minute", scope.tpm_limit, MINUTE, True, scope)
        if scope.tpd_limit is not None:
            yield Rate(f"{owner}tpd", "tokens per day", scope.tpd_limit, DAY, True, scope)
