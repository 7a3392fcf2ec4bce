"""What all levels of the hierarchy have in common in the store: rows with one key, limits and accounts."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from sekisho.core.accounts import money_account
from sekisho.core.caller import ScopeKind
from sekisho.core.clock import Clock
from sekisho.core.errors import Conflict
from sekisho.store.balances import (
    Owned,
    account_names,
    attach_budgets,
    attach_carried,
    attach_spend,
    main_account,
)
from sekisho.store.database import Database
from sekisho.store.limits import at_time, expand_models, in_force
from sekisho.store.records import Budgeted
from sekisho.store.rows import from_row, to_row
from sekisho.store.spend import in_chunks, set_spend, store_name
from sekisho.store.tables import access_groups, accounts

Record = TypeVar("Record", bound=Budgeted)

Condition = sa.ColumnElement[bool]


class EntityRepository(Generic[Record]):
    """Reads and writes one level of the hierarchy.

    Args:
        database: where it is kept.
        clock: the source of time.
        table: with a key of one column.
        record_type: what its rows are.
        kind: what its accounts are called.
        account_column: where the ids in the names of the accounts are; the key, unless told otherwise.
        keeps_spend: one that is not kept here may be used all the same, and once it is, it goes on with what was booked
            on its accounts before.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        table: sa.Table,
        record_type: type[Record],
        kind: ScopeKind,
        *,
        account_column: str | None = None,
        keeps_spend: bool = False,
    ) -> None:
        self._database = database
        self._clock = clock
        self._table = table
        self._record_type = record_type
        self._kind = kind
        (self._key,) = table.primary_key.columns
        self._key_name = str(self._key.name)
        self._account_column = account_column or self._key_name
        self._keeps_spend = keeps_spend

    async def get(self, identity: str) -> Record | None:
        """The one of this id, with what it has spent."""
        return await self._database.inspect(lambda connection: self._one(connection, self._key == identity))

    async def get_many(self, identities: Sequence[str]) -> list[Record]:
        """Those of these ids that there are."""
        found: list[Record] = []
        for some in in_chunks(identities):
            found += await self._all(self._key.in_(some))
        return found

    async def find(self, *conditions: Condition, limit: int | None = None, offset: int = 0) -> tuple[list[Record], int]:
        """One page of those that meet all conditions, the newest first, and how many there are in all."""
        table = self._table
        newest = sa.select(table).where(*conditions).order_by(table.c.created_at.desc(), self._key.desc())
        page = newest.limit(limit).offset(offset)
        every = sa.select(sa.func.count()).select_from(table).where(*conditions)

        def read(connection: sa.Connection) -> tuple[list[Record], int]:
            rows = connection.execute(page).mappings().all()
            return self._complete(connection, rows), connection.scalar(every) or 0

        return await self._database.inspect(read)

    async def effective(self, identity: str) -> Record:
        """The one of this id, also when it is not kept, with the limits in force and with access groups resolved."""
        now = self._clock.now()

        def read(connection: sa.Connection) -> Record:
            row = connection.execute(sa.select(self._table).where(self._key == identity)).mappings().first()
            record = self._stranger(identity) if row is None else from_row(row, self._record_type, now)
            (record,) = self._attach_budgets(connection, [record], now)
            (resolved,) = resolve(connection, [Owned(self._kind, identity, record)], now)
            return cast(Record, resolved)

        return await self._database.inspect(read)

    async def get_seen(self, identities: Sequence[str]) -> list[Record]:
        """Those of these ids that there are, and those that are not kept but have spent something or have limits."""
        records = await self.get_many(identities)
        kept = {getattr(record, self._key_name) for record in records}
        strangers = [self._stranger(identity) for identity in dict.fromkeys(identities) if identity not in kept]
        now = self._clock.now()
        seen = await self._database.inspect(
            lambda connection: self._attach(connection, self._attach_budgets(connection, strangers, now))
        )
        return records + [record for record in seen if record.total_spend or record.budget is not None]

    async def insert(self, record: Record) -> Record:
        """Add one, whose `spend` is where its accounts begin.

        Raises:
            Conflict: the id is taken, or what it refers to does not exist.
        """
        try:
            async with self._database.change() as connection:
                return await self._insert(connection, record)
        except sa.exc.IntegrityError as error:
            raise self._conflict({self._key_name: getattr(record, self._key_name)}) from error

    async def update(self, identity: str, changes: Mapping[str, Any]) -> Record | None:
        """Set some columns and return the one of this id, or None if there is none.

        `spend`, in nano-dollars, is set in the account of the open window of `max_budget`.

        Raises:
            Conflict: something it shall refer to does not exist, or a name is taken.
        """
        try:
            async with self._database.change() as connection:
                return await self._update(connection, identity, changes)
        except sa.exc.IntegrityError as error:
            raise self._conflict(changes) from error

    async def delete(self, identities: Sequence[str]) -> int:
        """Delete those of these ids and return how many there were.

        Those that may be used all the same begin anew with nothing spent.

        Raises:
            Conflict: something refers to one of them.
        """
        try:
            async with self._database.change() as connection:
                if self._keeps_spend:
                    await self._forget_spend(connection, identities)
                result = await connection.execute(sa.delete(self._table).where(self._key.in_(identities)))
                return result.rowcount
        except sa.exc.IntegrityError as error:
            names = ", ".join(identities)
            raise Conflict(f"{self._kind} {names}: something still refers to it.", status=400) from error

    async def _insert(self, connection: AsyncConnection, record: Record) -> Record:
        await connection.execute(sa.insert(self._table).values(to_row(record)))
        (record,) = await connection.run_sync(self._attach_budgets, [record], self._clock.now())
        await self._begin_accounts(connection, record)
        (record,) = await connection.run_sync(self._attach, [record])
        return record

    async def _begin_accounts(self, connection: AsyncConnection, record: Record) -> None:
        """Forget what a deleted namesake had spent, and begin where the record says."""
        identity, now = self._account_of(record), self._clock.now()
        if not self._keeps_spend:
            await self._empty_accounts(connection, identity, record)
        if record.spend:
            for name in {
                money_account(self._kind, identity, None, now),
                main_account(self._kind, identity, record, now),
            }:
                await set_spend(self._database, connection, name, record.spend)

    async def _forget_spend(self, connection: AsyncConnection, identities: Sequence[str]) -> None:
        rows = (await connection.execute(sa.select(self._table).where(self._key.in_(identities)))).mappings().all()
        for record in await connection.run_sync(self._complete, rows):
            await self._empty_accounts(connection, self._account_of(record), record)

    async def _empty_accounts(self, connection: AsyncConnection, identity: str, record: Record) -> None:
        names = [store_name(name) for name in account_names(self._kind, identity, record, self._clock.now())]
        booked = sa.update(accounts).where(accounts.c.account.in_(names), accounts.c.spent != 0)
        await connection.execute(booked.values(spent=0))

    async def _update(self, connection: AsyncConnection, identity: str, changes: Mapping[str, Any]) -> Record | None:
        columns = {name: value for name, value in changes.items() if name != "spend"}
        change = sa.update(self._table).where(self._key == identity).values(**columns)
        if columns and (await connection.execute(change)).rowcount == 0:
            return None
        record = await connection.run_sync(self._one, self._key == columns.get(self._key_name, identity))
        if record is None or "spend" not in changes:
            return record
        account = main_account(self._kind, self._account_of(record), record, self._clock.now())
        await set_spend(self._database, connection, account, changes["spend"])
        (record,) = await connection.run_sync(self._attach, [record])
        return record

    def _one(self, connection: sa.Connection, *conditions: Condition) -> Record | None:
        rows = connection.execute(sa.select(self._table).where(*conditions).limit(1)).mappings().all()
        return next(iter(self._complete(connection, rows)), None)

    async def _all(self, *conditions: Condition) -> list[Record]:
        return (await self.find(*conditions))[0]

    def _complete(self, connection: sa.Connection, rows: Sequence[sa.RowMapping]) -> list[Record]:
        """The records of rows, with their budgets and their spend."""
        now = self._clock.now()
        records = [from_row(row, self._record_type, now) for row in rows]
        return self._attach(connection, self._attach_budgets(connection, records, now))

    def _attach_budgets(self, connection: sa.Connection, records: Sequence[Record], now: float) -> list[Record]:
        """The records with the budgets that say what they leave open."""
        return attach_budgets(connection, records, now)

    def _stranger(self, identity: str) -> Record:
        """One that is not kept here: nothing is said of it."""
        fields: dict[str, Any] = {self._key_name: identity}
        return self._record_type(**fields)

    def _attach(self, connection: sa.Connection, records: Sequence[Record]) -> list[Record]:
        owned = [(self._account_of(record), record) for record in records]
        return attach_spend(connection, self._kind, owned, self._clock.now())

    def _account_of(self, record: Record) -> str:
        identity: str = getattr(record, self._account_column)
        return identity

    def _conflict(self, named: Mapping[str, Any]) -> Conflict:
        what = named.get(self._key_name)
        shown = f"{self._kind} {what!r}" if what is not None else f"This {self._kind}"
        message = f"{shown} exists already, or something it refers to does not exist (any more)."
        return Conflict(message, param=self._key_name, status=400, kind="bad_request_error")


def resolve(connection: sa.Connection, owned: Sequence[Owned], now: float) -> list[Budgeted]:
    """The records with the limits that are in force at `now`: what is carried over, access groups.

    Their budgets are attached already.
    """
    forced = [
        Owned(one.kind, one.identity, at_time(in_force(in_force(one.record, one.record.budget), one.defaults), now))
        for one in owned
    ]
    records = attach_carried(connection, forced, now)
    if not any(record.models for record in records):
        return records
    groups = read_groups(connection)
    return [
        msgspec.structs.replace(record, models=expand_models(record.models, groups)) if record.models else record
        for record in records
    ]


def read_groups(connection: sa.Connection) -> dict[str, list[str]]:
    """What every access group stands for."""
    rows = connection.execute(sa.select(access_groups.c.access_group, access_groups.c.model_names))
    return {row.access_group: row.model_names for row in rows}
