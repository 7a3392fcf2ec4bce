"""What a worker does beside its calls: it says that it lives, gives back what lies idle, takes over from the dead."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any, Final

from sekisho.core.clock import Clock
from sekisho.core.errors import StoreUnavailable
from sekisho.gateway.alerts import SoftBudgets
from sekisho.ledger.ledger import Ledger
from sekisho.ledger.lessor import Lessor
from sekisho.ledger.rates import RateLimits
from sekisho.store.escrow import EscrowRepository
from sekisho.store.recovery import Recovery

_log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 2.0
_FORGET_SECONDS: Final = 60.0


class Upkeep:
    """The background tasks of one worker's ledger."""

    def __init__(
        self,
        *,
        clock: Clock,
        escrow: EscrowRepository,
        recovery: Recovery,
        ledger: Ledger,
        lessor: Lessor,
        rates: RateLimits,
        soft_budgets: SoftBudgets,
    ) -> None:
        self._clock = clock
        self._escrow = escrow
        self._recovery = recovery
        self._ledger = ledger
        self._lessor = lessor
        self._rates = rates
        self._soft_budgets = soft_budgets
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Enlist this worker, without which it cannot lease, and begin. Raises StoreUnavailable."""
        await self._beat()
        jobs: list[Coroutine[Any, Any, None]] = [
            self._live(),
            self._forget(),
            self._recovery.run(),
            self._lessor.run(self._ledger.accounts),
            self._rates.run(),
            self._soft_budgets.run(),
        ]
        self._tasks = [asyncio.create_task(job, name=f"upkeep-{number}") for number, job in enumerate(jobs)]

    async def close(self) -> None:
        """Stop. What is leased goes back when the store is closed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _live(self) -> None:
        """Say that this worker lives, for ever."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                if not await self._beat():
                    _log.warning("this worker was taken for dead, and what it had leased was given back")
                    self._ledger.lose_leases()
            except StoreUnavailable as error:
                _log.warning("this worker cannot say that it lives: %s", error.__cause__)

    async def _beat(self) -> bool:
        """Say it once; returns whether it was known. Raises StoreUnavailable."""
        asked_at = self._clock.monotonic()
        pulse = await self._escrow.beat()
        self._lessor.heard(asked_at, pulse.workers)
        self._rates.heard(pulse.workers)
        return pulse.known

    async def _forget(self) -> None:
        """Make ready for the windows that begin soon and drop what has not been used for long, for ever."""
        while True:
            await asyncio.sleep(_FORGET_SECONDS)
            with contextlib.suppress(StoreUnavailable):
                await self._ledger.lease_ahead()
            self._ledger.forget_idle()
            self._rates.forget_idle()
