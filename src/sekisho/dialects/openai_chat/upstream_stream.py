"""Streamed answers of an upstream: `chat.completion.chunk` objects to neutral events."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sekisho.core.events import (
    CitationDelta,
    Event,
    RedactedThinkingBlock,
    TextDelta,
    ThinkingDelta,
    ThinkingSignature,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from sekisho.core.wire import Piece, WireFault, WireRequest
from sekisho.dialects.common.openai import DONE, ErrorObject, EventReader, TokenUsage, read_fault, read_usage
from sekisho.dialects.common.pieces import read_pieces
from sekisho.dialects.common.sse import SseEvent
from sekisho.dialects.openai_chat.repeated import RepeatedChunk
from sekisho.dialects.openai_chat.upstream_answer import (
    Function,
    Said,
    make_call_id,
    read_arguments,
    read_citations,
    read_finish,
    read_text,
)

_Index = Annotated[int, Meta(ge=0)]


class _CallDelta(Struct):
    index: _Index | None = None
    id: str | None = None
    function: Function | None = None


class _Delta(Said):
    tool_calls: list[_CallDelta] | None = None


class _Choice(Struct):
    index: _Index = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(Struct):
    """`object`, `message` and `code` are read for the errors of servers that wrap them in nothing."""

    id: str | None = None
    object: str | None = None
    choices: list[_Choice] | None = None
    usage: TokenUsage | None = None
    error: ErrorObject | str | None = None
    message: str | None = None
    code: str | int | None = None


class _OpenCall(Struct):
    """A tool call whose arguments may still be coming."""

    number: int
    id: str
    said: bool = False


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


class ChunkReader:
    """The `StreamReader` of this dialect.

    Events are those of the first choice; the deltas of further ones, which only clients of the same format can have
    asked for, are told among them, so that they are counted. Chunks that carry nothing known are passed over.
    """

    def __init__(self, request: WireRequest) -> None:
        self._events = EventReader()
        self._tool_names = request.tool_names
        self._answer_id: str | None = None
        self._calls: list[_OpenCall] = []
        self._open: dict[tuple[int, int], _OpenCall] = {}  # by choice and place in it
        self._latest: dict[int, int] = {}  # by choice, the place that was told last
        self._finished = False
        self._reported = False
        self._done = False
        self._repeated = RepeatedChunk()
        self._usual = False  # whether no event is half there, and more of the answer's text may come

    @property
    def complete(self) -> bool:
        """Whether the answer has come to its finish, and after it the usage or the end of the stream was told."""
        return self._finished and (self._reported or self._done)

    def feed(self, data: bytes) -> Sequence[Piece]:
        """The events that `data` completes.

        Raises:
            WireFault: The upstream said it failed (its code is the error's), or this is no stream of Chat Completions
                (`corrupt`).
        """
        if self._usual and data.startswith(b"data: ") and data.endswith(b"\n\n"):
            chunk = data[6:-2]
            if text := self._repeated.find_text(chunk):
                return (Piece(None, chunk, (TextDelta(text),)),)
        self._usual = False
        pieces = read_pieces(self._events.feed(data), self._read_event)
        self._usual = self._events.between and not self._finished
        return pieces

    def _read_event(self, event: SseEvent) -> Piece:
        return Piece(event.name, event.data, self._read(event.data))

    def _read(self, data: bytes) -> list[Event]:
        if data == DONE or self._done:
            self._done = True
            self._repeated = RepeatedChunk()  # what comes after the end counts for nothing
            return []
        try:
            if not self._finished and (text := self._repeated.find_text(data)) is not None:
                return [TextDelta(text)] if text else []
            chunk = _decode_chunk(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WireFault("corrupt", f"an event is not one of Chat Completions: {error}") from error
        if chunk.error is not None:
            raise read_fault(chunk.error)
        if chunk.object == "error":
            raise read_fault(ErrorObject(chunk.message, None, chunk.code))
        self._answer_id = self._answer_id or chunk.id
        events: list[Event] = []
        for choice in chunk.choices or ():
            self._read_choice(choice, events)
        self._read_usage(chunk.usage, events)
        if len(events) == 1 and isinstance(said := events[0], TextDelta):
            self._repeated.learn(data, said.text)
        return events

    def _read_usage(self, told: TokenUsage | None, events: list[Event]) -> None:
        """Some servers tell the usage so far with every chunk: only what is told after the finish counts, once."""
        usage = read_usage(told)
        if usage is not None and self._finished and not self._reported:
            self._reported = True
            events.append(UsageReport(usage))

    def _read_choice(self, choice: _Choice, events: list[Event]) -> None:
        first = choice.index == 0
        if first and self._finished:
            return
        if choice.delta is not None:
            self._read_delta(choice.index, choice.delta, events)
        if first and choice.finish_reason:
            # A tool without arguments is called with no text at all, but its arguments are still an object.
            events += [ToolCallDelta(call.number, "{}") for call in self._calls if not call.said]
            events.append(read_finish(choice.finish_reason, called=bool(self._calls)))
            self._finished = True

    def _read_delta(self, choice: int, delta: _Delta, events: list[Event]) -> None:
        if delta.reasoning_content or delta.reasoning or delta.thinking_blocks:
            self._read_thinking(delta, events)
        if text := read_text(delta):
            events.append(TextDelta(text))
        if delta.annotations:
            events += [CitationDelta(citation) for citation in read_citations(delta)]
        for call in delta.tool_calls or ():
            self._read_call(choice, call, events)
        if delta.function_call is not None:
            self._read_call(choice, _CallDelta(0, None, delta.function_call), events)

    def _read_thinking(self, delta: Said, events: list[Event]) -> None:
        """The text, and the signature that closes it. Blocks that tell the text again are read for their signature."""
        shown = delta.reasoning_content or delta.reasoning
        if shown:
            events.append(ThinkingDelta(shown))
        for block in delta.thinking_blocks or ():
            if block.data is not None:
                events.append(RedactedThinkingBlock(block.data))
            if block.signature:
                events.append(ThinkingSignature(block.signature))

    def _read_call(self, choice: int, delta: _CallDelta, events: list[Event]) -> None:
        function = delta.function or Function()
        place = (choice, delta.index if delta.index is not None else self._latest.get(choice, 0))
        call = self._open.get(place)
        if call is None or _is_another(call, delta, function):
            call = self._open[place] = self._start_call(delta, function, events)
        self._latest[choice] = place[1]
        if fragment := read_arguments(function):
            call.said = True
            events.append(ToolCallDelta(call.number, fragment))

    def _start_call(self, delta: _CallDelta, function: Function, events: list[Event]) -> _OpenCall:
        if not function.name:
            raise WireFault("corrupt", "a tool call starts without a name")
        number = len(self._calls)
        call = _OpenCall(number, delta.id or make_call_id(self._answer_id, number))
        self._calls.append(call)
        name = self._tool_names.get(function.name, function.name)
        events.append(ToolCallStart(call.number, call.id, name))
        return call


def _is_another(call: _OpenCall, delta: _CallDelta, function: Function) -> bool:
    """Whether a delta at the place of a call begins another one.

    Servers that do not stream calls send each one whole, without an index or all with the same: there a name with
    another id, or without any, means another call.
    """
    if not function.name:
        return False
    return delta.id != call.id if delta.id else delta.index is None
