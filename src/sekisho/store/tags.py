"""Tags with limits."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from msgspec import structs

from sekisho.core.caller import BudgetWindow
from sekisho.core.clock import Clock
from sekisho.store.database import Database
from sekisho.store.entities import EntityRepository
from sekisho.store.limits import at_time, in_force
from sekisho.store.records import BudgetRecord, TagRecord
from sekisho.store.tables import tags


class TagRepository(EntityRepository[TagRecord]):
    """Reads and writes tags. What an unknown one has spent stays with it when it is made known."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, tags, TagRecord, "tag", keeps_spend=True)
        self.defaults: Mapping[str, BudgetWindow] = {}
        """By name, what tags may spend whose own limits and budget do not say it."""

    def _attach_budgets(self, connection: sa.Connection, records: Sequence[TagRecord], now: float) -> list[TagRecord]:
        return [
            self._with_default(record, window, now) if (window := self.defaults.get(record.name)) else record
            for record in super()._attach_budgets(connection, records, now)
        ]

    def _with_default(self, record: TagRecord, window: BudgetWindow, now: float) -> TagRecord:
        default = BudgetRecord(
            budget_id="tag_budget_config",
            max_budget=window.limit,
            budget_duration=window.duration,
            budget_timezone=window.zone,
            budget_reset_at=window.resets_at,
        )
        return structs.replace(
            record, budget=at_time(default if record.budget is None else in_force(record.budget, default), now)
        )
