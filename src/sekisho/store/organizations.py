"""Organisations and their members."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from sekisho.core.clock import Clock
from sekisho.store.database import Database
from sekisho.store.entities import Condition, EntityRepository
from sekisho.store.keys import delete_keys
from sekisho.store.memberships import Memberships
from sekisho.store.records import OrganizationMember, OrganizationRecord, UserRecord
from sekisho.store.tables import keys, organization_members, organizations, teams
from sekisho.store.teams import delete_teams
from sekisho.store.users import changed_meanwhile, ensure_users


class OrganizationRepository(EntityRepository[OrganizationRecord]):
    """Reads and writes organisations."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, organizations, OrganizationRecord, "organization")
        self._members = Memberships(database, clock, organization_members, OrganizationMember, "organization_member")

    async def select(
        self,
        *,
        organization_ids: Sequence[str] | None = None,
        alias: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[list[OrganizationRecord], int]:
        """One page of these organisations, or of all, the newest first, and how many there are; of this alias."""
        conditions: list[Condition] = (
            [] if organization_ids is None else [organizations.c.organization_id.in_(organization_ids)]
        )
        if alias is not None:
            conditions.append(organizations.c.organization_alias == alias)
        return await self.find(*conditions, limit=limit, offset=offset)

    async def members(self, organization_ids: Sequence[str]) -> list[OrganizationMember]:
        """The members of these organisations, by id."""
        return await self._members.of_places(organization_ids)

    async def member(self, organization_id: str, user_id: str) -> OrganizationMember | None:
        """One member of an organisation."""
        return await self._members.one(organization_id, user_id)

    async def of_users(self, user_ids: Sequence[str]) -> list[OrganizationMember]:
        """What these users are members of, with what they have spent there."""
        return await self._members.of_users(user_ids)

    async def put_members(self, members: Sequence[OrganizationMember], users: Sequence[UserRecord]) -> None:
        """Add members, or set the role and limits of those that are members already; new `users` are added.

        Raises:
            Conflict: the organisation is gone, or somebody else took a new user's e-mail address meanwhile.
        """
        try:
            async with self._database.change() as connection:
                await ensure_users(self._database, connection, users)
                await self._members.put(connection, members)
        except sa.exc.IntegrityError as error:
            raise changed_meanwhile() from error

    async def update_member(
        self, organization_id: str, user_id: str, changes: Mapping[str, Any]
    ) -> OrganizationMember | None:
        """Set some columns of a membership and return it, or None if there is none.

        Raises:
            Conflict: the budget it shall refer to is gone.
        """
        try:
            async with self._database.change() as connection:
                return await self._members.update(connection, organization_id, user_id, changes)
        except sa.exc.IntegrityError as error:
            raise changed_meanwhile() from error

    async def remove_members(self, organization_id: str, user_ids: Sequence[str]) -> int:
        """Take members off an organisation and return how many there were; their keys and teams stay."""
        async with self._database.change() as connection:
            return await self._members.remove(connection, organization_id, user_ids)

    async def delete(self, identities: Sequence[str]) -> int:
        """Delete organisations with their teams and keys, and return how many there were."""
        async with self._database.change() as connection:
            of_them = sa.select(teams.c.team_id).where(teams.c.organization_id.in_(identities))
            await delete_teams(connection, list((await connection.execute(of_them)).scalars()))
            await delete_keys(connection, keys.c.organization_id.in_(identities))
            gone = sa.delete(organizations).where(organizations.c.organization_id.in_(identities))
            return (await connection.execute(gone)).rowcount
