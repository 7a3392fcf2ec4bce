"""Customers: the end users whom callers say that they call for."""

from collections.abc import Sequence

import sqlalchemy as sa
from msgspec import Struct, structs

from sekisho.core.clock import Clock
from sekisho.store.database import Database
from sekisho.store.entities import EntityRepository
from sekisho.store.limits import in_force, limits_anything
from sekisho.store.records import BudgetRecord, CustomerRecord
from sekisho.store.rows import from_row
from sekisho.store.tables import budgets, customers


class CustomerDefaults(Struct, frozen=True):
    """What customers may use that have no limits of their own, nor a budget.

    budget_id: a budget. max_budget: nano-dollars, for ever, where that budget does not say it.
    """

    budget_id: str | None = None
    max_budget: int | None = None


class CustomerRepository(EntityRepository[CustomerRecord]):
    """Reads and writes customers. What an unknown one has spent stays with it when it is made known."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, customers, CustomerRecord, "customer", keeps_spend=True)
        self.defaults = CustomerDefaults()

    def _attach_budgets(
        self, connection: sa.Connection, records: Sequence[CustomerRecord], now: float
    ) -> list[CustomerRecord]:
        attached = super()._attach_budgets(connection, records, now)
        if self.defaults == CustomerDefaults() or all(map(limits_anything, attached)):
            return attached
        default = self._read_default(connection, now)
        return [record if limits_anything(record) else structs.replace(record, budget=default) for record in attached]

    def _read_default(self, connection: sa.Connection, now: float) -> BudgetRecord | None:
        """The budget that the defaults come to; None when they name one that does not exist."""
        plain = None
        if self.defaults.max_budget is not None:
            plain = BudgetRecord(budget_id="max_end_user_budget", max_budget=self.defaults.max_budget)
        wanted = sa.select(budgets).where(budgets.c.budget_id == self.defaults.budget_id)
        row = connection.execute(wanted).mappings().first()
        return plain if row is None else in_force(from_row(row, BudgetRecord, now), plain)
