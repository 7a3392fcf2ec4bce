"""One upstream's answer, from the moment it is certain that it answers."""

from collections.abc import AsyncIterator, Sequence
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
        self._rest: AsyncIterator[Sequence[Piece]] | None = None

    async def await_answer(self) -> None:
        """Wait for the whole answer; a failure until then can still go elsewhere. Raises UpstreamError."""
        self.body = await read_body(self._response, self.target)
        try:
            self.answer = self._dialect.read_answer(WireAnswer(self._response.headers, self.body), self.wire)
        except WireFault as fault:
            raise self.target.classify_fault(fault) from fault

    async def await_first_event(self) -> None:
        """Wait until the stream has begun with something of the model's; a failure until then can still go elsewhere.

        What announces an answer (Anthropic's `message_start`) is held back until then. Pieces that say nothing we know
        are something too, when many have come.
        """
        self._rest = self._read_stream(self._dialect.stream_reader(self.wire))
        async for pieces in self._rest:
            self._first += pieces
            if any(piece.events for piece in pieces) or len(self._first) > _MOST_PIECES_HELD:
                return

    async def pieces(self) -> AsyncIterator[Sequence[Piece]]:
        """The stream's events, in the groups they arrive in. Raises UpstreamError when it breaks."""
        assert self._rest is not None
        yield self._first
        async for pieces in self._rest:
            yield pieces

    def close(self) -> None:
        """Free the connection."""
        self._response.close()

    async def _read_stream(self, reader: StreamReader) -> AsyncIterator[Sequence[Piece]]:
        try:
            async for chunk in self._response.chunks():
                if pieces := reader.feed(chunk):
                    yield pieces
        except CallFailed as failure:
            raise explain(failure, self.target) from failure
        except WireFault as fault:
            if fault.before:
                yield fault.before
            raise self.target.classify_fault(fault) from fault
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
