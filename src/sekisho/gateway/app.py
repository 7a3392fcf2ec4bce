"""The data plane."""

from collections.abc import Coroutine, Sequence

from sekisho.core.errors import CallerError
from sekisho.core.wire import ClientDialect
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.kept import KeptAnswers
from sekisho.gateway.lifecycle import live
from sekisho.gateway.relay import JSON
from sekisho.gateway.routes import Route, Routes
from sekisho.gateway.upgrade import refuse_upgrade
from sekisho.gateway.work import Rooms
from sekisho.http.asgi import Scope


class Gateway:
    """Serves the endpoints of models."""

    def __init__(self, rooms: Rooms, dialects: Sequence[ClientDialect]) -> None:
        self._rooms = rooms
        self._routes = Routes(dialects)
        self._kept = KeptAnswers(rooms.identity, rooms.continuity, dialects)

    def serve(self, path: str, scope: Scope) -> Coroutine[None, None, None] | None:
        """What serves a request for this path; None if it is no path for calls to models, nor of a kept answer."""
        route = self._routes.find(path)
        if route is None:
            return self._kept.answer(Exchange(scope)) if self._kept.serves(path) else None
        exchange = Exchange(scope)
        return live(exchange, route, self._rooms) if exchange.method == "POST" else _refuse(exchange, route)


async def _refuse(exchange: Exchange, route: Route) -> None:
    """Tell a client that asks in another way than by POST how it is asked."""
    if not refuse_upgrade(exchange, route.dialect):
        error = CallerError(f"{exchange.path} takes POST, not {exchange.method}.", status=405)
        exchange.answer(405, [JSON, (b"allow", b"POST")], route.dialect.write_error(error))
