"""Access groups: names for several models, which lists of models may use."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from sekisho.core.clock import Clock
from sekisho.core.errors import Conflict
from sekisho.store.database import Database
from sekisho.store.records import AccessGroup
from sekisho.store.rows import from_row, to_row
from sekisho.store.tables import access_groups


class AccessGroupRepository:
    """Reads and writes access groups."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, name: str) -> AccessGroup | None:
        """The access group of this name."""
        return next(iter(await self.find([name])), None)

    async def find(self, names: Sequence[str] | None = None) -> list[AccessGroup]:
        """These access groups, or all, by name."""
        wanted = sa.select(access_groups).order_by(access_groups.c.access_group)
        if names is not None:
            wanted = wanted.where(access_groups.c.access_group.in_(names))
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        return [from_row(row, AccessGroup, self._clock.now()) for row in rows]

    async def insert(self, record: AccessGroup) -> None:
        """Add an access group.

        Raises:
            Conflict: the name is taken.
        """
        try:
            async with self._database.change() as connection:
                await connection.execute(sa.insert(access_groups).values(to_row(record)))
        except sa.exc.IntegrityError as error:
            message = f"Access group {record.access_group!r} exists already."
            raise Conflict(message, param="access_group") from error

    async def update(self, name: str, changes: Mapping[str, Any]) -> AccessGroup | None:
        """Set some columns and return the access group, or None if there is none."""
        change = sa.update(access_groups).where(access_groups.c.access_group == name).values(**changes)
        async with self._database.change() as connection:
            row = (await connection.execute(change.returning(*access_groups.c))).mappings().first()
        return None if row is None else from_row(row, AccessGroup, self._clock.now())

    async def delete(self, name: str) -> bool:
        """Delete an access group and say whether it was there. Lists that name it then mean no model by it."""
        async with self._database.change() as connection:
            result = await connection.execute(sa.delete(access_groups).where(access_groups.c.access_group == name))
            return result.rowcount > 0
