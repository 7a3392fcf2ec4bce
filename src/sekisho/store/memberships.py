"""Memberships of teams and of organisations: rows with a key of two columns, limits and accounts."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from sekisho.core.accounts import member_id
from sekisho.core.caller import ScopeKind
from sekisho.core.clock import Clock
from sekisho.store.balances import attach_budgets, attach_spend, main_account
from sekisho.store.database import Database
from sekisho.store.entities import Condition
from sekisho.store.records import OrganizationMember, TeamMember
from sekisho.store.rows import from_row, to_row
from sekisho.store.spend import set_spend

Member = TypeVar("Member", TeamMember, OrganizationMember)


class Memberships(Generic[Member]):
    """Reads and writes the members of one kind of place, within transactions of others where told so.

    Args:
        database: where they are kept.
        clock: the source of time.
        table: whose key is the place and the user.
        record_type: what its rows are.
        kind: what the members' accounts are called.
    """

    def __init__(
        self, database: Database, clock: Clock, table: sa.Table, record_type: type[Member], kind: ScopeKind
    ) -> None:
        self._database = database
        self._clock = clock
        self._table = table
        self._record_type: type[Member] = record_type
        self._kind = kind
        self._place, self._user = table.primary_key.columns

    async def of_places(self, places: Sequence[str]) -> list[Member]:
        """The members of these teams or organisations, administrators first."""
        return await self._find(self._place.in_(places))

    async def of_users(self, user_ids: Sequence[str]) -> list[Member]:
        """What these users are members of."""
        return await self._find(self._user.in_(user_ids))

    async def one(self, place: str, user_id: str) -> Member | None:
        """One user's membership."""
        return next(iter(await self._find(*self._who(place, user_id))), None)

    async def put(self, connection: AsyncConnection, members: Sequence[Member]) -> None:
        """Add members, or set the role and limits of those that are members already."""
        if not members:
            return
        statement = self._database.insert(self._table)
        keys = [self._place.name, self._user.name]
        changed = {column.name: column for column in statement.excluded if column.name not in keys}
        statement = statement.on_conflict_do_update(index_elements=keys, set_=changed)
        await connection.execute(statement, [to_row(member) for member in members])

    async def update(
        self, connection: AsyncConnection, place: str, user_id: str, changes: Mapping[str, Any]
    ) -> Member | None:
        """Set some columns of a membership and return it, or None if there is none.

        `spend`, in nano-dollars, is set in the account of the open window of `max_budget`.
        """
        who = self._who(place, user_id)
        columns = {name: value for name, value in changes.items() if name != "spend"}
        if columns:
            await connection.execute(sa.update(self._table).where(*who).values(**columns))
        found = await self._read(connection, *who)
        if found and "spend" in changes:
            account = main_account(self._kind, member_id(place, user_id), found[0], self._clock.now())
            await set_spend(self._database, connection, account, changes["spend"])
            found = await self._read(connection, *who)
        return next(iter(found), None)

    async def remove(self, connection: AsyncConnection, place: str, user_ids: Sequence[str]) -> int:
        """Take members off a place and return how many there were."""
        gone = sa.delete(self._table).where(self._place == place, self._user.in_(user_ids))
        return (await connection.execute(gone)).rowcount

    def _who(self, place: str, user_id: str) -> tuple[Condition, Condition]:
        return self._place == place, self._user == user_id

    async def _find(self, *conditions: Condition) -> list[Member]:
        async with self._database.read() as connection:
            return await self._read(connection, *conditions)

    async def _read(self, connection: AsyncConnection, *conditions: Condition) -> list[Member]:
        role_first = (self._table.c.role, self._user) if self._kind == "member" else (self._user,)
        wanted = sa.select(self._table).where(*conditions).order_by(*role_first)
        now = self._clock.now()
        rows = (await connection.execute(wanted)).mappings().all()
        records = [from_row(row, self._record_type, now) for row in rows]
        found = await connection.run_sync(attach_budgets, records, now)
        owned = [(self._identity(member), member) for member in found]
        return await connection.run_sync(attach_spend, self._kind, owned, now)

    def _identity(self, member: Member) -> str:
        return member_id(cast(str, getattr(member, str(self._place.name))), member.user_id)
