"""Holds on budgets and limits, for every scope of a caller at once: all or none.

A worker admits calls against leases (`accounts`): parts of what a budget has left, which the store has set aside for
it. What a call may cost at worst is held before an upstream is asked, and settled to what it cost; so the sum of what
is spent and held never passes a limit, over all workers, whatever happens to them. The one exception is an upstream
that bills more than the output ceiling it was given.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from math import inf

from sekisho.core.accounts import money_account, parallel_account, window_end
from sekisho.core.caller import BudgetWindow, Scope
from sekisho.core.clock import Clock
from sekisho.core.errors import AccessDenied, RateLimited, Refusal, StoreUnavailable
from sekisho.core.escrow import LEASE_SECONDS
from sekisho.ledger.accounts import Account
from sekisho.ledger.asks import SHARE, Ask
from sekisho.ledger.holds import Hold, Money
from sekisho.ledger.lessor import Lessor
from sekisho.ledger.plans import Plans
from sekisho.ledger.rates import RateLimits, Taken
from sekisho.ledger.refusals import over_budget, over_parallel

_PATIENCE_SECONDS = 2.0
"""How long a call waits for others to settle, or to give back leases, before it is refused."""
_RETRY_SECONDS = 0.1
_FORGET_SECONDS = 60.0
"""How long an account is kept that has nothing leased."""
_AHEAD_SECONDS = LEASE_SECONDS + 120.0
"""How long before a window begins something of it is leased; looked at once a minute."""
_AT_ONCE = 100
"""Plans that are made before others have their turn."""
_CUT_OFF = "The database has been away for so long that budgets cannot be vouched for; try again in a moment."


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

    def accounts(self) -> Mapping[str, Account]:
        """All accounts in use, by name."""
        return self._accounts

    async def hold(self, scopes: Sequence[Scope], ask: Ask, group: str) -> Hold:
        """Hold one call to a model group in every scope, until `end`.

        Raises RateLimited, AccessDenied (where a limit is 0) or BudgetExceeded, naming the narrowest scope that has no
        room, or StoreUnavailable when the database is away and this worker's leases do not reach, or are too old;
        nothing is held then.
        """
        return self.hold_at_once(scopes, ask, group) or await self._hold_in_turn(scopes, ask, group)

    def hold_at_once(self, scopes: Sequence[Scope], ask: Ask, group: str) -> Hold | None:
        """As `hold`, where nobody has to be waited for or asked: the usual case. None otherwise; nothing is held then.

        The whole cost at worst is leased then, and is a small part of what is.
        """
        money = self._pay_from(scopes, group)
        if money.slots:
            return None
        cost, room, limited, now = ask.cost(ask.ceiling), inf, money.limited, self._clock.monotonic()
        for account in limited:
            left = account.leased - account.used - account.held
            if left < room:
                room = left
            if account.left is None or account.left < 0:
                return None
        if room < SHARE * cost and (room < cost or ask.fit(int(room)) != ask.ceiling):
            return None
        if limited and now >= self._lessor.trusted_until:
            return None
        rated = self._rates.take_at_once(scopes, group, ask.input + ask.output)
        if rated is None:
            return None
        for account in limited:
            account.held += cost
            account.last_use = now
        return Hold(group, money.booked, limited, money.of_key, cost, None, rated)

    def end(self, hold: Hold) -> None:
        """The call is over: what it has used is counted, and the rest of what was held is given back."""
        hold.release(self._clock.monotonic())
        self._rates.settle(hold.rated, hold.tokens)
        if self._settled is not None:
            self._tell_settled(self._settled)

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
        if short := [(account, hold.cost - account.room) for account in limited if account.room < hold.cost]:
            await self._lessor.refill(short)
        for account in limited:
            if account.room < hold.cost:
                raise over_budget(account, hold.cost, self.budget_status)
        hold.move(group, money, self._clock.monotonic())

    def confirm(self, account: str, amount: int) -> None:
        """The store has booked `amount` of what was used here on an account."""
        if (known := self._accounts.get(account)) is not None:
            known.confirm(amount)

    def forget_idle(self) -> None:
        """Drop the accounts of windows that are over and of scopes that no longer call: nothing is lost by it."""
        since = self._clock.monotonic() - _FORGET_SECONDS  # one that is just made may be waiting for its first lease
        idle = [
            name
            for name, account in self._accounts.items()
            if not (account.leased or account.used or account.held) and account.last_use <= since
        ]
        for name in idle:
            del self._accounts[name]
        if idle:
            self._plans.forget()

    async def lease_ahead(self) -> None:
        """Lease something of windows that begin soon, for those who call: the database may be away when they begin.

        A worker that is cut off spends for `LEASE_SECONDS`, so that this is early enough. Raises StoreUnavailable.
        """
        now = self._clock.now()
        ending = [
            plan for plan in self._plans.items() if not plan[2].ahead and now < plan[2].until <= now + _AHEAD_SECONDS
        ]
        for start in range(0, len(ending), _AT_ONCE):
            some = ending[start : start + _AT_ONCE]
            later = [self._plan_money(scopes, group, at=money.until) for scopes, group, money in some]
            unknown = {account.name: account for each in later for account in each.limited if account.left is None}
            if unknown:
                await self._lessor.refill([(account, 1) for account in unknown.values()])
            for _, _, money in some:
                money.ahead = True
            await asyncio.sleep(0)

    def lose_leases(self) -> None:
        """The store has given back all that this worker had leased, because it was silent for too long."""
        for account in self._accounts.values():
            account.lose_lease()
        self._lessor.doubt()

    async def _hold_in_turn(self, scopes: Sequence[Scope], ask: Ask, group: str) -> Hold:
        """Hold a call that may have to wait for a slot, for leases, or for other calls to settle."""
        slots: list[Account] = []
        rated: Taken | None = None
        try:
            slots = await self._take_slots(scopes, group)
            rated = await self._rates.take(scopes, group, ask.input + ask.output)
            hold = await self._hold_money(self._pay_from(scopes, group), ask, group, rated)
        except BaseException as error:
            if rated is not None:
                self._rates.settle(rated, 0)
            self._free(slots)
            if isinstance(error, RateLimited | AccessDenied):
                raise await self._find_narrowest(error, scopes, ask, group) from error.__cause__
            raise
        hold.slots = slots
        return hold

    async def _find_narrowest(self, refusal: Refusal, scopes: Sequence[Scope], ask: Ask, group: str) -> Refusal:
        """What is told of a call that a limit in time refuses: that, unless a narrower scope has no room for it either.

        Limits are not asked in the order of the scopes: those of parallel calls first, those of money last.
        """
        narrower = _narrower_than(refusal.scope, scopes)
        if (rate := self._rates.find_refusal(narrower, group, ask.input + ask.output)) is not None:
            refusal, narrower = rate, _narrower_than(rate.scope, scopes)
        least = ask.cost(ask.least_output)
        for account in self._plan_money(narrower, group).limited:
            if account.left is None:
                with suppress(StoreUnavailable):
                    await self._lessor.refill([(account, ask.generous_cost)])
            if account.limit - account.known_spend < least:
                return over_budget(account, least, self.budget_status)
        return refusal

    async def _take_slots(self, scopes: Sequence[Scope], group: str) -> list[Account]:
        """One slot of every limit of parallel calls."""
        wanted = self._pay_from(scopes, group).slots
        for account in wanted:
            await self._get_slot(account)
        # Nothing is awaited from here on. What a wait for a later account took from an earlier one is looked at again.
        if not all(self._has_slot(account) for account in wanted):
            return await self._take_slots(scopes, group)
        for account in wanted:
            account.hold(1, self._clock.monotonic())
        return wanted

    async def _get_slot(self, account: Account) -> None:
        """See to it that there is a slot, waiting for others to give theirs back if they have some."""
        deadline = self._clock.monotonic() + _PATIENCE_SECONDS
        while not self._has_slot(account):
            before = account.leased
            try:
                await self._lessor.refill([(account, 1)])
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
            self._tell_settled(self._settled)

    def _tell_settled(self, settled: asyncio.Event) -> None:
        """Have those who wait for that look again."""
        settled.set()
        self._settled = None

    async def _hold_money(self, money: Money, ask: Ask, group: str, rated: Taken) -> Hold:
        limited, deadline = money.limited, self._clock.monotonic() + _PATIENCE_SECONDS
        while True:
            ceiling = await self._reach_for(limited, ask)
            cost = ask.cost(ceiling if ceiling is not None else 0)
            if ceiling is not None and all(account.room >= cost for account in limited):
                break
            await self._wait_for_room(limited, ask.cost(ask.least_output), deadline)
        now = self._clock.monotonic()
        for account in limited:
            account.hold(cost, now)
        cut = ceiling if ceiling < ask.ceiling else None
        return Hold(group, money.booked, limited, money.of_key, cost, cut, rated)

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
        if unknown := [(account, ask.generous_cost) for account in limited if account.left is None]:
            await self._lessor.refill(unknown)
        ceiling = ask.fit(_least_reach(limited))
        amount = ask.cost(ask.least_output if ceiling is None else ceiling)
        if short := [(account, amount - account.room) for account in limited if account.room < amount]:
            await self._lessor.refill(short)
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

    def _pay_from(self, scopes: Sequence[Scope], group: str) -> Money:
        """The accounts for a call to the model group, in the windows that are open now."""
        now, money = self._clock.now(), self._plans.get(scopes, group)
        return money if money.since <= now < money.until else self._plans.renew(scopes, group)

    def _plan_money(
        self, scopes: Sequence[Scope], group: str, *, at: float | None = None, only_models: bool = False
    ) -> Money:
        """All accounts of a call to the model group; with `only_models` those of the group within the scopes.

        `at`: the time of the call, in seconds since the epoch, if it is not now.
        """
        now = self._clock.now() if at is None else at
        money = Money({}, [], [], now)

        def book(scope: Scope, windows: Sequence[BudgetWindow], model: str | None, *, limited: bool = True) -> None:
            for window in windows:
                name = money_account(scope.kind, scope.id, window, now, model)
                money.until = min(money.until, window_end(window, now) or inf)
                if limited:
                    money.booked[name] = True
                    account = self._account(name, window.limit, scope)
                    money.limited.append(account)
                    if scope.kind == "key" and model is None and money.of_key is None:
                        money.of_key = account
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
                if (most := scope.max_parallel_requests) is not None:
                    money.slots.append(self._account(parallel_account(scope.kind, scope.id), most, scope))
        return money

    def _account(self, name: str, limit: int, scope: Scope) -> Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = Account(name, limit, scope, self._clock.monotonic())
        elif account.limit != limit:  # an administrator has changed it: what is leased beyond it is of no use now
            if account.left is not None:
                account.left += limit - account.limit
            account.limit = limit
            self._plans.forget()  # a call that came before the change may have set what was the limit then
        account.scope = scope
        return account


def _narrower_than(one: Scope | None, scopes: Sequence[Scope]) -> Sequence[Scope]:
    """Those of the scopes that come before one."""
    if one is None:
        return ()
    return list(takewhile(lambda scope: (scope.kind, scope.id) != (one.kind, one.id), scopes))


def _least_reach(accounts: Sequence[Account]) -> int | None:
    """What the tightest account could give to one call; None when there is none, or nothing is known of any yet."""
    reaches = [reach for account in accounts if (reach := account.reach) is not None]
    return min(reaches) if reaches else None
