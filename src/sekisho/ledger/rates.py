"""Limits of requests and tokens in time: per minute and per day, of a scope and of a model within a scope.

A worker that is alone counts in its own memory. Where several serve the same callers, each uses only its `shares`, so
that all together never pass a limit. Tokens count as they are expected while a call is under way, and then as they
were.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

from msgspec import Struct

from sekisho.core.accounts import owner_prefix
from sekisho.core.caller import Scope
from sekisho.core.clock import Clock
from sekisho.core.errors import RateLimited, StoreUnavailable
from sekisho.core.escrow import Grants, Span
from sekisho.ledger.refusals import over_rate
from sekisho.ledger.shares import Need, Renewal, Share
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


class Rated:
    """One call's place in all limits. `settle` says how many tokens it used in the end."""

    def __init__(self) -> None:
        self.tokens = 0

    def settle(self, tokens: int) -> None:
        """State the tokens of the call, all of them."""
        self.tokens = tokens


class Remaining(Struct, frozen=True):
    """What a caller may still do, for the response headers: of the tightest limit. Seconds until all is free again."""

    limit: int
    remaining: int
    reset: float


class _Part(Struct, frozen=True):
    """What one call takes of one limit."""

    rate: Rate
    share: Share
    amount: int


class _Taken(Struct, frozen=True):
    """A part that was taken, and the stamp that says where from."""

    part: _Part
    stamp: int


class RateLimits:
    """All limits in time of one worker; without `grants` it must be the only one."""

    def __init__(self, clock: Clock, grants: Grants | None = None) -> None:
        self._clock = clock
        self._renewal = None if grants is None else Renewal(grants, clock)
        self._shares: dict[str, Share] = {}

    @asynccontextmanager
    async def take(self, scopes: Sequence[Scope], group: str, tokens: int) -> AsyncIterator[Rated]:
        """Count one call of so many expected tokens.

        Raises RateLimited, naming the narrowest scope, or StoreUnavailable when this worker's shares do not reach and
        the database is away; then nothing counts.
        """
        parts = [_Part(rate, self._share(rate), tokens if rate.tokens else 1) for rate in rates_of(scopes, group)]
        taken = await self._take_all(parts)
        now = self._clock.monotonic()
        for each in taken:
            if not each.part.rate.tokens:
                self._settle(each, each.part.amount, now)
        rated = Rated()
        try:
            yield rated
        finally:
            now = self._clock.monotonic()
            for each in taken:
                if each.part.rate.tokens:
                    self._settle(each, rated.tokens, now)

    def remaining(self, scopes: Sequence[Scope], group: str, *, tokens: bool) -> Remaining | None:
        """The tightest limit of requests, or of tokens, per minute."""
        now = self._clock.monotonic()
        found: list[Remaining] = []
        for rate in rates_of(scopes, group):
            if rate.tokens == tokens and rate.span is MINUTE:
                share = self._share(rate)
                used = share.used(now)
                if now - share.told_at < _FRESH_SECONDS:
                    used = max(used, share.told - share.left)
                reset = share.window.seconds_until(now, 0)
                found.append(Remaining(rate.limit, max(0, rate.limit - used), reset))
        return min(found, key=lambda each: each.remaining, default=None)

    async def run(self) -> None:
        """Keep the shares as they are needed, for ever; ends at once where there is nobody to share with."""
        if self._renewal is not None:
            await self._renewal.run(lambda: list(self._shares.values()))

    def forget_idle(self) -> None:
        """Drop the limits that nothing was counted in lately: nothing is lost by it."""
        now = self._clock.monotonic()
        self._shares = {name: share for name, share in self._shares.items() if not share.is_idle(now)}

    def _share(self, rate: Rate) -> Share:
        share = self._shares.get(rate.name)
        if share is None:
            share = self._shares[rate.name] = Share(rate.name, rate.limit, rate.span, alone=rate.tokens)
        share.limit, share.last_use = rate.limit, self._clock.monotonic()
        return share

    def _admits(self, part: _Part, now: float) -> bool:
        if self._renewal is not None:
            return part.share.admits(part.amount, now)
        used = part.share.used(now)
        return used + part.amount <= part.rate.limit or (part.share.alone and used == 0)

    async def _take_all(self, parts: Sequence[_Part]) -> list[_Taken]:
        """Take every part, or none. What is there is taken at once, so that it is there when the rest has come."""
        taken: list[_Taken] = []
        try:
            short = self._take_what_is_there(parts, taken)
            while short:
                short = await self._get_more(short, taken)
        except BaseException:
            now = self._clock.monotonic()
            for each in taken:
                self._settle(each, 0, now)
            raise
        return taken

    def _take_what_is_there(self, parts: Sequence[_Part], taken: list[_Taken]) -> list[_Part]:
        """Take what can be had without asking anybody; returns the rest."""
        now = self._clock.monotonic()
        short: list[_Part] = []
        for part in parts:
            if self._admits(part, now):
                self._hold(part, 0 if self._renewal is None else part.share.use(part.amount, now), taken)
            else:
                short.append(part)
        return short

    async def _get_more(self, short: Sequence[_Part], taken: list[_Taken]) -> list[_Part]:
        """Ask the store for what a call lacks, and take it; returns what others were faster to get.

        Raises the refusal of the narrowest limit that has no room.
        """
        if self._renewal is None:
            raise self._refuse(short[0])
        try:
            answers = await self._renewal.refill([Need(part.share, part.amount) for part in short])
        except StoreUnavailable:
            if self._take_what_is_there(short, taken):
                raise
            return []
        refusals: list[RateLimited] = []
        rest: list[_Part] = []
        for part, answer in zip(short, answers, strict=True):
            if isinstance(answer, int):
                self._hold(part, answer, taken)
            elif answer.amount:
                rest.append(part)
            else:
                refusals.append(over_rate(part.rate.scope, part.rate.what, part.rate.limit, answer.used, answer.wait))
        if refusals:
            raise refusals[0]
        return rest

    def _refuse(self, part: _Part) -> RateLimited:
        now, rate = self._clock.monotonic(), part.rate
        room = max(0, rate.limit - part.amount - part.share.held)
        wait = part.share.window.seconds_until(now, room)
        return over_rate(rate.scope, rate.what, rate.limit, part.share.used(now), wait)

    def _hold(self, part: _Part, stamp: int, taken: list[_Taken]) -> None:
        """Count a part as under way."""
        part.share.held += part.amount
        taken.append(_Taken(part, stamp))

    def _settle(self, taken: _Taken, used: int, now: float) -> None:
        """Count what was used of a part in the end."""
        share, less = taken.part.share, taken.part.amount - used
        share.held -= taken.part.amount
        share.window.add(now, used)
        if self._renewal is not None and less:
            share.correct(taken.stamp, less, now)


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
