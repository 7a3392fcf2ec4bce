"""How a call to an upstream can fail below HTTP's own statuses, and how long it may take.

Money depends on the kinds. `ConnectFailed`: the request never left, nothing can have been billed, another upstream may
be tried freely. `Broken` and `TimedOut`: the request may have been read, so it may have been billed.
"""

from msgspec import Struct


class CallFailed(Exception):
    """The call did not end well. The message names classes and causes of the connection, never a header or a body."""


class ConnectFailed(CallFailed):
    """DNS, TCP, TLS or proxy tunnel: nothing of the request was sent."""


class Broken(CallFailed):
    """The connection was lost, or the answer was not HTTP, after the request was (or may have been) sent."""


class TimedOut(CallFailed):
    """The upstream sent nothing for the allowed time, or did not take the request in that time."""


class Timeouts(Struct, frozen=True):
    """Seconds. `first` bounds the wait for the status line, `idle` the silence between two chunks, `total` it all."""

    connect: float = 10.0
    first: float = 600.0
    idle: float = 300.0
    total: float | None = None
