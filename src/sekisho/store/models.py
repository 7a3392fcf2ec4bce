"""Models and fallbacks that were added beside those of the configuration file."""

from collections.abc import Callable

import sqlalchemy as sa

from sekisho.core.clock import Clock
from sekisho.core.errors import Conflict
from sekisho.store.database import Database
from sekisho.store.records import AddedFallbacks, AddedModel
from sekisho.store.rows import from_row, to_row
from sekisho.store.tables import fallbacks, models


class ModelRepository:
    """Reads and writes added models."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def find(self) -> list[AddedModel]:
        """All of them, the oldest first."""
        wanted = sa.select(models).order_by(models.c.created_at, models.c.model_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        return [from_row(row, AddedModel, self._clock.now()) for row in rows]

    async def insert(self, record: AddedModel) -> None:
        """Add a model.

        Raises:
            Conflict: the id is taken.
        """
        try:
            async with self._database.change() as connection:
                await connection.execute(sa.insert(models).values(to_row(record)))
        except sa.exc.IntegrityError as error:
            message = f"A model with the id {record.model_id!r} exists already. Change it with /model/update."
            raise Conflict(message, param="model_info.id") from error

    async def update(self, model_id: str, change: Callable[[AddedModel], AddedModel]) -> AddedModel | None:
        """Make a model what `change` makes of it, while nobody else changes it; None if there is none.

        What `change` raises leaves everything as it was.
        """
        this = models.c.model_id == model_id
        async with self._database.change() as connection:
            row = (await connection.execute(sa.select(models).where(this).with_for_update())).mappings().first()
            if row is None:
                return None
            changed = change(from_row(row, AddedModel, self._clock.now()))
            await connection.execute(sa.update(models).where(this).values(to_row(changed)))
            return changed

    async def delete(self, model_id: str) -> bool:
        """Delete a model and say whether it was there."""
        async with self._database.change() as connection:
            result = await connection.execute(sa.delete(models).where(models.c.model_id == model_id))
            return result.rowcount > 0


class FallbackRepository:
    """Reads and writes added fallbacks."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def find(self) -> list[AddedFallbacks]:
        """All of them, by model."""
        async with self._database.read() as connection:
            rows = (await connection.execute(sa.select(fallbacks).order_by(fallbacks.c.model))).mappings().all()
        return [from_row(row, AddedFallbacks, self._clock.now()) for row in rows]

    async def put(self, record: AddedFallbacks) -> None:
        """Set the fallbacks of a model, in place of those that it has."""
        row = to_row(record)
        kept = {"model", "created_at", "created_by"}
        changed = {name: value for name, value in row.items() if name not in kept}
        statement = self._database.insert(fallbacks).values(row)
        async with self._database.change() as connection:
            await connection.execute(statement.on_conflict_do_update(index_elements=["model"], set_=changed))

    async def delete(self, model: str) -> bool:
        """Delete the fallbacks of a model and say whether it had any."""
        async with self._database.change() as connection:
            result = await connection.execute(sa.delete(fallbacks).where(fallbacks.c.model == model))
            return result.rowcount > 0
