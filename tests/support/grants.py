"""The store's side of limits in time, in memory: what ledger tests of several workers run on."""

import asyncio
from collections.abc import Sequence

from sekisho.core.clock import ManualClock
from sekisho.core.errors import StoreUnavailable
from sekisho.core.escrow import RateGrant, RateWant


class MemoryGrants:
    """Every worker's access to the grants; `gate` holds answers up, `away` refuses them."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.stamps: dict[str, dict[int, int]] = {}
        self.asked = 0
        self.away = False
        self.gate: asyncio.Event | None = None

    async def exchange(self, wants: Sequence[RateWant]) -> list[RateGrant]:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            raise StoreUnavailable("away")
        return [self._exchange(want) for want in wants]

    def used(self, name: str, seconds: int = 60) -> int:
        """What counts now."""
        now = self.clock.now()
        return sum(amount for stamp, amount in self.stamps.get(name, {}).items() if stamp + seconds > now)

    def _exchange(self, want: RateWant) -> RateGrant:
        now, stamps = self.clock.now(), self.stamps.setdefault(want.name, {})
        for stamp, amount in want.unused.items():
            stamps[stamp] = stamps.get(stamp, 0) - amount
        stamps[int(now) + 1] = stamps.get(int(now) + 1, 0) + want.extra
        used = self.used(want.name, want.span.seconds)
        room = want.limit - used
        amount = min(room, want.needed + max(0, min(want.ahead, (room - want.needed) // 8)))
        if amount < want.least and want.alone and used == 0:
            amount = want.least
        stamp = int(now) + 3
        if amount < max(1, want.least):
            return RateGrant(amount=0, stamp=stamp, seconds=0.0, used=used, wait=30.0)
        stamps[stamp] = stamps.get(stamp, 0) + amount
        return RateGrant(amount=amount, stamp=stamp, seconds=2.0, used=used, wait=0.0)
