"""One upstream's answer, from the moment it is certain that it answers."""

from collections.abc import Callable, Sequence
from typing import Final

from sekisho.core.errors import UpstreamError, UpstreamUnavailable
from sekisho.core.events import ChatAnswer
from sekisho.core.target import Target
from sekisho.core.wire import Piece, StreamReader, UpstreamDialect, WireAnswer, WireFault, WireRequest
from sekisho.http.connection import UpstreamResponse
from sekisho.http.failures import CallFailed, ConnectFailed, TimedOut

NOT_CONNECTED: Final = "connect"
"""What a failure is called (`UpstreamError.native`) when there was no connection to send anything over."""
_MAX_ANSWER_BYTES = 64 * 1024 * 1024
_MOST_PIECES_HELD = 32


class Reply:
    """A target's answer to one request. To be closed, whatever happens."""

    def __init__(self, target: Target, dialect: UpstreamDialect, wire: WireRequest, response: UpstreamResponse) -> None:
        self.target = target
        self.wire = wire
        self._dialect = dialect
        self._response = response
        self.body = b""
        self.answer: ChatAnswer | None = None
        self._first: list[Piece] = []
        self._reader: StreamReader | None = None
        self._fault: WireFault | None = None

    async def await_answer(self) -> None:
        """Wait for the whole answer; a failure until then can still go elsewhere. Raises UpstreamError."""
        try:
            whole = self._response.take_whole(_MAX_ANSWER_BYTES)
            self.body = await self._response.read(_MAX_ANSWER_BYTES) if whole is None else whole
            self.answer = self._dialect.read_answer(WireAnswer({}, self.body), self.wire)
        except (CallFailed, WireFault) as error:
            raise self._explain(error) from error

    async def await_first_event(self) -> None:
        """Wait until the stream has begun with something of the model's; a failure until then can still go elsewhere.

        What announces an answer (Anthropic's `message_start`) is held back until then. Pieces that say nothing we know
        are something too, when many have come.
        """
        reader = self._reader = self._dialect.stream_reader(self.wire)
        try:
            async for chunk in self._response.chunks():
                self._first += reader.feed(chunk)
                if self._has_begun() or len(self._first) > _MOST_PIECES_HELD:
                    return
        except WireFault as fault:
            self._first += fault.before
            if not self._has_begun():
                raise self._explain(fault) from fault
            self._fault = fault  # it is raised after what came before it
        except CallFailed as failure:
            raise self._explain(failure) from failure
        else:
            self._check_end(reader)

    async def pour(self, take: Callable[[Sequence[Piece]], None]) -> None:
        """Have `take` called with the stream's events, in the groups they arrive in, the moment they do.

        Raises UpstreamError when the stream breaks, or what `take` raises.
        """
        reader = self._reader
        assert reader is not None

        def read(chunk: bytes) -> None:
            try:
                pieces = reader.feed(chunk)
            except WireFault as fault:
                take(fault.before)
                raise
            take(pieces)

        take(self._first)
        try:
            if self._fault is not None:
                raise self._fault
            await self._response.pour(read)
        except (CallFailed, WireFault) as error:
            raise self._explain(error) from error
        self._check_end(reader)

    def hold(self) -> None:
        """Let the upstream wait."""
        self._response.hold()

    def let_on(self) -> None:
        """Go on after `hold`."""
        self._response.let_on()

    def close(self) -> None:
        """Free the connection."""
        self._response.close()

    def _has_begun(self) -> bool:
        return any(piece.events for piece in self._first)

    def _explain(self, error: CallFailed | WireFault) -> UpstreamError:
        return self.target.classify_fault(error) if isinstance(error, WireFault) else explain(error, self.target)

    def _check_end(self, reader: StreamReader) -> None:
        if not reader.complete:
            raise UpstreamUnavailable("The model's answer ended early.", verdict="elsewhere", status=502)


async def read_body(response: UpstreamResponse, target: Target) -> bytes:
    """The whole body of an answer. Raises UpstreamError."""
    try:
        return await response.read(_MAX_ANSWER_BYTES)
    except CallFailed as failure:
        raise explain(failure, target) from failure


def explain(failure: CallFailed, target: Target) -> UpstreamError:
    """What a failed connection means for the call. The cause is for the log: addresses are nobody's business."""
    error = _name_failure(failure, target)
    error.add_note(f"The cause: {failure}.")
    return error


def _name_failure(failure: CallFailed, target: Target) -> UpstreamError:
    where = f"the upstream of '{target.model_name}' ({target.region or target.provider})"
    if isinstance(failure, ConnectFailed):
        message = f"Could not connect to {where}."
        return UpstreamUnavailable(message, verdict="elsewhere", native=NOT_CONNECTED, cooldown=5.0)
    if isinstance(failure, TimedOut):
        message = f"No answer in time from {where}."
        return UpstreamUnavailable(message, verdict="elsewhere", native="timeout", status=504)
    message = f"The connection to {where} was lost."
    return UpstreamUnavailable(message, verdict="elsewhere", native="connection_lost", status=502)
