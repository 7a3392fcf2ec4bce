"""What an application and the server say to each other: ASGI's HTTP messages, and `Line`, which costs less."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, Protocol

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
HeaderPairs = Sequence[tuple[bytes, bytes]]

LINE: Final = "sekisho.line"
"""The key in a scope's `extensions` under which the request's `Line` lies."""
KNOWN: Final = "sekisho.known"
"""The key in a scope under which lies a dict for what is worked out from the request's head.

Requests that a connection carries with the same head, but for the digits of Content-Length, share it.
"""


class BodyTooLong(Exception):
    """A request's body is longer than what is taken."""


class Line(Protocol):
    """The way to a request's client and back, for applications to which a message per step is too dear.

    What is sent to a client that is gone is dropped. To be used in place of ASGI's `send`, not beside it.
    """

    def take_whole_body(self) -> bytes | None:
        """The whole body if it has come already and nothing of it was received yet; None otherwise."""
        ...

    async def read_body(self, cap: int, silence: float) -> bytes | None:
        """The whole body once it has come; None when the client is gone before.

        Raises BodyTooLong over `cap` bytes, and TimeoutError when nothing more comes for so many seconds.
        """
        ...

    async def receive(self) -> Message:
        """ASGI's receive."""
        ...

    def on_hangup(self, act: Callable[[], None] | None) -> None:
        """Have `act` called once when the client is gone before its answer is complete; None: no longer.

        It is called at once if the client is gone already.
        """
        ...

    def begin(self, status: int, headers: HeaderPairs) -> None:
        """Send the head of an answer; it goes out with what follows, or at the end of this turn of the loop."""
        ...

    def write(self, part: bytes) -> bool:
        """Send a part of the body; whether the line is `full` now."""
        ...

    def finish(self, last: bytes = b"") -> None:
        """Send the last part of the body."""
        ...

    def answer(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        """Send a whole answer; its Content-Length is set here."""
        ...

    @property
    def full(self) -> bool:
        """Whether the client has to take what it was sent before more should be written."""
        ...

    def on_room(self, act: Callable[[], None]) -> None:
        """Have `act` called once when the line is no longer full, or the client is gone. To be asked for when full."""
        ...
