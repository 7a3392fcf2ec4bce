"""Users."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from sekisho.core.clock import Clock
from sekisho.core.errors import Conflict
from sekisho.store.database import Database
from sekisho.store.entities import Condition, EntityRepository
from sekisho.store.keys import delete_keys
from sekisho.store.records import OrganizationMember, TeamMember, UserRecord
from sekisho.store.rows import from_row, to_row
from sekisho.store.tables import keys, organization_members, team_members, users


class UserRepository(EntityRepository[UserRecord]):
    """Reads and writes users."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, users, UserRecord, "user")

    async def get_by_email(self, user_email: str) -> UserRecord | None:
        """The user of this address, which is in lower case, as all are kept."""
        return await self._database.inspect(lambda connection: self._one(connection, users.c.user_email == user_email))

    async def select(
        self, *, user_ids: Sequence[str] | None, role: str | None = None, limit: int, offset: int = 0
    ) -> tuple[list[UserRecord], int]:
        """One page of users, the newest first, and how many there are in all; `user_ids` None means everyone."""
        conditions: list[Condition] = [] if user_ids is None else [users.c.user_id.in_(user_ids)]
        if role is not None:
            conditions.append(users.c.user_role == role)
        return await self.find(*conditions, limit=limit, offset=offset)

    async def memberships(self, user_ids: Sequence[str]) -> list[TeamMember]:
        """The teams of these users."""
        wanted = sa.select(team_members).where(team_members.c.user_id.in_(user_ids)).order_by(team_members.c.team_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        return [from_row(row, TeamMember, self._clock.now()) for row in rows]

    async def organizations(self, user_ids: Sequence[str]) -> list[OrganizationMember]:
        """The organisations of these users."""
        by_user = organization_members.c.user_id.in_(user_ids)
        wanted = sa.select(organization_members).where(by_user).order_by(organization_members.c.organization_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        return [from_row(row, OrganizationMember, self._clock.now()) for row in rows]

    async def ensure(self, record: UserRecord) -> None:
        """Add a user unless its id exists."""
        if await self.get(record.user_id) is not None:
            return
        async with self._database.change() as connection:
            await ensure_users(self._database, connection, [record])

    def _conflict(self, named: Mapping[str, Any]) -> Conflict:
        who = named.get("user_id") or named.get("user_email")
        return Conflict(f"User {who!r}, or a user of this e-mail address, exists already.", param="user_id")

    async def delete(self, identities: Sequence[str]) -> int:
        """Delete users with their keys and memberships, and return how many there were."""
        async with self._database.change() as connection:
            await delete_keys(connection, keys.c.user_id.in_(identities))
            result = await connection.execute(sa.delete(users).where(users.c.user_id.in_(identities)))
            return result.rowcount


async def ensure_users(database: Database, connection: AsyncConnection, records: Sequence[UserRecord]) -> None:
    """Add the users whose ids do not exist yet, within a transaction."""
    if records:
        statement = database.insert(users).on_conflict_do_nothing(index_elements=["user_id"])
        await connection.execute(statement, [to_row(record) for record in records])


def changed_meanwhile() -> Conflict:
    """What a membership is refused with that was possible a moment ago."""
    return Conflict("Something that this refers to was changed or deleted meanwhile. Try again.", param="member")
