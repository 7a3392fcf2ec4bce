"""Teams and their members."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from sekisho.core.accounts import member_id
from sekisho.core.clock import Clock
from sekisho.core.errors import Conflict
from sekisho.store.balances import attach_budgets, attach_spend, main_account
from sekisho.store.database import Database
from sekisho.store.entities import Condition, EntityRepository
from sekisho.store.keys import delete_keys
from sekisho.store.records import TeamMember, TeamRecord, UserRecord
from sekisho.store.rows import from_row, to_row
from sekisho.store.spend import set_spend
from sekisho.store.tables import keys, projects, team_members, teams
from sekisho.store.users import changed_meanwhile, ensure_users


class TeamRepository(EntityRepository[TeamRecord]):
    """Reads and writes teams."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, teams, TeamRecord, "team")

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

    async def members(self, team_ids: Sequence[str]) -> list[TeamMember]:
        """The members of these teams, administrators first."""
        return await self._members(team_members.c.team_id.in_(team_ids))

    async def member(self, team_id: str, user_id: str) -> TeamMember | None:
        """One member of a team."""
        found = await self._members(team_members.c.team_id == team_id, team_members.c.user_id == user_id)
        return next(iter(found), None)

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
                await self._put_members(connection, members)
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
                await self._put_members(connection, members)
        except sa.exc.IntegrityError as error:
            raise changed_meanwhile() from error

    async def update_member(self, team_id: str, user_id: str, changes: Mapping[str, Any]) -> TeamMember | None:
        """Set some columns of a membership and return it, or None if there is none.

        Raises:
            Conflict: the budget it shall refer to is gone.
        """
        who = (team_members.c.team_id == team_id, team_members.c.user_id == user_id)
        columns = {name: value for name, value in changes.items() if name != "spend"}
        try:
            async with self._database.change() as connection:
                if columns:
                    await connection.execute(sa.update(team_members).where(*who).values(**columns))
                found = await self._read_members(connection, *who)
                if found and "spend" in changes:
                    account = main_account("member", member_id(team_id, user_id), found[0], self._clock.now())
                    await set_spend(self._database, connection, account, changes["spend"])
                    found = await self._read_members(connection, *who)
        except sa.exc.IntegrityError as error:
            raise changed_meanwhile() from error
        return next(iter(found), None)

    async def remove_members(self, team_id: str, user_ids: Sequence[str]) -> int:
        """Take members off a team, with the keys that they have in it, and return how many members there were."""
        async with self._database.change() as connection:
            await delete_keys(connection, keys.c.team_id == team_id, keys.c.user_id.in_(user_ids))
            gone = sa.delete(team_members).where(
                team_members.c.team_id == team_id, team_members.c.user_id.in_(user_ids)
            )
            return (await connection.execute(gone)).rowcount

    async def delete(self, identities: Sequence[str]) -> int:
        """Delete teams with their keys, projects and memberships, and return how many there were."""
        async with self._database.change() as connection:
            return await delete_teams(connection, identities)

    async def _members(self, *conditions: Condition) -> list[TeamMember]:
        async with self._database.read() as connection:
            return await self._read_members(connection, *conditions)

    async def _read_members(self, connection: AsyncConnection, *conditions: Condition) -> list[TeamMember]:
        wanted = sa.select(team_members).where(*conditions).order_by(team_members.c.role, team_members.c.user_id)
        now = self._clock.now()
        rows = (await connection.execute(wanted)).mappings().all()
        found = await attach_budgets(connection, [from_row(row, TeamMember, now) for row in rows], now)
        owned = [(member_id(member.team_id, member.user_id), member) for member in found]
        return await attach_spend(connection, "member", owned, now)

    async def _put_members(self, connection: AsyncConnection, members: Sequence[TeamMember]) -> None:
        if not members:
            return
        statement = self._database.insert(team_members)
        kept = {"team_id", "user_id"}
        changed = {column.name: column for column in statement.excluded if column.name not in kept}
        statement = statement.on_conflict_do_update(index_elements=["team_id", "user_id"], set_=changed)
        await connection.execute(statement, [to_row(member) for member in members])


async def delete_teams(connection: AsyncConnection, team_ids: Sequence[str]) -> int:
    """Delete teams with their keys, projects and memberships, and return how many there were."""
    await delete_keys(connection, keys.c.team_id.in_(team_ids))
    await connection.execute(sa.delete(projects).where(projects.c.team_id.in_(team_ids)))
    return (await connection.execute(sa.delete(teams).where(teams.c.team_id.in_(team_ids)))).rowcount
