"""What repeats in usage rows, such as who called: kept once, under a number that the rows have instead."""

from collections.abc import Collection, Sequence
from hashlib import blake2b
from typing import Final, Generic, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from sekisho.store.database import Database
from sekisho.store.spend import in_chunks

Item = TypeVar("Item", bound=Struct)

_REMEMBERED: Final = 200_000
_DIGEST_BYTES: Final = 16
_encode = msgspec.msgpack.Encoder().encode


class Numbers(Generic[Item]):
    """The numbers of the rows of one table, whose columns are the fields of `Item`.

    What is remembered is true as long as nothing is deleted from the table. A number that a transaction has found is
    remembered only when that is committed.
    """

    def __init__(self, database: Database, table: sa.Table) -> None:
        self._database = database
        self._table = table
        self._known: dict[Item, int] = {}

    def find(self, connection: sa.Connection, items: Sequence[Item]) -> tuple[list[int], dict[Item, int]]:
        """The number of each item, and of those that were not known, which are to be remembered.

        Those that have none are given one. In PostgreSQL their rows are locked then.
        """
        numbers = list(map(self._known.get, items))
        known = [number for number in numbers if number is not None]
        if len(known) == len(numbers):
            return known, {}
        unknown = {item for item, number in zip(items, numbers, strict=True) if number is None}
        found = self._look_up(connection, unknown)
        return [found[item] if number is None else number for item, number in zip(items, numbers, strict=True)], found

    def remember(self, found: dict[Item, int]) -> None:
        """What `find` has found is committed."""
        if not found:
            return
        if len(self._known) > _REMEMBERED:
            self._known = {}  # not emptied: another thread may be reading it
        self._known.update(found)

    def _look_up(self, connection: sa.Connection, missing: Collection[Item]) -> dict[Item, int]:
        """In an order that is the same in every process, so that no two wait for each other for ever."""
        digests = dict(sorted((digest_of(item), item) for item in missing))
        found = self._read(connection, digests)
        if new := [
            {"digest": each, **msgspec.structs.asdict(item)} for each, item in digests.items() if each not in found
        ]:
            insert = self._database.insert(self._table).on_conflict_do_nothing(index_elements=["digest"])
            connection.execute(insert, new)
            found = self._read(connection, digests)
        return {item: found[each] for each, item in digests.items()}

    def _read(self, connection: sa.Connection, digests: Collection[bytes]) -> dict[bytes, int]:
        columns = self._table.c
        found: dict[bytes, int] = {}
        for some in in_chunks(list(digests)):
            query = sa.select(columns.digest, columns.id).where(columns.digest.in_(some))
            found.update((bytes(each), number) for each, number in connection.execute(query))
        return found


def digest_of(value: object) -> bytes:
    """Stands for a value where that is too long for an index."""
    return blake2b(_encode(value), digest_size=_DIGEST_BYTES).digest()
