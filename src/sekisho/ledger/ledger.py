"""Holds on budgets and rate limits, for every scope of a caller at once: all or none.

This ledger knows one process. What it counts is exact, what it holds is an estimate: calls that use more than they held
can pass a budget together. A scope's spend is what the store last said plus what was settled here and is
not yet durable; what is held for calls under way counts as spent until they settle.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sekisho.core.caller import Scope
from sekisho.core.clock import Clock
from sekisho.core.errors import BudgetExceeded, RateLimited
from sekisho.core.money import dollars_from_nano
from sekisho.ledger.windows import SlidingWindow


class ScopeAccount:
    """The running figures of one scope: money in nano-dollars, and the last minute's requests and tokens."""

    __slots__ = (
        "base",
        "held_cost",
        "held_tokens",
        "parallel",
        "pending",
        "requests",
        "scope",
        "tokens",
        "window_opened",
    )

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.base = scope.spend
        self.window_opened = False
        self.pending = 0
        self.held_cost = 0
        self.held_tokens = 0
        self.parallel = 0
        self.requests = SlidingWindow()
        self.tokens = SlidingWindow()

    @property
    def spend(self) -> int:
        """What the scope has spent in its budget window."""
        return self.base + self.pending

    def adopt(self, scope: Scope) -> None:
        """Take a freshly read record: its limits, and its spend in place of the one known before."""
        if scope is not self.scope:
            self.scope = scope
            self.base = scope.spend
            self.window_opened = False

    def open_window(self, now: float) -> None:
        """Forget the spend of a budget window that is over at the wall-clock time `now`.

        The store does the same with its figures; the fresh record that follows carries the next window's end.
        """
        over = self.scope.budget_reset_at is not None and now >= self.scope.budget_reset_at
        if over and not self.window_opened:
            self.base = -self.pending
            self.window_opened = True


class Hold:
    """What is set aside for one call. Leaving the reservation settles it, or releases it if nothing was settled."""

    def __init__(self, accounts: Sequence[ScopeAccount], tokens: int, cost: int) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._cost = cost
        self._settled: tuple[int, int] | None = None

    def settle(self, tokens: int, cost: int) -> None:
        """State what the call really used: all its tokens, and nano-dollars. The last statement counts."""
        self._settled = (tokens, cost)

    def key_spend(self) -> int | None:
        """The spend of the narrowest scope with this call settled into it; None for a caller without scopes."""
        if not self._accounts:
            return None
        return self._accounts[0].spend + (self._settled[1] if self._settled else 0)

    def close(self, now: float) -> None:
        """Give the held amounts back and book what was settled."""
        tokens, cost = self._settled or (0, 0)
        for account in self._accounts:
            account.parallel -= 1
            account.held_tokens -= self._tokens
            account.held_cost -= self._cost
            account.pending += cost
            account.tokens.add(now, tokens)


class Ledger:
    """The accounts of all scopes seen by this process."""

    def __init__(self, clock: Clock, budget_status: int) -> None:
        self._clock = clock
        self._accounts: dict[tuple[str, str], ScopeAccount] = {}
        self.budget_status = budget_status

    @asynccontextmanager
    async def reserve(self, scopes: Sequence[Scope], tokens: int, cost: int) -> AsyncIterator[Hold]:
        """Hold one request, `tokens` and `cost` (nano-dollars) in every scope.

        Raises RateLimited or BudgetExceeded, naming the narrowest scope that has no room; nothing is held then.
        """
        now = self._clock.monotonic()
        accounts = [self._account(scope) for scope in scopes]
        for account in accounts:
            self._refuse_if_spent(account, cost)
            self._refuse_if_limited(account, now, tokens)
        for account in accounts:
            account.parallel += 1
            account.requests.add(now, 1)
            account.held_tokens += tokens
            account.held_cost += cost
        hold = Hold(accounts, tokens, cost)
        try:
            yield hold
        finally:
            hold.close(self._clock.monotonic())

    def confirm(self, kind: str, scope_id: str, cost: int) -> None:
        """A settled amount (nano-dollars) is now part of what the store says."""
        account = self._accounts.get((kind, scope_id))
        if account is not None:
            account.pending -= cost
            account.base += cost

    def remaining(self, scope: Scope) -> tuple[int | None, int | None]:
        """Requests and tokens left in this minute; None where there is no limit."""
        account, now = self._account(scope), self._clock.monotonic()
        requests = None if scope.rpm_limit is None else max(0, scope.rpm_limit - account.requests.used(now))
        if scope.tpm_limit is None:
            return requests, None
        return requests, max(0, scope.tpm_limit - account.tokens.used(now) - account.held_tokens)

    def _account(self, scope: Scope) -> ScopeAccount:
        key = (scope.kind, scope.id)
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = ScopeAccount(scope)
        else:
            account.adopt(scope)
        account.open_window(self._clock.now())
        return account

    def _refuse_if_spent(self, account: ScopeAccount, cost: int) -> None:
        scope = account.scope
        if scope.max_budget is None or account.spend + account.held_cost + cost <= scope.max_budget:
            return
        spent, budget = dollars_from_nano(account.spend), dollars_from_nano(scope.max_budget)
        message = f"The budget of {_name(scope)} is used up: ${spent:.6f} of ${budget:.6f} spent"
        if account.spend < scope.max_budget:
            held = dollars_from_nano(account.held_cost)
            message += f", ${held:.6f} held for calls under way, and this call is expected to cost "
            message += f"${dollars_from_nano(cost):.6f}"
        raise BudgetExceeded(f"{message}. Ask your administrator for a larger budget.", status=self.budget_status)

    def _refuse_if_limited(self, account: ScopeAccount, now: float, tokens: int) -> None:
        scope = account.scope
        if scope.max_parallel_requests is not None and account.parallel >= scope.max_parallel_requests:
            raise _limited(scope, "parallel requests", scope.max_parallel_requests, account.parallel, 1.0)
        if scope.rpm_limit is not None:
            used = account.requests.used(now)
            if used + 1 > scope.rpm_limit:
                wait = account.requests.seconds_until(now, scope.rpm_limit - 1)
                raise _limited(scope, "requests per minute", scope.rpm_limit, used, wait)
        if scope.tpm_limit is not None:
            used = account.tokens.used(now) + account.held_tokens
            if used > 0 and used + tokens > scope.tpm_limit:
                wait = account.tokens.seconds_until(now, max(0, scope.tpm_limit - tokens - account.held_tokens))
                raise _limited(scope, "tokens per minute", scope.tpm_limit, used, wait)


def _limited(scope: Scope, what: str, limit: int, used: int, wait: float) -> RateLimited:
    """The refusal for a limit; a wait is at least one second, since Retry-After counts whole seconds."""
    seconds = max(1.0, wait)
    return RateLimited(
        f"Rate limit of {_name(scope)} reached: {used} of {limit} {what}. Try again in {seconds:.0f} s.",
        retry_after=seconds,
    )


def _name(scope: Scope) -> str:
    """How a scope is called in a message: never by a key's hash."""
    if scope.kind == "key":
        return f"key '{scope.alias}'" if scope.alias else "this key"
    return f"{scope.kind} '{scope.alias or scope.id}'"
