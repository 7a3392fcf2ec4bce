"""Holds on budgets and limits, for every scope of a caller at once: all or none.

A worker admits calls against leases (`accounts`): parts of what a budget has left, which the store has set aside for
it. What a call may cost at worst is held before an upstream is asked, and settled to what it cost; so the sum of what
is spent and held never passes a limit, over all workers, whatever happens to them. The one exception is an upstream
that bills more than the output ceiling it was given.
"""

import asyncio
from collections.abc import Iterable, Sequence
from math import inf

from msgspec import Struct

from sekisho.core.accounts import is_of_model, money_account, owner_prefix, parallel_account, window_end
from sekisho.core.caller import BudgetWindow, Scope
from sekisho.core.clock import Clock
from sekisho.core.errors import StoreUnavailable
from sekisho.ledger.accounts import Account
from sekisho.ledger.asks import Ask
from sekisho.ledger.lessor import Lessor
from sekisho.ledger.plans import Plans
from sekisho.ledger.rates import Part, RateLimits
from sekisho.ledger.refusals import over_budget, over_parallel

_PATIENCE_SECONDS = 2.0
"""How long a call waits for others to settle, or to give back leases, before it is refused."""
_RETRY_SECONDS = 0.1
_CUT_OFF = "The database has been away for so long that budgets cannot be vouched for; try again in a moment."


class Hold:
    """What is set aside for one call.

    ceiling: the most output tokens that the upstream may be asked for; None when the client's own limit stands.
    booked: every account of money that the call is booked on, and whether it is leased; what the journal must be told.
    group: the model group that it is for.
    slots, rated: what it has of limits of parallel calls, and of limits of tokens in time.
    """

    def __init__(
        self, ceiling: int | None, booked: dict[str, bool], accounts: list[Account], cost: int, group: str
    ) -> None:
        self.ceiling = ceiling
        self.booked = booked
        self.group = group
        self.slots: Sequence[Account] = ()
        self.rated: Sequence[Part] = ()
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

    def move(self, group: str, booked: dict[str, bool], accounts: list[Account], now: float) -> None:
        """Hold these accounts of a model group in place of those of the one before."""
        for account in accounts:
            account.hold(self._cost, now)
        for account in self._accounts:
            if is_of_model(account.name):
                account.settle(self._cost, 0, now)
        self._accounts = [*(each for each in self._accounts if not is_of_model(each.name)), *accounts]
        kept = {name: leased for name, leased in self.booked.items() if not is_of_model(name)}
        self.booked, self.group = kept | booked, group

    @property
    def cost(self) -> int:
        """Nano-dollars that are set aside."""
        return self._cost

    def release(self, now: float) -> None:
        """Give the held amounts back and count what was used."""
        for account in self._accounts:
            account.settle(self._cost, self._used, now)


class _Money(Struct):
    """The accounts of one call to a model group, the narrowest scope first.

    booked: by name, every account that it is booked on, and whether it is leased. limited: those with a limit.
    since, until: when the windows are open that they are of, as far as is known, in seconds since the epoch.
    """

    booked: dict[str, bool]
    limited: list[Account]
    since: float
    until: float = inf


class Ledger:
    """The accounts of all scopes that this worker serves."""

    def __init__(self, clock: Clock, lessor: Lessor, rates: RateLimits, budget_status: int) -> None:
        self._clock = clock
        self._lessor = lessor
        self._rates = rates
        self._accounts: dict[str, Account] = {}
        self._plans = Plans(self._plan_money)
        self._settled: asyncio.Event | None = None
        """Set as soon as a call is over; there when one waits for that."""
        self.budget_status = budget_status

    def accounts(self) -> Iterable[Account]:
        """All accounts in use."""
        return list(self._accounts.values())

    async def hold(self, scopes: Sequence[Scope], ask: Ask, group: str) -> Hold:
        """Hold one call to a model group in every scope, until `end`.

        Raises RateLimited or BudgetExceeded, naming the narrowest scope that has no room, or StoreUnavailable when the
        database is away and this worker's leases do not reach, or are too old; nothing is held then.
        """
        slots, rated = await self._take_slots(scopes), list[Part]()
        try:
            rated = await self._rates.take(scopes, group, ask.input + ask.output)
            hold = await self._hold_money(scopes, ask, group)
        except BaseException:
            self._rates.settle(rated, 0)
            self._free(slots)
            raise
        hold.slots, hold.rated = slots, rated
        return hold

    def end(self, hold: Hold) -> None:
        """The call is over: what it has used is counted, and the rest of what was held is given back."""
        hold.release(self._clock.monotonic())
        self._rates.settle(hold.rated, hold.tokens)
        self._free(hold.slots)

    async def move(self, hold: Hold, scopes: Sequence[Scope], group: str) -> None:
        """Let a held call go on to another model group: what scopes may spend on that model is held in its place.

        Raises BudgetExceeded when one of them may not spend so much on it, or StoreUnavailable: nothing has changed.
        """
        if group == hold.group or not any(scope.model_limits for scope in scopes):
            return
        money = self._plan_money(scopes, group, only_models=True)
        limited = money.limited
        if limited and not self._lessor.may_spend:
            raise StoreUnavailable(_CUT_OFF)
        for account in limited:
            if account.room < hold.cost:
                await self._lessor.refill(account, hold.cost - account.room)
        for account in limited:
            if account.room < hold.cost:
                raise over_budget(account, hold.cost, self.budget_status)
        hold.move(group, money.booked, limited, self._clock.monotonic())

    def confirm(self, account: str, amount: int) -> None:
        """The store has booked `amount` of what was used here on an account."""
        if (known := self._accounts.get(account)) is not None:
            known.confirm(amount)

    def forget_idle(self) -> None:
        """Drop the accounts of windows that are over and of scopes that no longer call: nothing is lost by it."""
        for name, account in list(self._accounts.items()):
            if not (account.leased or account.used or account.held):
                del self._accounts[name]
        self._plans.forget()

    def lose_leases(self) -> None:
        """The store has given back all that this worker had leased, because it was silent for too long."""
        for account in self._accounts.values():
            account.lose_lease()
        self._lessor.doubt()

    async def _take_slots(self, scopes: Sequence[Scope]) -> list[Account]:
        """One slot of every limit of parallel calls."""
        wanted = [
            self._account(parallel_account(scope.kind, scope.id), scope.max_parallel_requests, scope)
            for scope in scopes
            if scope.max_parallel_requests is not None
        ]
        if not wanted:
            return wanted
        for account in wanted:
            await self._get_slot(account)
        # Nothing is awaited from here on. What a wait for a later account took from an earlier one is looked at again.
        if not all(self._has_slot(account) for account in wanted):
            return await self._take_slots(scopes)
        for account in wanted:
            account.hold(1, self._clock.monotonic())
        return wanted

    async def _get_slot(self, account: Account) -> None:
        """See to it that there is a slot, waiting for others to give theirs back if they have some."""
        deadline = self._clock.monotonic() + _PATIENCE_SECONDS
        while not self._has_slot(account):
            before = account.leased
            try:
                await self._lessor.refill(account, 1)
            except StoreUnavailable:
                if not self._has_slot(account):
                    raise
            if not self._has_slot(account) and account.leased == before:
                if not account.is_leased_elsewhere or self._clock.monotonic() >= deadline:
                    raise over_parallel(account)
                await self._wait_a_moment()

    def _has_slot(self, account: Account) -> bool:
        """Whether one more call may run; while the database is away, also in this worker's even share of the limit."""
        if account.room >= 1:
            return True
        share = account.limit // self._lessor.workers or 1
        return self._lessor.is_away and account.held < min(share, account.limit)

    def _free(self, slots: Sequence[Account]) -> None:
        for account in slots:
            account.settle(1, 0, self._clock.monotonic())
        if self._settled is not None:
            self._settled.set()
            self._settled = None

    async def _hold_money(self, scopes: Sequence[Scope], ask: Ask, group: str) -> Hold:
        money = self._pay_from(scopes, group)
        limited = money.limited
        room, amount = min((account.room for account in limited), default=None), ask.cost(ask.ceiling)
        if (room is None or (room >= amount and self._lessor.may_spend)) and ask.fit(room) == ask.ceiling:
            return self._set_aside(money, ask, ask.ceiling, amount, group)
        deadline = self._clock.monotonic() + _PATIENCE_SECONDS
        while True:
            ceiling = await self._reach_for(limited, ask)
            amount = ask.cost(ceiling if ceiling is not None else 0)
            if ceiling is not None and all(account.room >= amount for account in limited):
                return self._set_aside(money, ask, ceiling, amount, group)
            await self._wait_for_room(limited, ask.cost(ask.least_output), deadline)

    async def _reach_for(self, limited: list[Account], ask: Ask) -> int | None:
        """The output ceiling that the tightest account allows; while the database is away, what is leased of it.

        Raises StoreUnavailable when nothing of use is leased, or when what is leased may be others' by now.
        """
        if limited and not self._lessor.may_spend:
            raise StoreUnavailable(_CUT_OFF)
        try:
            return await self._get_leases(limited, ask)
        except StoreUnavailable:
            ceiling = ask.fit(min(account.room for account in limited))
            if ceiling is None:
                raise
            return ceiling

    async def _get_leases(self, limited: list[Account], ask: Ask) -> int | None:
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
        await self._wait_a_moment()

    async def _wait_a_moment(self) -> None:
        """Wait until a call is over, but not for long."""
        if self._settled is None:
            self._settled = asyncio.Event()
        settled = self._settled
        try:
            async with asyncio.timeout(_RETRY_SECONDS):
                await settled.wait()
        except TimeoutError:
            return

    def _set_aside(self, money: _Money, ask: Ask, ceiling: int, amount: int, group: str) -> Hold:
        now = self._clock.monotonic()
        for account in money.limited:
            account.hold(amount, now)
        return Hold(ceiling if ceiling < ask.ceiling else None, money.booked, money.limited, amount, group)

    def _pay_from(self, scopes: Sequence[Scope], group: str) -> _Money:
        """The accounts for a call to the model group, in the windows that are open now."""
        now, money = self._clock.now(), self._plans.get(scopes, group)
        return money if money.since <= now < money.until else self._plans.renew(scopes, group)

    def _plan_money(self, scopes: Sequence[Scope], group: str, *, only_models: bool = False) -> _Money:
        """All accounts of a call to the model group; with `only_models` those of the group within the scopes."""
        now = self._clock.now()
        money = _Money({}, [], now)

        def book(scope: Scope, windows: Sequence[BudgetWindow], model: str | None, *, limited: bool = True) -> None:
            for window in windows:
                name = money_account(scope.kind, scope.id, window, now, model)
                money.until = min(money.until, window_end(window, now) or inf)
                if limited:
                    money.booked[name] = True
                    money.limited.append(self._account(name, window.limit, scope))
                else:
                    money.booked.setdefault(name, False)

        for scope in scopes:
            if (of_model := scope.model_limits.get(group)) is not None:
                money.booked.setdefault(money_account(scope.kind, scope.id, None, now, group), False)
                book(scope, of_model.budgets, group)
            if not only_models:
                money.booked.setdefault(money_account(scope.kind, scope.id, None, now), False)
                book(scope, scope.budgets, None)
                book(scope, scope.counted, None, limited=False)
        return money

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
