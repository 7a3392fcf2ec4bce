"""Named limits, which others refer to."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from sekisho.core.clock import Clock
from sekisho.core.errors import Conflict
from sekisho.store.database import Database
from sekisho.store.records import BudgetRecord
from sekisho.store.rows import from_row, to_row
from sekisho.store.tables import budgets, metadata

_REFERRING: Final = [table for table in metadata.sorted_tables if "budget_id" in table.c and table is not budgets]


class BudgetRepository:
    """Reads and writes budgets."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, budget_id: str) -> BudgetRecord | None:
        """The budget of this id."""
        return next(iter(await self.find([budget_id])), None)

    async def find(
        self, budget_ids: Sequence[str] | None = None, *, limit: int | None = None, offset: int = 0
    ) -> list[BudgetRecord]:
        """One page of these budgets, or of all, the newest first."""
        newest = sa.select(budgets).order_by(budgets.c.created_at.desc(), budgets.c.budget_id)
        wanted = newest.limit(limit).offset(offset)
        if budget_ids is not None:
            wanted = wanted.where(budgets.c.budget_id.in_(budget_ids))
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        return [from_row(row, BudgetRecord, self._clock.now()) for row in rows]

    async def insert(self, record: BudgetRecord) -> None:
        """Add a budget.

        Raises:
            Conflict: the id is taken.
        """
        try:
            async with self._database.change() as connection:
                await connection.execute(sa.insert(budgets).values(to_row(record)))
        except sa.exc.IntegrityError as error:
            message = f"Budget {record.budget_id!r} exists already. Change it with /budget/update."
            raise Conflict(message, param="budget_id", status=400, kind="bad_request_error") from error

    async def update(self, budget_id: str, changes: Mapping[str, Any]) -> BudgetRecord | None:
        """Set some columns, for everything that refers to the budget, and return it; None if there is none."""
        change = sa.update(budgets).where(budgets.c.budget_id == budget_id).values(**changes).returning(*budgets.c)
        async with self._database.change() as connection:
            row = (await connection.execute(change)).mappings().first()
        return None if row is None else from_row(row, BudgetRecord, self._clock.now())

    async def delete(self, budget_id: str) -> bool:
        """Delete a budget and say whether it was there.

        Raises:
            Conflict: something refers to it, and would have no limit without it.
        """
        try:
            async with self._database.change() as connection:
                result = await connection.execute(sa.delete(budgets).where(budgets.c.budget_id == budget_id))
                return result.rowcount > 0
        except sa.exc.IntegrityError as error:
            users = await self.referring(budget_id)
            told = ", ".join(f"{count} in {table}" for table, count in users.items())
            message = f"Budget {budget_id!r} is in use ({told}), which would be unlimited without it. Detach it first."
            raise Conflict(message, param="id", status=400, kind="bad_request_error") from error

    async def referring(self, budget_id: str) -> dict[str, int]:
        """How many rows of which tables refer to a budget."""
        found: dict[str, int] = {}
        async with self._database.read() as connection:
            for table in _REFERRING:
                query = sa.select(sa.func.count()).select_from(table).where(table.c.budget_id == budget_id)
                if count := await connection.scalar(query):
                    found[table.name] = count
        return found
