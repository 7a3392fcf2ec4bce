"""Streamed answers of an upstream: the events of the Responses API to neutral events."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from sekisho.core.events import (
    CitationDelta,
    Event,
    TextDelta,
    ThinkingDelta,
    ThinkingSignature,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from sekisho.core.wire import Piece, WireFault, WireRequest
from sekisho.dialects.common.openai import DONE, ErrorObject, EventReader, read_fault
from sekisho.dialects.common.pieces import read_pieces
from sekisho.dialects.common.sse import SseEvent
from sekisho.dialects.openai_responses.calling.answer import (
    Annotation,
    Call,
    Message,
    Reasoning,
    Response,
    read_arguments,
    read_citations,
    read_failure,
    read_finish,
    read_item,
    read_usage,
    sign_reasoning,
)

_T = TypeVar("_T")


class _Kind(Struct):
    type: str = ""


class _Delta(Struct):
    delta: str
    output_index: int = 0
    item_id: str | None = None
    summary_index: int = 0


class _ItemEvent(Struct):
    item: Raw
    output_index: int = 0


class _AnnotationEvent(Struct):
    annotation: Annotation | None = None


class _ResponseEvent(Struct):
    response: Response


class _ErrorEvent(Struct):
    """An `error` event. OpenAI has its members at the top; some servers wrap them in `error`."""

    message: str | None = None
    code: str | int | None = None
    error: ErrorObject | str | None = None


class _OpenCall(Struct):
    """A call whose arguments are still coming. Those of a free-form tool are one text, escaped here."""

    number: int
    custom: bool
    said: bool = False


_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_delta = msgspec.json.Decoder(_Delta).decode
_decode_item = msgspec.json.Decoder(_ItemEvent).decode
_decode_annotation = msgspec.json.Decoder(_AnnotationEvent).decode
_decode_response = msgspec.json.Decoder(_ResponseEvent).decode
_decode_error = msgspec.json.Decoder(_ErrorEvent).decode
_encode = msgspec.json.Encoder().encode


class ResponsesReader:
    """The `StreamReader` of this dialect. Events of kinds not known carry nothing neutral."""

    def __init__(self, request: WireRequest) -> None:
        self._stream = EventReader()
        self._tool_names = request.tool_names
        self._calls: dict[int, _OpenCall] = {}
        self._started = 0
        # The items of which text came in deltas, and the part of a summary that came last.
        self._told: set[int] = set()
        self._summary: tuple[int, int] | None = None
        self._refused = False
        self._complete = False
        self._events: list[Event] = []

    @property
    def complete(self) -> bool:
        """Whether the event that ends an answer was seen."""
        return self._complete

    def feed(self, data: bytes) -> Sequence[Piece]:
        """The stream's events that `data` completes, one piece for each.

        Raises:
            WireFault: The upstream said it failed (its code is the error's), or this is no stream of the Responses API
                (`corrupt`).
        """
        return read_pieces(self._stream.feed(data), self._read_event)

    def _read_event(self, event: SseEvent) -> Piece:
        self._events = []
        if event.data != DONE and not self._complete:
            self._read(event.data)
        return Piece(event.name, event.data, self._events)

    def _read(self, data: bytes) -> None:
        handler = _HANDLERS.get(_decode(data, _decode_kind).type)
        if handler is not None:
            try:
                handler(self, data)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise _corrupt(error) from error

    def _add_text(self, data: bytes) -> None:
        event = _decode(data, _decode_delta)
        self._told.add(event.output_index)
        if event.delta:
            self._events.append(TextDelta(event.delta))

    def _add_refusal(self, data: bytes) -> None:
        self._refused = True
        self._add_text(data)

    def _add_thinking(self, data: bytes) -> None:
        """More of a summary, or of reasoning that is shown as it is; parts are kept apart by an empty line."""
        event = _decode(data, _decode_delta)
        place = (event.output_index, event.summary_index)
        if self._summary is not None and self._summary[0] == place[0] and self._summary != place:
            self._events.append(ThinkingDelta("\n\n"))
        self._summary = place
        self._told.add(event.output_index)
        if event.delta:
            self._events.append(ThinkingDelta(event.delta))

    def _add_citation(self, data: bytes) -> None:
        annotation = _decode(data, _decode_annotation).annotation
        if annotation is not None:
            self._events += [CitationDelta(citation) for citation in read_citations([annotation])]

    def _add_arguments(self, data: bytes) -> None:
        event = _decode(data, _decode_delta)
        call = self._calls.get(event.output_index)
        if call is None:
            raise WireFault("corrupt", "arguments come for a tool call that has not started")
        if not event.delta:
            return
        fragment = event.delta
        if call.custom:
            fragment = _encode(event.delta)[1:-1].decode()
            fragment = fragment if call.said else '{"input":"' + fragment
        call.said = True
        self._events.append(ToolCallDelta(call.number, fragment))

    def _start_item(self, data: bytes) -> None:
        event = _decode(data, _decode_item)
        item = read_item(event.item)
        if isinstance(item, Call):
            self._start_call(item, event.output_index)

    def _start_call(self, item: Call, index: int) -> _OpenCall:
        if index in self._calls:
            raise WireFault("corrupt", "a tool call starts twice")
        call = self._calls[index] = _OpenCall(self._started, item.input is not None)
        self._started += 1
        self._events.append(ToolCallStart(call.number, item.call_id, self._tool_names.get(item.name, item.name)))
        return call

    def _end_item(self, data: bytes) -> None:
        """The end of an item. What did not come in deltas is in it."""
        event = _decode(data, _decode_item)
        match read_item(event.item):
            case Call() as item:
                call = self._calls.get(event.output_index) or self._start_call(item, event.output_index)
                if not call.said:
                    self._events.append(ToolCallDelta(call.number, read_arguments(item)))
                elif call.custom:
                    self._events.append(ToolCallDelta(call.number, '"}'))
            case Reasoning() as item:
                self._end_reasoning(item, told=event.output_index in self._told)
            case Message(content=content) if event.output_index not in self._told:
                for part in content or ():
                    self._refused = self._refused or bool(part.refusal)
                    if text := part.text or part.refusal:
                        self._events.append(TextDelta(text))
                        self._events += [CitationDelta(citation) for citation in read_citations(part.annotations)]
            case _:
                pass

    def _end_reasoning(self, item: Reasoning, *, told: bool) -> None:
        shown = [] if told else [part.text for part in item.content or item.summary or () if part.text]
        if shown:
            self._events.append(ThinkingDelta("\n\n".join(shown)))
        signature = sign_reasoning(item)
        if signature is not None:
            self._events.append(ThinkingSignature(signature))

    def _finish(self, data: bytes) -> None:
        response = _decode(data, _decode_response).response
        if response.status == "failed":
            raise read_failure(response)
        self._events.append(read_finish(response, called=bool(self._calls), refused=self._refused))
        usage = read_usage(response.usage)
        if usage is not None:
            self._events.append(UsageReport(usage))
        self._complete = True

    def _fail(self, data: bytes) -> None:
        raise read_failure(_decode(data, _decode_response).response)

    def _fail_bare(self, data: bytes) -> None:
        event = _decode(data, _decode_error)
        raise read_fault(event.error or ErrorObject(event.message, None, event.code))


_HANDLERS: Final[dict[str, Callable[[ResponsesReader, bytes], None]]] = {
    "error": ResponsesReader._fail_bare,
    "response.completed": ResponsesReader._finish,
    "response.custom_tool_call_input.delta": ResponsesReader._add_arguments,
    "response.failed": ResponsesReader._fail,
    "response.function_call_arguments.delta": ResponsesReader._add_arguments,
    "response.incomplete": ResponsesReader._finish,
    "response.output_item.added": ResponsesReader._start_item,
    "response.output_item.done": ResponsesReader._end_item,
    "response.output_text.annotation.added": ResponsesReader._add_citation,
    "response.output_text.delta": ResponsesReader._add_text,
    "response.reasoning_summary_text.delta": ResponsesReader._add_thinking,
    "response.reasoning_text.delta": ResponsesReader._add_thinking,
    "response.refusal.delta": ResponsesReader._add_refusal,
}


def _decode(data: bytes, decode: Callable[[bytes], _T]) -> _T:
    try:
        return decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _corrupt(error) from error


def _corrupt(error: Exception) -> WireFault:
    return WireFault("corrupt", f"an event is not one of the Responses API: {error}")
