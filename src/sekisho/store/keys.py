"""Virtual keys."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from sekisho.core.accounts import member_id
from sekisho.core.clock import Clock
from sekisho.core.errors import Conflict
from sekisho.store.balances import Owned
from sekisho.store.database import Database
from sekisho.store.entities import Condition, EntityRepository, resolve
from sekisho.store.limits import changes_at
from sekisho.store.records import (
    Access,
    Budgeted,
    KeyRecord,
    OrganizationRecord,
    ProjectRecord,
    TeamMember,
    TeamRecord,
    UserRecord,
)
from sekisho.store.rows import from_row
from sekisho.store.tables import keys, organizations, projects, replaced_keys, team_members, teams, users

AnyBudgeted = TypeVar("AnyBudgeted", bound=Budgeted)
AnyGrouped = TypeVar("AnyGrouped", KeyRecord, TeamRecord)


class KeyFilter(Struct, frozen=True, kw_only=True):
    """Which keys are wanted; None is no condition.

    visible_to: (user, teams): keys of this user or of one of these teams.
    """

    user_id: str | None = None
    team_id: str | None = None
    project_id: str | None = None
    organization_id: str | None = None
    key_alias: str | None = None
    key_hash: str | None = None
    visible_to: tuple[str, tuple[str, ...]] | None = None


class KeyRepository(EntityRepository[KeyRecord]):
    """Reads and writes virtual keys."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock, keys, KeyRecord, "key", account_column="account_id")

    async def select(self, wanted: KeyFilter, *, limit: int, offset: int = 0) -> tuple[list[KeyRecord], int]:
        """One page of keys, the newest first, and how many there are in all."""
        return await self.find(*_conditions(wanted), limit=limit, offset=offset)

    async def of_teams(self, team_ids: Sequence[str]) -> list[KeyRecord]:
        """The keys of these teams, the newest first."""
        return await self._all(keys.c.team_id.in_(team_ids))

    async def access(self, key_hash: str) -> Access | None:
        """The key of this hash, or the one that has replaced it, with all that limits it, all of one moment."""
        now = self._clock.now()
        async with self._database.read() as connection:
            key = await self._find_key(connection, key_hash, now)
            return None if key is None else await _read_access(connection, key, now)

    async def require_free_alias(self, alias: str) -> None:
        """Raise Conflict if a key has this alias."""
        if (await self.find(keys.c.key_alias == alias, limit=1))[1]:
            raise _taken(alias)

    async def replace(
        self, key_hash: str, changes: Mapping[str, Any], *, valid_until: float | None
    ) -> KeyRecord | None:
        """Give a key another hash and name (`changes`); its accounts stay. None if there is no such key.

        Args:
            key_hash: the hash that it has.
            changes: with `key_hash` and `key_name`.
            valid_until: how long the old text opens the door too, in seconds since the epoch; None: no longer.

        Raises:
            Conflict: the new key exists already.
        """
        try:
            async with self._database.change() as connection:
                record = await self._update(connection, key_hash, changes)
                if record is not None and valid_until is not None:
                    row = {"key_hash": key_hash, "account_id": record.account_id, "valid_until": valid_until}
                    await connection.execute(sa.insert(replaced_keys).values(row))
                over = replaced_keys.c.valid_until <= self._clock.now()
                await connection.execute(sa.delete(replaced_keys).where(over))
        except sa.exc.IntegrityError as error:
            raise _taken(None) from error
        return record

    async def delete(self, identities: Sequence[str]) -> int:
        """Delete keys; their usage rows stay."""
        async with self._database.change() as connection:
            return await delete_keys(connection, keys.c.key_hash.in_(identities))

    async def _find_key(self, connection: AsyncConnection, key_hash: str, now: float) -> KeyRecord | None:
        found = (await connection.execute(sa.select(keys).where(keys.c.key_hash == key_hash))).mappings().first()
        if found is not None:
            return from_row(found, KeyRecord, now)
        old = sa.select(keys, replaced_keys.c.valid_until).join(
            replaced_keys, replaced_keys.c.account_id == keys.c.account_id
        )
        found = (await connection.execute(old.where(replaced_keys.c.key_hash == key_hash))).mappings().first()
        if found is None:
            return None
        key = from_row(found, KeyRecord, now)
        end: float = found["valid_until"]
        return msgspec.structs.replace(key, expires=end if key.expires is None else min(end, key.expires))

    def _conflict(self, named: Mapping[str, Any]) -> Conflict:
        return _taken(named.get("key_alias"))


async def delete_keys(connection: AsyncConnection, *conditions: Condition) -> int:
    """Delete the keys that meet all conditions, with what they were called before, and return how many there were."""
    gone = (await connection.execute(sa.select(keys.c.key_hash, keys.c.account_id).where(*conditions))).all()
    hashes, account_ids = [row.key_hash for row in gone], [row.account_id for row in gone]
    await connection.execute(sa.delete(replaced_keys).where(replaced_keys.c.account_id.in_(account_ids)))
    await connection.execute(sa.delete(keys).where(keys.c.key_hash.in_(hashes)))
    return len(gone)


async def _read_access(connection: AsyncConnection, key: KeyRecord, now: float) -> Access:
    """The key with every level above it. A key in no organisation belongs to that of its team."""
    user = await _first(connection, users, UserRecord, now, key.user_id)
    team = await _first(connection, teams, TeamRecord, now, key.team_id)
    member = await _first(connection, team_members, TeamMember, now, key.team_id, key.user_id)
    project = await _first(connection, projects, ProjectRecord, now, key.project_id)
    organization_id = key.organization_id or (team.organization_id if team is not None else None)
    organization = await _first(connection, organizations, OrganizationRecord, now, organization_id)
    key = _with_groups(key)
    team = None if team is None else _with_groups(team)
    owned: list[Owned] = [Owned("key", key.account_id, key)]
    if user is not None:
        owned.append(Owned("user", user.user_id, user))
    if team is not None:
        owned.append(Owned("team", team.team_id, team))
    if member is not None:
        # What the member and its own budget leave open is said by the team.
        limits = team.member_limits if team is not None else None
        owned.append(Owned("member", member_id(member.team_id, member.user_id), member, limits))
    if project is not None:
        owned.append(Owned("project", project.project_id, project))
    if organization is not None:
        owned.append(Owned("organization", organization.organization_id, organization))
    resolved = await resolve(connection, owned, now)
    found: dict[str, Any] = {one.kind: record for one, record in zip(owned, resolved, strict=True)}
    levels: dict[str, Any] = {name: found.get(name) for name in ("user", "team", "member", "project", "organization")}
    return Access(key=found["key"], stale_at=changes_at(resolved, now), **levels)


async def _first(
    connection: AsyncConnection, table: sa.Table, kind: type[AnyBudgeted], now: float, *identity: str | None
) -> AnyBudgeted | None:
    """The row of this primary key; none when a part of it is None."""
    if None in identity:
        return None
    key = zip(table.primary_key.columns, identity, strict=True)
    row = (await connection.execute(sa.select(table).where(*(column == part for column, part in key)))).mappings()
    found = row.first()
    return None if found is None else from_row(found, kind, now)


def _with_groups(record: AnyGrouped) -> AnyGrouped:
    """The record with its access groups in its list of models."""
    if not record.access_group_ids:
        return record
    return msgspec.structs.replace(record, models=(*record.models, *record.access_group_ids))


def _taken(alias: object) -> Conflict:
    what = "The key exists already" if alias is None else f"Key alias {alias!r} is taken and must be unique"
    message = f"{what}, or something it belongs to was deleted meanwhile. Choose another one."
    return Conflict(message, param="key" if alias is None else "key_alias", status=400, kind="bad_request_error")


def _conditions(wanted: KeyFilter) -> list[Condition]:
    fields = {name: getattr(wanted, name) for name in wanted.__struct_fields__ if name != "visible_to"}
    conditions = [keys.c[name] == value for name, value in fields.items() if value is not None]
    if wanted.visible_to is not None:
        user_id, team_ids = wanted.visible_to
        conditions.append(sa.or_(keys.c.user_id == user_id, keys.c.team_id.in_(team_ids)))
    return conditions
