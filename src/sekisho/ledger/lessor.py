"""Getting leases for the accounts of this worker, and giving back what lies idle."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from sekisho.core.accounts import is_parallel
from sekisho.core.clock import Clock
from sekisho.core.errors import StoreUnavailable
from sekisho.core.escrow import LEASE_SECONDS, Escrow, Want
from sekisho.ledger.accounts import Account

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

IDLE_SECONDS = 3.0
"""How long an account is not used before its lease goes back, but for a reserve."""
RESERVE_SECONDS = 900.0
"""How long it is not used before the reserve goes back as well."""
ROUND_SECONDS = 1.0
"""How often idle leases are looked for, and whether others want some of ours."""
ANSWER_SECONDS = 10.0
"""How long a call waits for the store to answer."""
_AWAY_SECONDS = 1.0
"""How long the store is not asked again for a call, after it did not answer."""
_RESERVE_SHARE = 8
"""The reserve is this part of what this worker could get, for calls that come while the database is away."""


class Lessor:
    """One worker's dealings with the escrow. Wants of the same moment go in one transaction.

    workers: how many were alive when the store last answered, with this one.
    trusted_until: the monotonic time until which what is leased may be spent: others may have been given it when nobody
    heard of us for long.
    """

    def __init__(self, escrow: Escrow, clock: Clock) -> None:
        self._escrow = escrow
        self._clock = clock
        self._wants: dict[str, tuple[Account, Want]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self.trusted_until = clock.monotonic() + LEASE_SECONDS
        self._away_until = float("-inf")
        self._doubtful = False
        self.workers = 1

    @property
    def may_spend(self) -> bool:
        """Whether what is leased may be spent now."""
        return self._clock.monotonic() < self.trusted_until

    @property
    def is_away(self) -> bool:
        """Whether the store did not answer a moment ago."""
        return self._clock.monotonic() < self._away_until

    def heard(self, asked_at: float, workers: int) -> None:
        """The store has noted that this worker lives; it was asked at a (monotonic) time."""
        self.trusted_until, self._away_until, self.workers = asked_at + LEASE_SECONDS, float("-inf"), workers

    def doubt(self) -> None:
        """Compare soon what is leased with what the store says."""
        self._doubtful = True

    async def refill(self, account: Account, wished: int) -> None:
        """Ask for more of an account; `account` tells afterwards what came of it.

        Raises:
            StoreUnavailable: the store did not answer. What it may have leased all the same is found out later.
        """
        if self.is_away:
            raise StoreUnavailable(_NO_ANSWER)
        known = self._wants.get(account.name)
        total = wished if known is None else known[1].wished + wished
        self._wants[account.name] = (account, Want(account=account.name, limit=account.limit, wished=total))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(_look_at)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.shield(self._asking)
        except TimeoutError as error:
            _log.warning("the database has not answered about leases for %.0f s", ANSWER_SECONDS)
            self._miss()
            raise StoreUnavailable(_NO_ANSWER) from error

    async def run(self, accounts: Callable[[], Iterable[Account]]) -> None:
        """Give back what is idle or wanted by others, for ever."""
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            try:
                await self.give_back(list(accounts()))
            except StoreUnavailable as error:
                _log.warning("leases cannot be given back: %s", error.__cause__ or error)

    async def give_back(self, accounts: list[Account]) -> None:
        """One round: what others want goes back, and what was idle for a while. Raises StoreUnavailable."""
        async with self._turn:
            if self._doubtful and not self.is_away:  # what was under way then is over now, one way or the other
                await self._reconcile(accounts)
            leased = [account for account in accounts if account.room > 0]
            if not leased:
                return
            wanted = set(await self._hear(self._escrow.wanted([account.name for account in leased])))
            now = self._clock.monotonic()
            keeps = ((each, 0 if each.name in wanted else _keep(each, now)) for each in leased)
            returned = [(each.name, amount) for each, keep in keeps if (amount := each.take_idle(keep))]
            if returned:
                await self._hear(self._escrow.give_back(returned))

    async def _ask(self) -> None:
        await asyncio.sleep(0)  # calls of the same turn of the loop ask together
        async with self._turn:
            wants, self._wants, self._asking = self._wants, {}, None  # who asks from now on gets an answer of its own
            grants = await self._hear(self._escrow.lease([want for _, want in wants.values()]))
            for (account, _), grant in zip(wants.values(), grants, strict=True):
                account.grant(grant.amount, grant.left, grant.spent)

    async def _reconcile(self, accounts: list[Account]) -> None:
        """Take over what the store says of our leases: it may have done what it could not tell of any more."""
        before = {account.name: account.leased for account in accounts}
        held = dict(await self._hear(self._escrow.held(before.keys())))
        self._doubtful = False
        for account in accounts:
            amount = held.pop(account.name, 0)
            account.agree(before[account.name], amount)
            self._doubtful |= account.leased != amount  # a call is being booked just now: look again
        forgotten = [(name, amount) for name, amount in held.items() if amount > 0]
        if forgotten:
            await self._hear(self._escrow.give_back(forgotten))

    async def _hear(self, answer: Awaitable[_T]) -> _T:
        try:
            return await answer
        except StoreUnavailable:
            self._miss()
            raise

    def _miss(self) -> None:
        """There was no answer, and whether the store has done what it was asked to is not known."""
        self._doubtful = True
        self._away_until = self._clock.monotonic() + _AWAY_SECONDS


_NO_ANSWER = "The database does not answer; try again in a moment."


def _keep(account: Account, now: float) -> int:
    """How much of an account stays leased that nobody else wants."""
    unused = now - account.last_use
    if unused < IDLE_SECONDS:
        return account.room
    if unused >= RESERVE_SECONDS or is_parallel(account.name):
        return 0
    return (account.reach or 0) // _RESERVE_SHARE


def _look_at(task: "asyncio.Task[None]") -> None:
    """Everybody who asked may be gone by now; then there is nobody else to look."""
    if not task.cancelled():
        task.exception()
