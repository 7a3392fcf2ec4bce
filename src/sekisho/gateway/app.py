"""The data plane as an ASGI application: which path speaks which dialect."""

from sekisho.core.errors import CallerError
from sekisho.core.wire import ClientDialect
from sekisho.gateway.exchange import Exchange, Receive, Scope, Send
from sekisho.gateway.lifecycle import Rooms, live
from sekisho.gateway.relay import JSON

_ENDPOINTS = {"/chat/completions": ("openai_chat", "acompletion")}


class Gateway:
    """Serves the model endpoints, each with and without `/v1`."""

    def __init__(self, rooms: Rooms, dialects: dict[str, ClientDialect]) -> None:
        self._rooms = rooms
        self._routes = {
            prefix + path: (dialects[name], call_type)
            for path, (name, call_type) in _ENDPOINTS.items()
            for prefix in ("", "/v1")
        }

    def serves(self, path: str) -> bool:
        """Whether the path is one for calls to models."""
        return path in self._routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry one call."""
        dialect, call_type = self._routes[scope["path"]]
        exchange = Exchange(scope, receive, send)
        if scope["method"] == "POST":
            await live(exchange, dialect, call_type, self._rooms)
        else:
            error = CallerError(f"{scope['path']} takes POST, not {scope['method']}.", status=405)
            await exchange.answer(405, [JSON, (b"allow", b"POST")], dialect.write_error(error))
