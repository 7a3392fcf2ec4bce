"""Teams and their members."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from sekisho.core.clock import Clock
from sekisho.core.errors import Conflict
from sekisho.store.database import Database
from sekisho.store.records import TeamMember, TeamRecord, UserRecord
from sekisho.store.rows import from_row, to_row
from sekisho.store.tables import team_members, teams
from sekisho.store.users import ensure_users


class TeamRepository:
    """Reads and writes teams."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, team_id: str) -> TeamRecord | None:
        """The team of this id."""
        return next(iter(await self.find([team_id])), None)

    async def find(self, team_ids: Sequence[str] | None = None) -> list[TeamRecord]:
        """These teams, or all, the newest first."""
        wanted = sa.select(teams).order_by(teams.c.created_at.desc(), teams.c.team_id)
        if team_ids is not None:
            wanted = wanted.where(teams.c.team_id.in_(team_ids))
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        now = self._clock.now()
        return [from_row(row, TeamRecord, now) for row in rows]

    async def members(self, team_ids: Sequence[str]) -> list[TeamMember]:
        """The members of these teams, administrators first."""
        wanted = sa.select(team_members).where(team_members.c.team_id.in_(team_ids))
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted.order_by(team_members.c.role, team_members.c.user_id))).mappings()
            found = rows.all()
        now = self._clock.now()
        return [from_row(row, TeamMember, now) for row in found]

    async def insert(self, record: TeamRecord, members: Sequence[TeamMember], users: Sequence[UserRecord]) -> None:
        """Add a team with its members, and those of `users` that do not exist yet.

        Raises:
            Conflict: the team exists already.
        """
        try:
            async with self._database.change() as connection:
                await ensure_users(self._database, connection, users)
                await connection.execute(sa.insert(teams).values(to_row(record)))
                await self._put_members(connection, members)
        except sa.exc.IntegrityError as error:
            raise Conflict(f"Team {record.team_id!r} exists already.", param="team_id", status=400) from error

    async def update(self, team_id: str, changes: Mapping[str, Any]) -> TeamRecord | None:
        """Set some columns and return the team, or None if there is none."""
        change = sa.update(teams).where(teams.c.team_id == team_id).values(**changes).returning(*teams.c)
        async with self._database.change() as connection:
            row = (await connection.execute(change)).mappings().first()
        return None if row is None else from_row(row, TeamRecord, self._clock.now())

    async def put_members(self, members: Sequence[TeamMember], users: Sequence[UserRecord]) -> None:
        """Add members, or set the role and limits of those that are members already; new `users` are added."""
        async with self._database.change() as connection:
            await ensure_users(self._database, connection, users)
            await self._put_members(connection, members)

    async def _put_members(self, connection: AsyncConnection, members: Sequence[TeamMember]) -> None:
        if not members:
            return
        statement = self._database.insert(team_members)
        kept = {"team_id", "user_id", "spend", "total_spend"}
        changed = {column.name: column for column in statement.excluded if column.name not in kept}
        statement = statement.on_conflict_do_update(index_elements=["team_id", "user_id"], set_=changed)
        await connection.execute(statement, [to_row(member) for member in members])
