"""One admitted call, and what it passes through."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from msgspec import Struct

from sekisho.config.snapshot import Snapshot
from sekisho.core.caller import Caller
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
from sekisho.gateway.thinking import ThinkingKeeper
from sekisho.gateway.waiting import KeepOpen
from sekisho.gateway.ways import Candidate, Roads
from sekisho.identity.authenticate import Identity
from sekisho.ledger.estimate import Estimator
from sekisho.ledger.ledger import Ledger
from sekisho.ledger.rates import RateLimits
from sekisho.store.journal import UsageJournal
from sekisho.telemetry.telling import Telemetry

_Done = TypeVar("_Done")


class Rooms(Struct, frozen=True, kw_only=True):
    """What a call passes through.

    `world` gives the configuration in use now, `view` what a call of some caller that names some models sees of one.
    """

    clock: Clock
    world: Callable[[], World]
    view: Callable[[World, Caller, Iterable[str | None]], World]
    identity: Identity
    ledger: Ledger
    rates: RateLimits
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
        assert self.record.caller is not None
        await self.rooms.ledger.move(self.held.hold, self.record.caller.scopes, group)
