"""Streamed answers of ConverseStream: event-stream frames to neutral events."""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

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
from sekisho.dialects.bedrock_converse.citations import WireCitation, read_citation
from sekisho.dialects.bedrock_converse.ending import TokenUsage, read_finish, read_usage
from sekisho.dialects.common.bedrock_errors import read_exception
from sekisho.dialects.common.eventstream import Frame, FrameDecoder
from sekisho.dialects.common.pieces import read_pieces

Index = Annotated[int, Meta(ge=0)]


class _ToolUseStart(Struct, rename="camel"):
    tool_use_id: str
    name: str


class _Start(Struct, rename="camel"):
    tool_use: _ToolUseStart | None = None


class _BlockStart(Struct, rename="camel"):
    content_block_index: Index
    start: _Start


class _ToolUseDelta(Struct):
    input: str


class _ReasoningDelta(Struct, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Delta(Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolUseDelta | None = None
    reasoning_content: _ReasoningDelta | None = None
    citation: WireCitation | None = None


class _BlockDelta(Struct, rename="camel"):
    content_block_index: Index
    delta: _Delta


class _BlockStop(Struct, rename="camel"):
    content_block_index: Index


class _MessageStop(Struct, rename="camel"):
    stop_reason: str
    additional_model_response_fields: object = None


class _Metadata(Struct):
    usage: TokenUsage


class _OpenCall(Struct):
    """A tool call whose arguments are still coming; `number` None when they are the JSON answer itself."""

    number: int | None
    said: bool = False


_decode_start = msgspec.json.Decoder(_BlockStart).decode
_decode_delta = msgspec.json.Decoder(_BlockDelta).decode
_decode_stop = msgspec.json.Decoder(_BlockStop).decode
_decode_message_stop = msgspec.json.Decoder(_MessageStop).decode
_decode_metadata = msgspec.json.Decoder(_Metadata).decode

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_T = TypeVar("_T")


class ConverseStreamReader:
    """Reads the streamed answer to one request, from bytes cut anywhere.

    Events of kinds not known here are passed over. Text beside a JSON answer that comes through the stand-in tool is
    held back until it is certain that there is no such answer, since it would spoil the JSON.
    """

    def __init__(self, request: WireRequest) -> None:
        self._frames = FrameDecoder()
        self._tool_names = request.tool_names
        self._json_tool = request.json_tool
        self._held_text: list[str] | None = None if request.json_tool is None else []
        self._json_by_tool = False
        self._calls = 0
        self._open_calls: dict[int, _OpenCall] = {}
        self._signatures: dict[int, str] = {}
        self._events: list[Event] = []
        self._finished = False
        self._complete = False

    @property
    def complete(self) -> bool:
        """Whether messageStop and metadata were seen."""
        return self._complete

    def feed(self, data: bytes) -> Sequence[Piece]:
        """The stream's events that `data` completes, one piece for each.

        Raises:
            WireFault: The upstream said it failed (its exception's name is the code), the model's output was malformed
                (`malformed_output`), or this is not a stream of Converse (`corrupt`).
        """
        return read_pieces(self._frames.feed(data), self._read_frame)

    def _read_frame(self, frame: Frame) -> Piece:
        headers, payload = frame
        kind = headers.get(":event-type")
        if kind is None or headers.get(":message-type") != "event":
            raise read_exception(headers, payload)
        self._events = []
        handle = _HANDLERS.get(kind)
        if handle is not None:
            handle(self, payload)
        return Piece(kind, payload, self._events)

    def _start_block(self, payload: bytes) -> None:
        event = self._read(payload, _decode_start)
        tool = event.start.tool_use
        if tool is None:
            return
        if event.content_block_index in self._open_calls:
            raise WireFault("corrupt", "a tool call starts twice")
        if tool.name == self._json_tool:
            self._held_text, self._json_by_tool = None, True
            self._open_calls[event.content_block_index] = _OpenCall(None)
            return
        self._open_calls[event.content_block_index] = _OpenCall(self._calls)
        name = self._tool_names.get(tool.name, tool.name)
        self._events.append(ToolCallStart(self._calls, tool.tool_use_id, name))
        self._calls += 1

    def _add_delta(self, payload: bytes) -> None:
        event = self._read(payload, _decode_delta)
        delta = event.delta
        if delta.text:
            if self._held_text is None and not self._json_by_tool:
                self._events.append(TextDelta(delta.text))
            elif self._held_text is not None:
                self._held_text.append(delta.text)
        elif delta.tool_use is not None:
            self._add_arguments(event.content_block_index, delta.tool_use.input)
        elif delta.reasoning_content is not None:
            self._add_reasoning(event.content_block_index, delta.reasoning_content)
        elif delta.citation is not None and self._held_text is None and not self._json_by_tool:
            self._events.append(CitationDelta(read_citation(delta.citation)))

    def _add_arguments(self, index: int, fragment: str) -> None:
        call = self._open_calls.get(index)
        if call is None:
            raise WireFault("corrupt", "arguments come for a tool call that has not started")
        if not fragment:
            return
        call.said = True
        self._events.append(TextDelta(fragment) if call.number is None else ToolCallDelta(call.number, fragment))

    def _add_reasoning(self, index: int, reasoning: _ReasoningDelta) -> None:
        if reasoning.text:
            self._events.append(ThinkingDelta(reasoning.text))
        if reasoning.signature:
            self._signatures[index] = self._signatures.get(index, "") + reasoning.signature
        if reasoning.redacted_content:
            self._events.append(RedactedThinkingBlock(reasoning.redacted_content))

    def _stop_block(self, payload: bytes) -> None:
        index = self._read(payload, _decode_stop).content_block_index
        if (signature := self._signatures.pop(index, None)) is not None:
            self._events.append(ThinkingSignature(signature))
        call = self._open_calls.get(index)
        # A tool without arguments is called with no delta at all, but its arguments are still an object.
        if call is not None and not call.said:
            self._add_arguments(index, "{}")

    def _finish(self, payload: bytes) -> None:
        event = self._read(payload, _decode_message_stop)
        for text in self._held_text or ():
            self._events.append(TextDelta(text))
        self._held_text = None
        self._events.append(
            read_finish(event.stop_reason, event.additional_model_response_fields, json_by_tool=self._json_by_tool)
        )
        self._finished = True

    def _report(self, payload: bytes) -> None:
        try:
            usage = _decode_metadata(payload).usage
        except _UNREADABLE as error:
            raise _explain(error) from error
        if not self._finished or self._complete:
            raise WireFault("corrupt", "the usage does not come once, after the end of the message")
        self._events.append(UsageReport(read_usage(usage)))
        self._complete = True

    def _read(self, payload: bytes, decode: Callable[[bytes], _T]) -> _T:
        """Decode an event that can only come before the message has ended."""
        if self._finished:
            raise WireFault("corrupt", "the message goes on after its end")
        try:
            return decode(payload)
        except _UNREADABLE as error:
            raise _explain(error) from error


_HANDLERS: dict[str, Callable[[ConverseStreamReader, bytes], None]] = {
    "contentBlockDelta": ConverseStreamReader._add_delta,
    "contentBlockStart": ConverseStreamReader._start_block,
    "contentBlockStop": ConverseStreamReader._stop_block,
    "messageStop": ConverseStreamReader._finish,
    "metadata": ConverseStreamReader._report,
}


def _explain(error: Exception) -> WireFault:
    return WireFault("corrupt", f"an event is not one of ConverseStream: {error}")
