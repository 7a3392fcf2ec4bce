"""Holds on budgets and limits, for every scope of a caller at once: all or none.

A worker admits calls against leases (`accounts`): parts of what a budget has left, which the store has set aside for
it. What a call may cost at worst is held before an upstream is asked, and settled to what it cost; so the sum of what
is spent and held never passes a limit, over all workers, whatever happens to them. The one exception is an upstream
that bills more than the output ceiling it was given.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from sekisho.core.accounts import money_account, owner_prefix, parallel_account
from sekisho.core.caller import BudgetWindow, Scope
from sekisho.core.clock import Clock
from sekisho.ledger.accounts import Account
from sekisho.ledger.asks import Ask
from sekisho.ledger.lessor import Lessor
from sekisho.ledger.rates import RateLimits
from sekisho.ledger.refusals import over_budget, over_parallel

_PATIENCE_SECONDS = 2.0
"""How long a call waits for others to settle, or to give back leases, before it is refused."""
_RETRY_SECONDS = 0.1


class Hold:
    """What is set aside for one call.

    ceiling: the most output tokens that the upstream may be asked for; None when the client's own limit stands.
    booked: every account of money that the call is booked on, and whether it is leased; what the journal must be told.
    """

    def __init__(self, ceiling: int | None, booked: dict[str, bool], accounts: list[Account], cost: int) -> None:
        self.ceiling = ceiling
        self.booked = booked
        self._accounts = accounts
        self._cost = cost
        self._used = 0
        self.tokens = 0

    @property
    def overrun(self) -> int:
        """By how much the call cost more than was held for it, in nano-dollars."""
        return max(0, self._used - self._cost)

    def settle(self, tokens: int, cost: int) -> None:
        """State what the call really used: all its tokens, and nano-dollars. The last statement counts."""
        self.tokens, self._used = tokens, cost

    def key_spend(self) -> int | None:
        """What the key has spent of its budget, as far as this worker knows, with this call; None without a budget."""
        for account in self._accounts:
            scope = account.scope
            if scope.kind == "key" and account.name.startswith(f"{owner_prefix(scope.kind, scope.id)}money@"):
                return account.known_spend + self._used
        return None

    def release(self, now: float) -> None:
        """Give the held amounts back and count what was used."""
        for account in self._accounts:
            account.settle(self._cost, self._used, now)


class Ledger:
    """The accounts of all scopes that this worker serves."""

    def __init__(self, clock: Clock, lessor: Lessor, rates: RateLimits, budget_status: int) -> None:
        self._clock = clock
        self._lessor = lessor
        self._rates = rates
        self._accounts: dict[str, Account] = {}
        self._settled = asyncio.Event()
        self.budget_status = budget_status

    def accounts(self) -> Iterable[Account]:
        """All accounts in use."""
        return list(self._accounts.values())

    @asynccontextmanager
    async def reserve(self, scopes: Sequence[Scope], ask: Ask, group: str) -> AsyncIterator[Hold]:
        """Hold one call to a model group in every scope.

        Raises RateLimited or BudgetExceeded, naming the narrowest scope that has no room, or StoreUnavailable when the
        database is away and this worker's leases do not reach; nothing is held then.
        """
        slots = await self._take_slots(scopes)
        try:
            async with self._rates.take(scopes, group, ask.input + ask.output) as rated:
                hold = await self._hold_money(scopes, ask, group)
                try:
                    yield hold
                finally:
                    hold.release(self._clock.monotonic())
                    rated.settle(hold.tokens)
        finally:
            self._free(slots)

    def confirm(self, account: str, amount: int) -> None:
        """The store has booked `amount` of what was used here on an account."""
        if (known := self._accounts.get(account)) is not None:
            known.confirm(amount)

    def forget_idle(self) -> None:
        """Drop the accounts of windows that are over and of scopes that no longer call: nothing is lost by it."""
        for name, account in list(self._accounts.items()):
            if not (account.leased or account.used or account.held):
                del self._accounts[name]

    def lose_leases(self) -> None:
        """The store has given back all that this worker had leased, because it was silent for too long."""
        for account in self._accounts.values():
            account.lose_lease()

    async def _take_slots(self, scopes: Sequence[Scope]) -> list[Account]:
        """One slot of every limit of parallel calls."""
        wanted = [
            self._account(parallel_account(scope.kind, scope.id), scope.max_parallel_requests, scope)
            for scope in scopes
            if scope.max_parallel_requests is not None
        ]
        for account in wanted:
            while account.room < 1:
                before = account.leased
                await self._lessor.refill(account, 1)
                if account.room < 1 and account.leased == before:
                    raise over_parallel(account)
        # Nothing is awaited from here on. What a wait for a later account took from an earlier one is looked at again.
        if any(account.room < 1 for account in wanted):
            return await self._take_slots(scopes)
        for account in wanted:
            account.hold(1, self._clock.monotonic())
        return wanted

    def _free(self, slots: list[Account]) -> None:
        for account in slots:
            account.settle(1, 0, self._clock.monotonic())
        self._settled.set()
        self._settled = asyncio.Event()

    async def _hold_money(self, scopes: Sequence[Scope], ask: Ask, group: str) -> Hold:
        booked, limited = self._money_accounts(scopes, group)
        deadline = self._clock.monotonic() + _PATIENCE_SECONDS
        while True:
            ceiling = await self._reach_for(limited, ask)
            amount = ask.cost(ceiling if ceiling is not None else 0)
            if ceiling is not None and all(account.room >= amount for account in limited):
                return self._set_aside(limited, booked, ask, ceiling, amount)
            await self._wait_for_room(limited, ask.cost(ask.least_output), deadline)

    async def _reach_for(self, limited: list[Account], ask: Ask) -> int | None:
        """The output ceiling that the tightest account allows, after getting leases for it where they lack."""
        unknown = [account for account in limited if account.left is None]
        for account in unknown:
            await self._lessor.refill(account, ask.generous_cost)
        ceiling = ask.fit(_least_reach(limited))
        amount = ask.cost(ask.least_output if ceiling is None else ceiling)
        short = [account for account in limited if account.room < amount]
        for account in short:
            await self._lessor.refill(account, amount - account.room)
        return ask.fit(_least_reach(limited)) if short else ceiling

    async def _wait_for_room(self, limited: list[Account], least: int, deadline: float) -> None:
        """Wait for a call to settle or a lease to come back. Raises BudgetExceeded when that cannot help, or no longer.

        Only money that calls under way hold, or that other workers have leased, can become free.
        """
        for account in limited:
            spent_for_good = account.limit - account.known_spend < least
            if spent_for_good or (account.room < least and self._clock.monotonic() >= deadline):
                raise over_budget(account, least, self.budget_status)
        settled = self._settled
        try:
            async with asyncio.timeout(_RETRY_SECONDS):
                await settled.wait()
        except TimeoutError:
            return

    def _set_aside(self, limited: list[Account], booked: dict[str, bool], ask: Ask, ceiling: int, amount: int) -> Hold:
        now = self._clock.monotonic()
        for account in limited:
            account.hold(amount, now)
        return Hold(ceiling if ceiling < ask.ceiling else None, booked, limited, amount)

    def _money_accounts(self, scopes: Sequence[Scope], group: str) -> tuple[dict[str, bool], list[Account]]:
        """Every account that the call is booked on, and those of them that have a limit; narrowest scope first."""
        now = self._clock.now()
        booked: dict[str, bool] = {}
        limited: list[Account] = []

        def book(scope: Scope, windows: Sequence[BudgetWindow], model: str | None) -> None:
            booked.setdefault(money_account(scope.kind, scope.id, None, now, model), False)
            for window in windows:
                name = money_account(scope.kind, scope.id, window, now, model)
                booked[name] = True
                limited.append(self._account(name, window.limit, scope))

        for scope in scopes:
            if (of_model := scope.model_limits.get(group)) is not None:
                book(scope, of_model.budgets, group)
            book(scope, scope.budgets, None)
        return booked, limited

    def _account(self, name: str, limit: int, scope: Scope) -> Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = Account(name, limit, scope, self._clock.monotonic())
        elif account.limit != limit:  # an administrator has changed it: what is leased beyond it is of no use now
            if account.left is not None:
                account.left += limit - account.limit
            account.limit = limit
        account.scope = scope
        return account


def _least_reach(accounts: Sequence[Account]) -> int | None:
    """What the tightest account could give to one call; None when there is none, or nothing is known of any yet."""
    reaches = [reach for account in accounts if (reach := account.reach) is not None]
    return min(reaches) if reaches else None
