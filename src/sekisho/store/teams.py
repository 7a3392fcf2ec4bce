"""Teams and their members."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from sekisho.core.clock import Clock
from sekisho.core.errors import Conflict
from sekisho.store.database import Database
from sekisho.store.entities import Condition, EntityRepository
from sekisho.store.keys import delete_keys
from sekisho.store.memberships import Memberships
from sekisho.store.records import MemberRole, TeamMember, TeamRecord, UserRecord
from sekisho.store.spend import in_chunks
from sekisho.store.tables import keys, projects, team_members, teams, users
from sekisho.store.users import changed_meanwhile, ensure_users


class Seat(Struct, frozen=True):
    """Who belongs to a team."""

    team_id: str
    user_id: str
    role: MemberRole
    user_email: str | None


class TeamRepository(EntityRepository[TeamRecord]):
    """Reads and writes teams."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, teams, TeamRecord, "team")
        self._members = Memberships(database, clock, team_members, TeamMember, "member")

    async def select(
        self,
        *,
        team_ids: Sequence[str] | None = None,
        organization_id: str | None = None,
        team_alias: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[list[TeamRecord], int]:
        """One page of teams, the newest first, and how many there are in all; None is no condition."""
        conditions: list[Condition] = [] if team_ids is None else [teams.c.team_id.in_(team_ids)]
        if organization_id is not None:
            conditions.append(teams.c.organization_id == organization_id)
        if team_alias is not None:
            conditions.append(teams.c.team_alias == team_alias)
        return await self.find(*conditions, limit=limit, offset=offset)

    async def of_organizations(self, organization_ids: Sequence[str]) -> list[TeamRecord]:
        """The teams of these organisations, the newest first."""
        return await self._all(teams.c.organization_id.in_(organization_ids))

    async def members(self, team_ids: Sequence[str]) -> list[TeamMember]:
        """The members of these teams, administrators first."""
        return await self._members.of_places(team_ids)

    async def seats(self, team_ids: Sequence[str]) -> list[Seat]:
        """The members of these teams, administrators first, without what they may spend."""
        wanted = (
            sa.select(team_members.c.team_id, team_members.c.user_id, team_members.c.role, users.c.user_email)
            .join(users, users.c.user_id == team_members.c.user_id)
            .order_by(team_members.c.role, team_members.c.user_id)
        )

        def read(connection: sa.Connection) -> list[Seat]:
            found: list[Seat] = []
            for some in in_chunks(team_ids):
                found += (Seat(*row) for row in connection.execute(wanted.where(team_members.c.team_id.in_(some))))
            return found

        return await self._database.inspect(read)

    async def member(self, team_id: str, user_id: str) -> TeamMember | None:
        """One member of a team."""
        return await self._members.one(team_id, user_id)

    async def create(
        self, record: TeamRecord, members: Sequence[TeamMember], users: Sequence[UserRecord]
    ) -> TeamRecord:
        """Add a team with its members, and those of `users` that do not exist yet.

        Raises:
            Conflict: the team exists already.
        """
        try:
            async with self._database.change() as connection:
                await ensure_users(self._database, connection, users)
                team = await self._insert(connection, record)
                await self._members.put(connection, members)
        except sa.exc.IntegrityError as error:
            raise Conflict(f"Team {record.team_id!r} exists already.", param="team_id", status=400) from error
        return team

    async def put_members(self, members: Sequence[TeamMember], users: Sequence[UserRecord]) -> None:
        """Add members, or set the role and limits of those that are members already; new `users` are added.

        Raises:
            Conflict: the team is gone, or somebody else took a new user's e-mail address meanwhile.
        """
        try:
            async with self._database.change() as connection:
                await ensure_users(self._database, connection, users)
                await self._members.put(connection, members)
        except sa.exc.IntegrityError as error:
            raise changed_meanwhile() from error

    async def update_member(self, team_id: str, user_id: str, changes: Mapping[str, Any]) -> TeamMember | None:
        """Set some columns of a membership and return it, or None if there is none.

        Raises:
            Conflict: the budget it shall refer to is gone.
        """
        try:
            async with self._database.change() as connection:
                return await self._members.update(connection, team_id, user_id, changes)
        except sa.exc.IntegrityError as error:
            raise changed_meanwhile() from error

    async def remove_members(self, team_id: str, user_ids: Sequence[str]) -> int:
        """Take members off a team, with the keys that they have in it, and return how many members there were."""
        async with self._database.change() as connection:
            await delete_keys(connection, keys.c.team_id == team_id, keys.c.user_id.in_(user_ids))
            return await self._members.remove(connection, team_id, user_ids)

    async def delete(self, identities: Sequence[str]) -> int:
        """Delete teams with their keys, projects and memberships, and return how many there were."""
        async with self._database.change() as connection:
            return await delete_teams(connection, identities)


async def delete_teams(connection: AsyncConnection, team_ids: Sequence[str]) -> int:
    """Delete teams with their keys, projects and memberships, and return how many there were."""
    await delete_keys(connection, keys.c.team_id.in_(team_ids))
    await connection.execute(sa.delete(projects).where(projects.c.team_id.in_(team_ids)))
    return (await connection.execute(sa.delete(teams).where(teams.c.team_id.in_(team_ids)))).rowcount
