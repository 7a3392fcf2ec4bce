"""Getting leases for the accounts of this worker, and giving back what lies idle."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable

from sekisho.core.clock import Clock
from sekisho.core.errors import StoreUnavailable
from sekisho.core.escrow import Escrow, Want
from sekisho.ledger.accounts import Account

_log = logging.getLogger(__name__)

IDLE_SECONDS = 3.0
"""How long an account is not used before its lease goes back."""
ROUND_SECONDS = 1.0
"""How often idle leases are looked for, and whether others want some of ours."""


class Lessor:
    """One worker's dealings with the escrow. Wants of the same moment go in one transaction."""

    def __init__(self, escrow: Escrow, clock: Clock) -> None:
        self._escrow = escrow
        self._clock = clock
        self._wants: dict[str, tuple[Account, Want]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def refill(self, account: Account, wished: int) -> None:
        """Ask for more of an account; `account` tells afterwards what came of it. Raises StoreUnavailable."""
        known = self._wants.get(account.name)
        total = wished if known is None else known[1].wished + wished
        want = Want(account=account.name, limit=account.limit, wished=total)
        self._wants[account.name] = (account, want)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        await asyncio.shield(self._asking)

    async def run(self, accounts: Callable[[], Iterable[Account]]) -> None:
        """Give back what is idle or wanted by others, for ever."""
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            try:
                await self.give_back(list(accounts()))
            except StoreUnavailable as error:
                _log.warning("leases cannot be given back: %s", error.__cause__)

    async def give_back(self, accounts: list[Account]) -> None:
        """One round: what was idle for a while, and what others want, goes back. Raises StoreUnavailable."""
        leased = [account for account in accounts if account.room > 0]
        if not leased:
            return
        wanted = set(await self._escrow.wanted([account.name for account in leased]))
        now = self._clock.monotonic()
        idle = [each for each in leased if each.name in wanted or now - each.last_use >= IDLE_SECONDS]
        returned = [(account, amount) for account in idle if (amount := account.take_idle(keep=0))]
        if not returned:
            return
        try:
            await self._escrow.give_back([(account.name, amount) for account, amount in returned])
        except StoreUnavailable:
            for account, amount in returned:
                account.leased += amount
            raise

    async def close(self, accounts: list[Account]) -> None:
        """Give everything back, if the store is there."""
        returned = [(account.name, amount) for account in accounts if (amount := account.take_idle(keep=0))]
        if returned:
            with contextlib.suppress(StoreUnavailable):
                await self._escrow.give_back(returned)

    async def _ask(self) -> None:
        await asyncio.sleep(0)  # calls of the same turn of the loop ask together
        wants, self._wants, self._asking = self._wants, {}, None  # who asks from now on gets an answer of its own
        grants = await self._escrow.lease([want for _, want in wants.values()])
        for (account, _), grant in zip(wants.values(), grants, strict=True):
            account.grant(grant.amount, grant.left, grant.spent)
