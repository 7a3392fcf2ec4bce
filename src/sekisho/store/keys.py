"""Virtual keys."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from sekisho.core.clock import Clock
from sekisho.core.errors import Conflict
from sekisho.store.access import read_access
from sekisho.store.database import Database
from sekisho.store.entities import Condition, EntityRepository
from sekisho.store.records import Access, KeyRecord
from sekisho.store.tables import keys, replaced_keys


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
        return await self._database.inspect(partial(read_access, key_hash=key_hash, now=self._clock.now()))

    async def aliases(
        self, wanted: KeyFilter, search: str | None, *, limit: int, offset: int = 0
    ) -> tuple[list[str], int]:
        """One page of the aliases of keys, those that contain `search`, in order, and how many there are."""
        conditions = [*_conditions(wanted), keys.c.key_alias.is_not(None)]
        if search:
            conditions.append(sa.func.lower(keys.c.key_alias).contains(search.lower(), autoescape=True))
        found = sa.select(keys.c.key_alias).where(*conditions).order_by(keys.c.key_alias).limit(limit).offset(offset)
        async with self._database.read() as connection:
            total = await connection.scalar(sa.select(sa.func.count()).select_from(keys).where(*conditions))
            return list((await connection.execute(found)).scalars()), total or 0

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

    def _conflict(self, named: Mapping[str, Any]) -> Conflict:
        return _taken(named.get("key_alias"))


async def delete_keys(connection: AsyncConnection, *conditions: Condition) -> int:
    """Delete the keys that meet all conditions, with what they were called before, and return how many there were."""
    gone = (await connection.execute(sa.select(keys.c.key_hash, keys.c.account_id).where(*conditions))).all()
    hashes, account_ids = [row.key_hash for row in gone], [row.account_id for row in gone]
    await connection.execute(sa.delete(replaced_keys).where(replaced_keys.c.account_id.in_(account_ids)))
    await connection.execute(sa.delete(keys).where(keys.c.key_hash.in_(hashes)))
    return len(gone)


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
