"""Going on from an earlier answer: what is kept for it, for whom and how long.

Off unless a time to keep is configured, for what is kept are prompts and answers. Nothing is ever kept upstream.
"""

import logging
from collections.abc import Mapping
from typing import Final, Protocol, cast

import msgspec

from sekisho.core.chat import ClientCall
from sekisho.core.clock import Clock
from sekisho.core.errors import InvalidRequest, NotFound, StoreUnavailable
from sekisho.core.wire import ClientDialect, ContinuingClient

_log = logging.getLogger(__name__)

_OFF: Final = (
    "responses are not kept here, so a call cannot refer to an earlier one. Send the whole conversation as `input` "
    "(set `store` to false in the client), or have the administrator switch on that responses are kept "
    "(general_settings.response_retention)."
)


class KeptResponses(Protocol):
    """Where responses are kept (`store.responses.StoredResponses`). Times are in seconds since the epoch."""

    async def put(self, owner: str, response_id: str, body: bytes, expires_at: float) -> None:
        """Keep a response until `expires_at`. Raises StoreUnavailable."""
        ...

    async def get(self, owner: str, response_id: str, now: float) -> bytes | None:
        """What was kept and has not expired. Raises StoreUnavailable."""
        ...

    async def delete(self, owner: str, response_id: str) -> bool:
        """Forget a response; whether there was one. Raises StoreUnavailable."""
        ...

    async def purge(self, now: float) -> int:
        """Forget what has expired. Raises StoreUnavailable."""
        ...


class Continuity:
    """Keeps the answers that clients want kept. `retention_seconds` None switches it off; it may be changed."""

    def __init__(self, store: KeptResponses, clock: Clock, retention_seconds: float | None) -> None:
        self._store = store
        self._clock = clock
        self.retention_seconds = retention_seconds
        self._continuing: dict[int, bool] = {}  # dialects are never replaced, so their identities serve

    async def resume(self, owner: str, dialect: ClientDialect, call: ClientCall) -> None:
        """Completes a call that goes on from an earlier answer with what was kept, before anything is read of it.

        Raises:
            InvalidRequest: It refers to something that is not kept for this owner.
            StoreUnavailable: What is kept cannot be read now.
        """
        continuing = self._as_continuing(dialect)
        if continuing is None:
            return
        call.stores = call.stores and self.retention_seconds is not None
        wanted = continuing.builds_on(call)
        if not wanted:
            return
        if self.retention_seconds is None:
            param = "input" if call.continues is None else "previous_response_id"
            raise InvalidRequest(f"`{param}`: {_OFF}", param=param)
        found = {response_id: await self._get(owner, response_id) for response_id in wanted}
        kept: Mapping[str, bytes] = {response_id: body for response_id, body in found.items() if body is not None}
        continuing.resume(call, kept)

    async def keep(self, owner: str, dialect: ClientDialect, call: ClientCall, answer: bytes | None) -> None:
        """Keeps a whole answer, as the client got it, if the client wants that. None is a stream that broke.

        A database that is away costs only what was to be kept: the client has its answer.
        """
        if not call.stores or answer is None or self.retention_seconds is None:
            return
        continuing = self._as_continuing(dialect)
        if continuing is None or (made := continuing.keep(call, answer)) is None:
            return
        response_id, body = made
        try:
            await self._store.put(owner, response_id, body, self._clock.now() + self.retention_seconds)
        except StoreUnavailable as error:
            _log.warning("a response could not be kept: %s", error.__cause__ or error)

    async def fetch(self, owner: str, dialect: ContinuingClient, response_id: str) -> bytes:
        """A kept answer as JSON.

        Raises:
            NotFound: None of this id is kept for this owner.
            StoreUnavailable: What is kept cannot be read now.
        """
        kept = await self._get(owner, response_id)
        if kept is None:
            raise _not_found()
        return dialect.show_kept(kept)

    async def forget(self, owner: str, response_id: str) -> bytes:
        """Forgets a kept answer, and says so in JSON. Raises as `fetch`."""
        if not await self._store.delete(owner, response_id):
            raise _not_found()
        return msgspec.json.encode({"id": response_id, "object": "response", "deleted": True})

    async def purge(self) -> int:
        """Forgets what has expired; says how many answers that were. To be called now and then."""
        return await self._store.purge(self._clock.now())

    def _as_continuing(self, dialect: ClientDialect) -> ContinuingClient | None:
        """The dialect if it has earlier answers. Asking a protocol costs too much to do it for every call."""
        known = self._continuing.get(id(dialect))
        if known is None:
            known = self._continuing[id(dialect)] = isinstance(dialect, ContinuingClient)
        return cast(ContinuingClient, dialect) if known else None

    async def _get(self, owner: str, response_id: str) -> bytes | None:
        return await self._store.get(owner, response_id, self._clock.now())


def _not_found() -> NotFound:
    return NotFound("No response of this id is kept for this key; it may have expired.", param="response_id")
