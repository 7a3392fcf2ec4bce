"""The data plane as an ASGI application: which path speaks which dialect."""

from sekisho.core.wire import ClientDialect
from sekisho.gateway.exchange import Exchange, Receive, Scope, Send
from sekisho.gateway.lifecycle import Rooms, live

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

    def serves(self, method: str, path: str) -> bool:
        """Whether the request is one for a model."""
        return method == "POST" and path in self._routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry one call."""
        dialect, call_type = self._routes[scope["path"]]
        await live(Exchange(scope, receive, send), dialect, call_type, self._rooms)
