"""What is told of a call when it is over: the facts that its metrics and its spans are made of."""

from typing import Final

from msgspec import Struct

from sekisho.core.caller import Caller
from sekisho.core.chat import ClientCall
from sekisho.core.errors import SekishoError
from sekisho.core.target import Target
from sekisho.core.usage import Usage
from sekisho.core.wire import Endpoint
from sekisho.telemetry.traceparent import TraceParent

NO_USAGE: Final = Usage()


class Attempt(Struct):
    """One attempt of a call at one deployment of a group.

    began_ms: milliseconds since the call came in. ms: how long it took until it answered or failed; None while it is
    under way. error: what kind of failure it was, with the upstream's own word for it; None when it answered.
    """

    target: Target
    group: str
    began_ms: int
    ms: int | None = None
    status: int | None = None
    error: str | None = None


def name_team(caller: Caller) -> str | None:
    """The team's alias, where it has one."""
    for scope in caller.scopes:
        if scope.kind == "team":
            return scope.alias
    return None


class Call(Struct, kw_only=True):
    """One call, from its first header to its end. Durations in seconds, money in nano-dollars.

    id: a UUID in its 36-character form.
    started: seconds since the epoch. waited: how much of `seconds` went by until upstreams answered or failed.
    first_byte_after: until the first byte of the answer went out; None when there was no answer.
    requested: the model group that was asked for, empty when it is not known; group: the one that was tried last.
    attempts: every attempt at an upstream, in their order.
    cost: None when the price is unknown; output_cost: the part of it that the output tokens make, where
    spans are wanted, which tell it.
    estimated: whether something was used whose count is a guess.
    parent: the client's own span, where spans are wanted and it told of one.
    """

    endpoint: Endpoint
    id: str = ""
    started: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0
    first_byte_after: float | None = None
    caller: Caller | None = None
    call: ClientCall | None = None
    requested: str = ""
    group: str = ""
    target: Target | None = None
    attempts: list[Attempt] = []
    retries: int = 0
    usage: Usage = NO_USAGE
    cost: int | None = 0
    output_cost: int = 0
    estimated: bool = False
    error: SekishoError | None = None
    parent: TraceParent | None = None

    @property
    def streamed(self) -> bool:
        """Whether the answer was a stream."""
        return self.call is not None and self.call.stream

    @property
    def status(self) -> int:
        """The status that the client got; 499 if it had left."""
        return 200 if self.error is None else self.error.status

    @property
    def failure(self) -> str:
        """The kind of the error, empty when there was none; never its message, which may quote the request."""
        return "" if self.error is None else type(self.error).__name__
