"""Virtual keys."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from sekisho.core.clock import Clock
from sekisho.core.errors import Conflict
from sekisho.store.database import Database
from sekisho.store.records import Access, KeyRecord, TeamRecord, UserRecord
from sekisho.store.rows import from_row, to_row
from sekisho.store.tables import keys, team_members, teams, users


class KeyFilter(Struct, frozen=True, kw_only=True):
    """Which keys are wanted; None is no condition."""

    user_id: str | None = None
    team_id: str | None = None
    key_alias: str | None = None
    key_hash: str | None = None


class KeyRepository:
    """Reads and writes virtual keys."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, key_hash: str) -> KeyRecord | None:
        """The key of this hash."""
        return next(iter((await self.find(KeyFilter(key_hash=key_hash), limit=1))[0]), None)

    async def find(self, wanted: KeyFilter, *, limit: int, offset: int = 0) -> tuple[list[KeyRecord], int]:
        """One page of keys, the newest first, and how many there are in all."""
        conditions = _conditions(wanted)
        newest = sa.select(keys).where(*conditions).order_by(keys.c.created_at.desc(), keys.c.key_hash)
        async with self._database.read() as connection:
            total = await connection.scalar(sa.select(sa.func.count()).select_from(keys).where(*conditions))
            rows = (await connection.execute(newest.limit(limit).offset(offset))).mappings().all()
        now = self._clock.now()
        return [from_row(row, KeyRecord, now) for row in rows], total or 0

    async def of_teams(self, team_ids: Sequence[str]) -> list[KeyRecord]:
        """The keys of these teams, the newest first."""
        newest = sa.select(keys).where(keys.c.team_id.in_(team_ids)).order_by(keys.c.created_at.desc(), keys.c.key_hash)
        async with self._database.read() as connection:
            rows = (await connection.execute(newest)).mappings().all()
        now = self._clock.now()
        return [from_row(row, KeyRecord, now) for row in rows]

    async def access(self, key_hash: str) -> Access | None:
        """The key of this hash with its user, its team and the user's role in the team, all of one moment."""
        async with self._database.read() as connection:
            key = (await connection.execute(sa.select(keys).where(keys.c.key_hash == key_hash))).mappings().first()
            if key is None:
                return None
            by_user, by_team = users.c.user_id == key["user_id"], teams.c.team_id == key["team_id"]
            user = (await connection.execute(sa.select(users).where(by_user))).mappings().first()
            team = (await connection.execute(sa.select(teams).where(by_team))).mappings().first()
            member = sa.select(team_members.c.role).where(
                team_members.c.team_id == key["team_id"], team_members.c.user_id == key["user_id"]
            )
            role = await connection.scalar(member)
        now = self._clock.now()
        return Access(
            key=from_row(key, KeyRecord, now),
            user=None if user is None else from_row(user, UserRecord, now),
            team=None if team is None else from_row(team, TeamRecord, now),
            team_role=role,
        )

    async def require_free_alias(self, alias: str) -> None:
        """Raise Conflict if a key has this alias."""
        if (await self.find(KeyFilter(key_alias=alias), limit=1))[1]:
            raise _taken(alias)

    async def insert(self, record: KeyRecord) -> None:
        """Add a key.

        Raises:
            Conflict: the key or its alias exists already.
        """
        try:
            async with self._database.change() as connection:
                await connection.execute(sa.insert(keys).values(to_row(record)))
        except sa.exc.IntegrityError as error:
            raise _taken(record.key_alias) from error

    async def update(self, key_hash: str, changes: Mapping[str, Any]) -> KeyRecord | None:
        """Set some columns and return the key, or None if there is none.

        Raises:
            Conflict: the new alias belongs to another key.
        """
        change = sa.update(keys).where(keys.c.key_hash == key_hash).values(**changes).returning(*keys.c)
        try:
            async with self._database.change() as connection:
                row = (await connection.execute(change)).mappings().first()
        except sa.exc.IntegrityError as error:
            raise _taken(changes.get("key_alias")) from error
        return None if row is None else from_row(row, KeyRecord, self._clock.now())

    async def delete(self, hashes: Sequence[str]) -> None:
        """Delete keys; their usage rows stay."""
        async with self._database.change() as connection:
            await connection.execute(sa.delete(keys).where(keys.c.key_hash.in_(hashes)))


def _taken(alias: object) -> Conflict:
    what = "The key exists already" if alias is None else f"Key alias {alias!r} is taken and must be unique"
    message = f"{what}, or its user or team was deleted meanwhile. Choose another one."
    return Conflict(message, param="key" if alias is None else "key_alias", status=400, kind="bad_request_error")


def _conditions(wanted: KeyFilter) -> list[sa.ColumnElement[bool]]:
    fields = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
    return [keys.c[name] == value for name, value in fields.items() if value is not None]
