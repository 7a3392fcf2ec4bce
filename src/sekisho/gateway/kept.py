"""Showing and forgetting answers that were kept: GET and DELETE of `/v1/responses/{id}`."""

import re
from collections.abc import Sequence

from sekisho.core.errors import CallerError, SekishoError
from sekisho.core.wire import ClientDialect, ContinuingClient
from sekisho.gateway.continuity import Continuity
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.relay import JSON
from sekisho.identity.authenticate import Identity
from sekisho.identity.rights import check_route

_PATH = re.compile(r"(?P<endpoint>.+)/(?P<id>resp_[^/]+)")


class KeptAnswers:
    """The answers that clients of one dialect had kept, each for its owner."""

    def __init__(self, identity: Identity, continuity: Continuity, dialects: Sequence[ClientDialect]) -> None:
        self._identity = identity
        self._continuity = continuity
        self._dialects = {
            endpoint.path: dialect
            for dialect in dialects
            if isinstance(dialect, ContinuingClient)
            for endpoint in dialect.endpoints
        }

    def serves(self, path: str) -> bool:
        """Whether the path names a kept answer."""
        found = _PATH.fullmatch(path)
        return found is not None and found["endpoint"] in self._dialects

    async def answer(self, exchange: Exchange) -> None:
        """Serve one request."""
        found = _PATH.fullmatch(exchange.path)
        assert found is not None
        dialect = self._dialects[found["endpoint"]]
        try:
            caller = await self._identity.authenticate(exchange.headers)
            check_route(caller, exchange.path)
            if exchange.method == "GET":
                body = await self._continuity.fetch(caller.owner, dialect, found["id"])
            elif exchange.method == "DELETE":
                body = await self._continuity.forget(caller.owner, found["id"])
            else:
                raise CallerError(f"{exchange.path} takes GET and DELETE, not {exchange.method}.", status=405)
        except SekishoError as error:
            exchange.answer(error.status, [JSON], dialect.write_error(error))
        else:
            exchange.answer(200, [JSON], body)
