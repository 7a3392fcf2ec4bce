"""What is spent: one number for each account, whose names are made by `core.accounts`."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from sekisho.store.database import Database
from sekisho.store.tables import accounts

Item = TypeVar("Item")

_LONGEST: Final = 500
_NAMES_AT_ONCE: Final = 1_000
"""Both databases take some 32,000 values in one statement."""


def read_spend(connection: sa.Connection, names: Iterable[str]) -> dict[str, int]:
    """What is spent of each account, in nano-dollars: 0 of those that nothing was booked on yet.

    What calls have used in the last moments is missing until the usage journal has written it (`UsageJournal.flush`).
    """
    known = {store_name(name): name for name in names}
    spent = dict.fromkeys(known.values(), 0)
    for some in in_chunks(sorted(known)):
        query = sa.select(accounts.c.account, accounts.c.spent).where(accounts.c.account.in_(some))
        for stored, amount in connection.execute(query):
            spent[known[stored]] = amount
    return spent


async def set_spend(database: Database, connection: AsyncConnection, name: str, amount: int) -> None:
    """Say that `amount` nano-dollars are spent of an account. What workers have leased of it stays leased."""
    insert = database.insert(accounts).values(account=store_name(name), spent=amount, leased=0)
    await connection.execute(insert.on_conflict_do_update(index_elements=["account"], set_={"spent": amount}))


def store_name(name: str) -> str:
    """An account's name as it is stored: without the NUL that PostgreSQL refuses, and short enough for an index."""
    if "\0" in name:
        name = name.replace("\0", "%00")
    if len(name) <= _LONGEST:
        return name
    digest = sha256(name.encode(errors="surrogatepass")).hexdigest()
    return f"{name[: _LONGEST - len(digest) - 1]}#{digest}"


def is_shortened(stored: str) -> bool:
    """Whether the account of this stored name may have another one in truth."""
    return len(stored) == _LONGEST or "%00" in stored


def in_chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """`items` in parts that fit in one statement."""
    for start in range(0, len(items), _NAMES_AT_ONCE):
        yield items[start : start + _NAMES_AT_ONCE]
