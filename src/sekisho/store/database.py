"""The connection to SQLite or PostgreSQL, and the two kinds of transaction: reading and writing."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from sekisho.core.author import current_author
from sekisho.core.clock import Clock, SystemClock
from sekisho.core.errors import ConfigError, StoreUnavailable
from sekisho.store.audit_chain import Change, append
from sekisho.store.capture import Capture

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert
    from sqlalchemy.engine.interfaces import DBAPIConnection

Result = TypeVar("Result")
Row: TypeAlias = tuple[str, str]
"""A row that was changed: its table and its primary key, as the audit trail names them."""

_WRITES: Final = "sekisho_writes"
_CONNECT_SECONDS: Final = 10
_COMMAND_SECONDS: Final = 30
_TRIES: Final = 4
_GAVE_WAY: Final = ("40001", "40P01")
"""Serialization failure and deadlock: of such transactions one is ended, and would succeed if it began anew."""
_BUSY_MILLISECONDS: Final = 10_000
_READERS: Final = 3
_PRAGMAS: Final = (
    f"busy_timeout={_BUSY_MILLISECONDS}",
    *("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"),
    "temp_store=MEMORY",
)
_CACHE_KILOBYTES: Final = 8_000
"""For each connection: reports sort some 10,000s of rows."""
_BOOKING_CACHE_KILOBYTES: Final = 2_000
"""New rows go to the same few pages."""
_PRISMA_PARAMETERS: Final = ("connection_limit", "pool_timeout", "connect_timeout", "pgbouncer", "socket_timeout")
"""Settings of LiteLLM's database client that stand in its users' addresses and mean nothing to ours."""


class Database:
    """One pool of connections. A failure to reach the database is raised as `StoreUnavailable`."""

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        address = _address(url)
        self._clock: Final = clock or SystemClock()
        self.postgres: Final = address.get_backend_name() == "postgresql"
        self.file: Final = None if self.postgres or address.database is None else Path(address.database).absolute()
        self.name: Final = str(self.file or address.set(username=None, password=None))
        self._engine: Final = _postgres_engine(address) if self.postgres else _sqlite_engine(address)
        self._writer: Final = self._engine.execution_options(**{_WRITES: True})
        self._threaded: Final = None if self.postgres else _sqlite_threaded(address, 1, _BOOKING_CACHE_KILOBYTES)
        self._readers: Final = None if self.postgres else _sqlite_threaded(address, _READERS, _CACHE_KILOBYTES)
        self._followers: Final[list[Callable[[Sequence[Row]], None]]] = []
        self._failures: Final = _failures(self.postgres)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads, rolled back at its end."""
        with self._reporting():
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes, committed at its end; on SQLite it holds the only write lock from its start."""
        with self._reporting():
            async with self._writer.begin() as connection:
                yield connection

    @asynccontextmanager
    async def change(self) -> AsyncIterator[AsyncConnection]:
        """An administrative change, audited in the same transaction, by which other processes notice.

        The author is the one who acts (`core.author`). Followers are told when it is durable.
        """
        async with self.write() as connection:
            synchronous = connection.sync_connection
            assert synchronous is not None
            with Capture(synchronous).running() as found:
                yield connection
            await connection.run_sync(append, self.insert, found, current_author(), self._clock.now())
        rows = [(change.object_kind, change.object_id) for change in found]
        for tell in self._followers:
            tell(rows)

    async def note(self, done: Change) -> None:
        """Put what an administrator did outside of the database into the audit trail. Raises StoreUnavailable."""
        async with self.write() as connection:
            await connection.run_sync(append, self.insert, [done], current_author(), self._clock.now())

    def follow(self, tell: Callable[[Sequence[Row]], None]) -> None:
        """Have `tell` called with the rows of every administrative change by this process."""
        self._followers.append(tell)

    async def inspect(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Run `work` as one transaction that only reads; on SQLite in a thread as a whole, like `transact`."""
        with self._reporting():
            if self._readers is not None:
                return await asyncio.to_thread(_in_reading, self._readers, work)
            async with self._engine.connect() as connection:
                return await connection.run_sync(work)

    async def transact(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Run `work` as one writing transaction and commit it.

        On SQLite it runs in a thread as a whole: passing each statement to a thread, as `write` does, costs several
        times more than the statements themselves. PostgreSQL may end it for the sake of another that it stands in the
        way of, though all lock in one order as far as can be; then `work` is run again.
        """
        with self._reporting():
            if self._threaded is not None:
                return await asyncio.to_thread(_in_transaction, self._threaded, work)
            for _ in range(_TRIES - 1):
                try:
                    return await self._run(work)
                except sa.exc.DBAPIError as error:
                    if _sqlstate(error) not in _GAVE_WAY:
                        raise
            return await self._run(work)

    async def _run(self, work: Callable[[sa.Connection], Result]) -> Result:
        async with self._writer.begin() as connection:
            return await connection.run_sync(work)

    def insert(self, table: sa.Table) -> "Insert":
        """An INSERT that knows ON CONFLICT, which the two databases write alike."""
        # Each dialect costs import time, and a process needs one of them only.
        if self.postgres:
            from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415
        else:
            from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]  # noqa: PLC0415 -- same methods
        return insert(table)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()
        for engine in (self._threaded, self._readers):
            if engine is not None:
                engine.dispose()

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except self._failures as error:
            if _is_about_data(error):
                raise
            raise StoreUnavailable("The database does not answer; try again in a moment.") from error


def _is_about_data(error: BaseException) -> bool:
    """Whether the database answered, and refused this statement or its values (SQLSTATE classes 22, 54)."""
    if isinstance(error, sa.exc.IntegrityError | sa.exc.ProgrammingError | sa.exc.DataError):
        return True
    return _sqlstate(error).startswith(("22", "54"))


def _sqlstate(error: BaseException) -> str:
    """PostgreSQL's code for what is wrong; empty where there is none."""
    code = getattr(getattr(error, "orig", None), "sqlstate", None)
    return code if isinstance(code, str) else ""


def _address(url: str) -> sa.URL:
    """The address for SQLAlchemy of a PostgreSQL URL, a SQLite URL or the path of a SQLite file."""
    if "://" not in url:
        return sa.URL.create("sqlite+aiosqlite", database=str(Path(url).expanduser()))
    try:
        address = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigError("database_url cannot be read; expected postgresql://user:password@host:5432/name") from None
    backend = address.drivername.partition("+")[0]
    if backend == "sqlite":
        return address.set(drivername="sqlite+aiosqlite")
    if backend not in {"postgres", "postgresql"}:
        raise ConfigError(f"database_url: {backend} is not supported; expected postgresql:// or sqlite:///")
    query = dict(address.difference_update_query(_PRISMA_PARAMETERS).query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return address.set(drivername="postgresql+asyncpg", query=query)


def _postgres_engine(address: sa.URL) -> AsyncEngine:
    return create_async_engine(
        address,
        pool_size=5,
        max_overflow=5,
        pool_timeout=_CONNECT_SECONDS,
        pool_pre_ping=True,
        connect_args={"timeout": _CONNECT_SECONDS, "command_timeout": _COMMAND_SECONDS},
        json_serializer=_to_json,
        json_deserializer=msgspec.json.decode,
    )


def _sqlite_engine(address: sa.URL) -> AsyncEngine:
    engine = create_async_engine(address, pool_size=3, json_serializer=_to_json, json_deserializer=msgspec.json.decode)
    _listen(engine.sync_engine, _CACHE_KILOBYTES)
    return engine


# Of an object that is no plain number or text sqlite3 asks again and again, by attributes that are not there, how to
# adapt it. For each empty column that costs more than to store it; of what is registered it asks no more.
_NOTHING: Final[dict[None, None]] = {}
sqlite3.register_adapter(type(None), _NOTHING.get)  # the quickest way from None to None
sqlite3.register_adapter(bytes, bytes)
sqlite3.register_adapter(bool, int)


def _sqlite_threaded(address: sa.URL, connections: int, cache_kilobytes: int) -> sa.Engine:
    """For transactions that run in a thread as a whole."""
    engine = sa.create_engine(
        address.set(drivername="sqlite"),
        pool_size=connections,
        connect_args={"check_same_thread": False},  # one at a time, but not always in the same thread
        json_serializer=_to_json,
        json_deserializer=msgspec.json.decode,
    )
    _listen(engine, cache_kilobytes)
    return engine


def _listen(engine: sa.Engine, cache_kilobytes: int) -> None:
    sa.event.listen(engine, "connect", partial(_prepare_sqlite, cache_kilobytes))
    sa.event.listen(engine, "begin", _begin_sqlite)


def _in_transaction(engine: sa.Engine, work: Callable[[sa.Connection], Result]) -> Result:
    with engine.execution_options(**{_WRITES: True}).begin() as connection:
        return work(connection)


def _in_reading(engine: sa.Engine, work: Callable[[sa.Connection], Result]) -> Result:
    with engine.connect() as connection:
        return work(connection)


def _prepare_sqlite(cache_kilobytes: int, connection: "DBAPIConnection", _record: object) -> None:
    """Set up a new connection. Transactions are begun by `_begin_sqlite`, not by the driver, which would begin late."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (*_PRAGMAS, f"cache_size=-{cache_kilobytes}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """Begin; a writer takes the lock at once, since a reader that turns writer cannot wait for it."""
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _failures(postgres: bool) -> tuple[type[BaseException], ...]:
    """What says that the database is away. asyncpg's own errors come through unwrapped while connecting."""
    failures: tuple[type[BaseException], ...] = (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError, TimeoutError)
    if not postgres:
        return failures
    import asyncpg  # noqa: PLC0415 -- costs import time that SQLite need not pay

    return (*failures, asyncpg.PostgresError, asyncpg.InterfaceError)


def _to_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
