"""Users."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from sekisho.core.clock import Clock
from sekisho.core.errors import Conflict
from sekisho.store.database import Database
from sekisho.store.records import TeamMember, UserRecord
from sekisho.store.rows import from_row, to_row
from sekisho.store.tables import team_members, users


class UserRepository:
    """Reads and writes users."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, user_id: str) -> UserRecord | None:
        """The user of this id."""
        return await self._one(users.c.user_id == user_id)

    async def get_by_email(self, user_email: str) -> UserRecord | None:
        """The user of this address, in any case of letters."""
        return await self._one(sa.func.lower(users.c.user_email) == user_email.lower())

    async def find(
        self, *, user_ids: Sequence[str] | None, limit: int, offset: int = 0
    ) -> tuple[list[UserRecord], int]:
        """One page of users, the newest first, and how many there are in all; `user_ids` None means everyone."""
        conditions = [] if user_ids is None else [users.c.user_id.in_(user_ids)]
        newest = sa.select(users).where(*conditions).order_by(users.c.created_at.desc(), users.c.user_id)
        async with self._database.read() as connection:
            total = await connection.scalar(sa.select(sa.func.count()).select_from(users).where(*conditions))
            rows = (await connection.execute(newest.limit(limit).offset(offset))).mappings().all()
        now = self._clock.now()
        return [from_row(row, UserRecord, now) for row in rows], total or 0

    async def memberships(self, user_ids: Sequence[str]) -> list[TeamMember]:
        """The teams of these users."""
        wanted = sa.select(team_members).where(team_members.c.user_id.in_(user_ids)).order_by(team_members.c.team_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        return [from_row(row, TeamMember, self._clock.now()) for row in rows]

    async def insert(self, record: UserRecord) -> None:
        """Add a user.

        Raises:
            Conflict: the id or the e-mail address exists already.
        """
        try:
            async with self._database.change() as connection:
                await connection.execute(sa.insert(users).values(to_row(record)))
        except sa.exc.IntegrityError as error:
            raise Conflict(f"User {record.user_id!r}, or a user of this e-mail address, exists already.") from error

    async def update(self, user_id: str, changes: Mapping[str, Any]) -> UserRecord | None:
        """Set some columns and return the user, or None if there is none."""
        change = sa.update(users).where(users.c.user_id == user_id).values(**changes).returning(*users.c)
        async with self._database.change() as connection:
            row = (await connection.execute(change)).mappings().first()
        return None if row is None else from_row(row, UserRecord, self._clock.now())

    async def ensure(self, record: UserRecord) -> None:
        """Add a user unless its id exists."""
        async with self._database.change() as connection:
            await ensure_users(self._database, connection, [record])

    async def _one(self, condition: sa.ColumnElement[bool]) -> UserRecord | None:
        async with self._database.read() as connection:
            row = (await connection.execute(sa.select(users).where(condition))).mappings().first()
        return None if row is None else from_row(row, UserRecord, self._clock.now())


async def ensure_users(database: Database, connection: AsyncConnection, records: Sequence[UserRecord]) -> None:
    """Add the users whose ids do not exist yet, within a transaction."""
    if records:
        statement = database.insert(users).on_conflict_do_nothing(index_elements=["user_id"])
        await connection.execute(statement, [to_row(record) for record in records])
