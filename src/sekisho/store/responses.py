"""Responses that clients asked to be kept, so that later calls can go on from them. They hold prompts and answers."""

from typing import Final

import sqlalchemy as sa

from sekisho.store.database import Database
from sekisho.store.tables import responses


class StoredResponses:
    """Keeps responses apart by owner (`Caller.owner`) and until a time, in seconds since the epoch."""

    def __init__(self, database: Database) -> None:
        self._database: Final = database

    async def put(self, owner: str, response_id: str, body: bytes, expires_at: float) -> None:
        """Keep a response; one of the same id is replaced.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        values = {"owner": owner, "response_id": response_id, "body": body, "expires_at": expires_at}
        kept = self._database.insert(responses).values(values)
        statement = kept.on_conflict_do_update(
            index_elements=["owner", "response_id"], set_={"body": body, "expires_at": expires_at}
        )
        await self._database.transact(lambda connection: connection.execute(statement).rowcount)

    async def get(self, owner: str, response_id: str, now: float) -> bytes | None:
        """What was kept; None when it was not, belongs to someone else, or has expired."""
        wanted = sa.select(responses.c.body).where(*_is(owner, response_id), responses.c.expires_at > now)
        async with self._database.read() as connection:
            body: bytes | None = await connection.scalar(wanted)
        return body

    async def delete(self, owner: str, response_id: str) -> bool:
        """Forget a response; says whether there was one."""
        statement = sa.delete(responses).where(*_is(owner, response_id))
        return await self._database.transact(lambda connection: connection.execute(statement).rowcount) > 0

    async def purge(self, now: float) -> int:
        """Forget what has expired; says how many that were."""
        statement = sa.delete(responses).where(responses.c.expires_at <= now)
        return await self._database.transact(lambda connection: connection.execute(statement).rowcount)


def _is(owner: str, response_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return responses.c.owner == owner, responses.c.response_id == response_id
