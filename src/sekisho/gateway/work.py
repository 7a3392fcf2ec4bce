"""One admitted call, and what it passes through."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec import Struct

from sekisho.config.snapshot import Snapshot
from sekisho.core.chat import ClientCall
from sekisho.core.clock import Clock
from sekisho.core.wire import ClientDialect
from sekisho.gateway.alerts import SoftBudgets
from sekisho.gateway.attachments import AttachmentFetcher
from sekisho.gateway.attempts import Attempts
from sekisho.gateway.continuity import Continuity
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.fitting import Fitting
from sekisho.gateway.holding import Held
from sekisho.gateway.meter import Meter
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.gateway.record import CallRecord
from sekisho.gateway.roads import World
from sekisho.gateway.standing import Standing, Standings
from sekisho.gateway.thinking import ThinkingKeeper
from sekisho.gateway.waiting import KeepOpen
from sekisho.gateway.ways import Candidate, Roads
from sekisho.identity.authenticate import Identity
from sekisho.ledger.estimate import Estimator
from sekisho.ledger.ledger import Ledger
from sekisho.store.journal import UsageJournal
from sekisho.telemetry.telling import Telemetry

_Done = TypeVar("_Done")


class Rooms(Struct, frozen=True, kw_only=True):
    """What a call passes through.

    `world` gives the configuration in use now.
    """

    clock: Clock
    world: Callable[[], World]
    standings: Standings
    identity: Identity
    ledger: Ledger
    estimator: Estimator
    access: UpstreamAccess
    attachments: AttachmentFetcher
    thinking: ThinkingKeeper
    continuity: Continuity
    journal: UsageJournal
    soft_budgets: SoftBudgets
    telemetry: Telemetry


class Work(Struct, frozen=True):
    """One admitted call."""

    exchange: Exchange
    dialect: ClientDialect
    call: ClientCall
    roads: Roads
    standing: Standing
    snapshot: Snapshot
    record: CallRecord
    meter: Meter
    held: Held
    rooms: Rooms

    def attempts(
        self, try_once: Callable[[Candidate], Awaitable[_Done]], *, fitting: Fitting | None, keep_open: KeepOpen
    ) -> Attempts[_Done]:
        """What tries targets; while all are full, the call waits inside `keep_open`."""
        return Attempts(
            try_once=try_once,
            call=self.call,
            snapshot=self.snapshot,
            access=self.rooms.access,
            meter=self.meter,
            record=self.record,
            enter=self._enter,
            fitting=fitting,
            keep_open=keep_open if self.snapshot.queue.max_seconds > 0 else None,
        )

    async def _enter(self, group: str) -> None:
        await self.rooms.ledger.move(self.held.hold, self.standing.caller.scopes, group)
