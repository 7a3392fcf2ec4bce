"""Organisations and their members."""

from collections.abc import Sequence

import sqlalchemy as sa

from sekisho.core.clock import Clock
from sekisho.store.database import Database
from sekisho.store.entities import Condition, EntityRepository
from sekisho.store.keys import delete_keys
from sekisho.store.records import OrganizationMember, OrganizationRecord, UserRecord
from sekisho.store.rows import from_row, to_row
from sekisho.store.tables import keys, organization_members, organizations, teams
from sekisho.store.teams import delete_teams
from sekisho.store.users import changed_meanwhile, ensure_users


class OrganizationRepository(EntityRepository[OrganizationRecord]):
    """Reads and writes organisations."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, organizations, OrganizationRecord, "organization")

    async def select(
        self, *, organization_ids: Sequence[str] | None = None, alias: str | None = None
    ) -> list[OrganizationRecord]:
        """These organisations, or all, the newest first; with this alias if one is given."""
        conditions: list[Condition] = (
            [] if organization_ids is None else [organizations.c.organization_id.in_(organization_ids)]
        )
        if alias is not None:
            conditions.append(organizations.c.organization_alias == alias)
        return await self._all(*conditions)

    async def members(self, organization_ids: Sequence[str]) -> list[OrganizationMember]:
        """The members of these organisations, by id."""
        wanted = sa.select(organization_members).where(organization_members.c.organization_id.in_(organization_ids))
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted.order_by(organization_members.c.user_id))).mappings().all()
        return [from_row(row, OrganizationMember, self._clock.now()) for row in rows]

    async def put_members(self, members: Sequence[OrganizationMember], users: Sequence[UserRecord]) -> None:
        """Add members, or set the role of those that are members already; new `users` are added.

        Raises:
            Conflict: the organisation is gone, or somebody else took a new user's e-mail address meanwhile.
        """
        if not members:
            return
        statement = self._database.insert(organization_members)
        role = {"role": statement.excluded.role}
        statement = statement.on_conflict_do_update(index_elements=["organization_id", "user_id"], set_=role)
        try:
            async with self._database.change() as connection:
                await ensure_users(self._database, connection, users)
                await connection.execute(statement, [to_row(member) for member in members])
        except sa.exc.IntegrityError as error:
            raise changed_meanwhile() from error

    async def remove_members(self, organization_id: str, user_ids: Sequence[str]) -> int:
        """Take members off an organisation and return how many there were; their keys and teams stay."""
        gone = sa.delete(organization_members).where(
            organization_members.c.organization_id == organization_id, organization_members.c.user_id.in_(user_ids)
        )
        async with self._database.change() as connection:
            return (await connection.execute(gone)).rowcount

    async def delete(self, identities: Sequence[str]) -> int:
        """Delete organisations with their teams and keys, and return how many there were."""
        async with self._database.change() as connection:
            of_them = sa.select(teams.c.team_id).where(teams.c.organization_id.in_(identities))
            await delete_teams(connection, list((await connection.execute(of_them)).scalars()))
            await delete_keys(connection, keys.c.organization_id.in_(identities))
            gone = sa.delete(organizations).where(organizations.c.organization_id.in_(identities))
            return (await connection.execute(gone)).rowcount
