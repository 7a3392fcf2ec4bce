"""What an application and the server say to each other: ASGI's HTTP messages, and one thing that ASGI lacks."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LINE: Final = "sekisho.line"
"""The key in a scope's `extensions` under which the request's `Line` lies."""


class Line(Protocol):
    """The way to a request's client, for what `receive` would need a task that waits on it."""

    def take_whole_body(self) -> bytes | None:
        """The whole body if it has come already and nothing of it was received yet; None otherwise."""
        ...

    def on_hangup(self, act: Callable[[], None] | None) -> None:
        """Have `act` called once when the client is gone before its answer is complete; None: no longer.

        It is called at once if the client is gone already.
        """
        ...
