"""The data plane as an ASGI application."""

from collections.abc import Sequence

from sekisho.core.errors import CallerError
from sekisho.core.wire import ClientDialect
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.kept import KeptAnswers
from sekisho.gateway.lifecycle import live
from sekisho.gateway.relay import JSON
from sekisho.gateway.routes import Routes
from sekisho.gateway.serving import Rooms
from sekisho.gateway.upgrade import refuse_upgrade
from sekisho.http.asgi import Receive, Scope, Send


class Gateway:
    """Serves the endpoints of models."""

    def __init__(self, rooms: Rooms, dialects: Sequence[ClientDialect]) -> None:
        self._rooms = rooms
        self._routes = Routes(dialects)
        self._kept = KeptAnswers(rooms.identity, rooms.continuity, dialects)

    def serves(self, path: str) -> bool:
        """Whether the path is one for calls to models, or of an answer that was kept."""
        return self._routes.find(path) is not None or self._kept.serves(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        exchange = Exchange(scope, receive, send)
        route = self._routes.find(exchange.path)
        if route is None:
            await self._kept.answer(exchange)
        elif exchange.method == "POST":
            await live(exchange, route, self._rooms)
        elif not await refuse_upgrade(exchange, route.dialect):
            error = CallerError(f"{exchange.path} takes POST, not {exchange.method}.", status=405)
            await exchange.answer(405, [JSON, (b"allow", b"POST")], route.dialect.write_error(error))
