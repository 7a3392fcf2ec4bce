"""Getting leases for the accounts of this worker, and giving back what lies idle."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
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
"""How often others are asked whether they want some of ours, and leases that were got lately are looked at."""
_ALL_ROUNDS = 60
"""Every so many rounds all leases are looked at, those too that calls left alone for long."""
_AT_ONCE = 500
"""Accounts that are looked at, or given back in one transaction, before others have their turn."""
WAIT_SECONDS = 1.0
ANSWER_SECONDS = 10
"""How many seconds a call waits while the store answers nobody: seconds in which this process ran."""
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
        self._answers = 0
        """How often the store has answered."""
        self._lately: dict[str, Account] = {}
        """What was leased lately, and may be idle soon."""
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

    async def refill(self, needs: Sequence[tuple[Account, int]]) -> None:
        """Ask for more of accounts, at once; they tell afterwards what came of it.

        Raises:
            StoreUnavailable: the store did not answer. What it may have leased all the same is found out later.
        """
        if self.is_away:
            raise StoreUnavailable(_NO_ANSWER)
        now = self._clock.monotonic()
        for account, wished in needs:
            account.last_use = now  # so that it is not forgotten before the answer is there
            known = self._wants.get(account.name)
            total = wished if known is None else known[1].wished + wished
            self._wants[account.name] = (account, Want(account=account.name, limit=account.limit, wished=total))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(_look_at)
        await self._wait_for(self._asking)

    async def run(self, accounts: Callable[[], Mapping[str, Account]]) -> None:
        """Give back what is idle or wanted by others, for ever."""
        rounds = 0
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            rounds += 1
            known = accounts()
            looked_at = list(known.values() if rounds % _ALL_ROUNDS == 0 else self._lately.values())
            try:
                await self.give_back(known, looked_at)
            except StoreUnavailable as error:
                _log.warning("leases cannot be given back: %s", error.__cause__ or error)

    async def give_back(self, accounts: Mapping[str, Account], looked_at: Sequence[Account]) -> None:
        """One round: what others want of all accounts goes back, and what was idle for a while of some of them.

        Raises StoreUnavailable.
        """
        async with self._turn:
            if self._doubtful and not self.is_away:  # what was under way then is over now, one way or the other
                await self._reconcile(accounts)
            wanted = await self._hear(self._escrow.wanted(accounts.keys()))
            await self._return((accounts[name], 0) for name in wanted)
        now, idle = self._clock.monotonic(), self._clock.monotonic() - IDLE_SECONDS
        for start in range(0, len(looked_at), _AT_ONCE):
            some = looked_at[start : start + _AT_ONCE]
            async with self._turn:
                await self._return((account, self._keep(account, now)) for account in some)
            for account in some:
                if account.last_use < idle and not account.held:
                    self._lately.pop(account.name, None)
            await asyncio.sleep(0)

    async def _return(self, keeps: Iterable[tuple[Account, int]]) -> None:
        """Give back what accounts have beyond what is to be kept."""
        returned = [(account.name, amount) for account, keep in keeps if (amount := account.take_idle(keep))]
        if returned:
            await self._hear(self._escrow.give_back(returned))

    def _keep(self, account: Account, now: float) -> int:
        """How much of an account stays leased that nobody else wants: all of it while there is nobody else."""
        unused = now - account.last_use
        if unused < (RESERVE_SECONDS if self.workers == 1 else IDLE_SECONDS):
            return account.room
        if unused >= RESERVE_SECONDS or is_parallel(account.name):
            return 0
        return (account.reach or 0) // _RESERVE_SHARE

    async def _wait_for(self, asking: "asyncio.Task[None]") -> None:
        """Wait for an answer, as long as the store answers others: then it is only a matter of time."""
        silent, heard = 0, self._answers
        while silent < ANSWER_SECONDS:
            done, _ = await asyncio.wait([asking], timeout=WAIT_SECONDS)
            if done:
                return await asking
            silent, heard = (silent + 1 if heard == self._answers else 0), self._answers
        _log.warning("the database has not answered about leases for %d s", ANSWER_SECONDS)
        self._miss()
        raise StoreUnavailable(_NO_ANSWER)

    async def _ask(self) -> None:
        await asyncio.sleep(0)  # calls of the same turn of the loop ask together
        async with self._turn:
            wants, self._wants, self._asking = self._wants, {}, None  # who asks from now on gets an answer of its own
            grants = await self._hear(self._escrow.lease([want for _, want in wants.values()]))
            for (account, _), grant in zip(wants.values(), grants, strict=True):
                account.grant(grant.amount, grant.left, grant.spent)
                self._lately[account.name] = account

    async def _reconcile(self, accounts: Mapping[str, Account]) -> None:
        """Take over what the store says of our leases: it may have done what it could not tell of any more."""
        before = [(account, account.leased) for account in accounts.values()]
        held = dict(await self._hear(self._escrow.held(accounts.keys())))
        self._doubtful = False
        for account, leased in before:
            amount = held.pop(account.name, 0)
            account.agree(leased, amount)
            self._doubtful |= account.leased != amount  # a call is being booked just now: look again
        forgotten = [(name, amount) for name, amount in held.items() if amount > 0]
        if forgotten:
            await self._hear(self._escrow.give_back(forgotten))

    async def _hear(self, answer: Awaitable[_T]) -> _T:
        try:
            answered = await answer
        except StoreUnavailable:
            self._miss()
            raise
        self._answers += 1
        return answered

    def _miss(self) -> None:
        """There was no answer, and whether the store has done what it was asked to is not known."""
        self._doubtful = True
        self._away_until = self._clock.monotonic() + _AWAY_SECONDS


_NO_ANSWER = "The database does not answer; try again in a moment."


def _look_at(task: "asyncio.Task[None]") -> None:
    """Everybody who asked may be gone by now; then there is nobody else to look."""
    if not task.cancelled():
        task.exception()
