"""Reads streamed answers of the Messages API: its events, in whatever envelope, to neutral ones."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

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
from sekisho.dialects.anthropic_messages.calling.answer import Failure, Index, check_object
from sekisho.dialects.anthropic_messages.citations import parse_citation
from sekisho.dialects.anthropic_messages.stopping import read_finish
from sekisho.dialects.anthropic_messages.usage import ToldUsage, merge_usage, read_usage
from sekisho.dialects.common.pieces import read_pieces
from sekisho.dialects.common.sse import SseDecoder


class _Typed(Struct):
    type: str = ""


class _Message(Struct, frozen=True):
    usage: ToldUsage | None = None


class _MessageStart(Struct):
    message: _Message


class _Block(Struct):
    type: str
    id: str = ""
    name: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    input: Raw = Raw(b"{}")


class _BlockStart(Struct):
    index: Index
    content_block: Raw


class _Delta(Struct):
    type: str
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str = ""
    citation: Raw = Raw(b"")


class _BlockDelta(Struct):
    index: Index
    delta: _Delta


class _LooseDelta(Struct):
    delta: _Typed


class _BlockStop(Struct):
    index: Index


class _Ending(Struct, frozen=True):
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _MessageDelta(Struct):
    delta: _Ending = _Ending()
    usage: ToldUsage | None = None


class _ErrorEvent(Struct):
    error: Failure = Failure()


class _Open(Struct):
    """A block whose end has not come. `call` is the number of its tool call, None when it is the JSON answer itself."""

    kind: str
    call: int | None = None
    arguments: bytes = b""
    said: bool = False
    signature: str = ""


_KNOWN_BLOCKS = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
_KNOWN_DELTAS = frozenset({"text_delta", "input_json_delta", "thinking_delta", "signature_delta", "citations_delta"})

_T = TypeVar("_T")
_decode_type = msgspec.json.Decoder(_Typed).decode
_decode_message_start = msgspec.json.Decoder(_MessageStart).decode
_decode_block_start = msgspec.json.Decoder(_BlockStart).decode
_decode_block = msgspec.json.Decoder(_Block).decode
_decode_block_delta = msgspec.json.Decoder(_BlockDelta).decode
_decode_loose_delta = msgspec.json.Decoder(_LooseDelta).decode
_decode_block_stop = msgspec.json.Decoder(_BlockStop).decode
_decode_message_delta = msgspec.json.Decoder(_MessageDelta).decode
_decode_error = msgspec.json.Decoder(_ErrorEvent).decode


class EventReader:
    """Understands the events of one answer, one after the other.

    Events, blocks and deltas of kinds not known here mean nothing. Text beside a JSON answer that comes through the
    stand-in tool is held back until it is certain that there is no such answer, since it would spoil the JSON.
    """

    def __init__(self, request: WireRequest) -> None:
        self._tool_names = request.tool_names
        self._json_tool = request.json_tool
        self._held_text: list[str] | None = None if request.json_tool is None else []
        self._json_by_tool = False
        self._calls = 0
        self._open: dict[int, _Open] = {}
        self._usage: ToldUsage | None = None
        self._started = False
        self._finished = False
        self.complete = False

    def read(self, name: str | None, data: bytes) -> Piece:
        """What one event means; `name` is its envelope's name for it.

        Raises:
            WireFault: The upstream said it failed (with the error's type as code), or this is no stream of the
                Messages API (`corrupt`).
        """
        kind = name if name in _HANDLERS else decode(data, _decode_type).type
        events: list[Event] = []
        if kind in _HANDLERS:
            if self.complete:
                raise WireFault("corrupt", "the stream goes on after its end")
            _HANDLERS[kind](self, data, events)
        return Piece(kind or name, data, events)

    def _start(self, data: bytes, events: list[Event]) -> None:
        if self._started:
            raise WireFault("corrupt", "the message starts twice")
        self._started = True
        self._usage = decode(data, _decode_message_start).message.usage

    def _start_block(self, data: bytes, events: list[Event]) -> None:
        event = self._read(data, _decode_block_start)
        kind = decode(event.content_block, _decode_type).type
        if event.index in self._open:
            raise WireFault("corrupt", "a block starts twice")
        opened = self._open[event.index] = _Open(kind)
        if kind not in _KNOWN_BLOCKS:
            return
        block = decode(event.content_block, _decode_block)
        if kind == "tool_use":
            self._start_call(opened, block, events)
            return
        self._add_text(block.text, events)
        if block.thinking:
            events.append(ThinkingDelta(block.thinking))
        opened.signature = block.signature
        if kind == "redacted_thinking":
            events.append(RedactedThinkingBlock(block.data))

    def _start_call(self, opened: _Open, block: _Block, events: list[Event]) -> None:
        # The arguments come in deltas and the object here is empty, but some servers have them all at once.
        opened.arguments = decode(block.input, check_object)
        if block.name == self._json_tool:
            self._held_text, self._json_by_tool = None, True
            return
        opened.call = self._calls
        self._calls += 1
        events.append(ToolCallStart(opened.call, block.id, self._tool_names.get(block.name, block.name)))

    def _add_delta(self, data: bytes, events: list[Event]) -> None:
        if not self._started or self._finished:
            raise WireFault("corrupt", "a delta comes before or after the message")
        try:
            event = _decode_block_delta(data)
        except msgspec.ValidationError as error:
            if decode(data, _decode_loose_delta).delta.type in _KNOWN_DELTAS:
                raise WireFault("corrupt", f"a delta is malformed: {error}") from error
            return
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WireFault("corrupt", f"an event is not JSON: {error}") from error
        opened = self._open.get(event.index)
        if opened is None:
            raise WireFault("corrupt", "a delta comes for a block that has not started")
        self._add(opened, event.delta, events)

    def _add(self, opened: _Open, delta: _Delta, events: list[Event]) -> None:
        match delta.type:
            case "text_delta":
                self._add_text(delta.text, events)
            case "input_json_delta" if opened.kind == "tool_use" and delta.partial_json:
                self._add_arguments(opened, delta.partial_json, events)
            case "thinking_delta" if delta.thinking:
                events.append(ThinkingDelta(delta.thinking))
            case "signature_delta":
                opened.signature += delta.signature
            case "citations_delta":
                citation = decode(delta.citation, parse_citation)
                if citation is not None and self._held_text is None:
                    events.append(CitationDelta(citation))

    def _add_text(self, text: str, events: list[Event]) -> None:
        if not text:
            return
        if self._held_text is not None:
            self._held_text.append(text)
        elif not self._json_by_tool:
            events.append(TextDelta(text))

    def _add_arguments(self, opened: _Open, fragment: str, events: list[Event]) -> None:
        opened.said = True
        events.append(TextDelta(fragment) if opened.call is None else ToolCallDelta(opened.call, fragment))

    def _stop_block(self, data: bytes, events: list[Event]) -> None:
        opened = self._open.pop(self._read(data, _decode_block_stop).index, None)
        if opened is None:
            raise WireFault("corrupt", "a block ends that has not started")
        if opened.signature:
            events.append(ThinkingSignature(opened.signature))
        if opened.kind == "tool_use" and not opened.said:
            self._add_arguments(opened, opened.arguments.decode(), events)

    def _end(self, data: bytes, events: list[Event]) -> None:
        event = decode(data, _decode_message_delta)
        self._usage = merge_usage(self._usage, event.usage)
        if event.delta.stop_reason is None or not self._started:
            return
        if self._finished:
            raise WireFault("corrupt", "the message ends twice")
        self._finished = True
        events += [TextDelta(text) for text in self._held_text or ()]
        self._held_text = None
        ending = event.delta
        events.append(read_finish(event.delta.stop_reason, ending.stop_sequence, json_by_tool=self._json_by_tool))

    def _stop(self, data: bytes, events: list[Event]) -> None:
        if not self._finished:
            raise WireFault("corrupt", "the stream ends without a reason to stop")
        # A server that tells no usage is not corrupt: what the call used is estimated then.
        if self._usage is not None and self._usage.output_tokens is not None:
            events.append(UsageReport(read_usage(self._usage)))
        self.complete = True

    def _fail(self, data: bytes, events: list[Event]) -> None:
        failure = decode(data, _decode_error).error
        raise WireFault(failure.type, failure.message)

    def _read(self, data: bytes, decoder: Callable[[bytes], _T]) -> _T:
        """Decode an event that can only come while the message goes on."""
        if not self._started or self._finished:
            raise WireFault("corrupt", "a block stands before or after the message")
        return decode(data, decoder)


_HANDLERS: dict[str | None, Callable[[EventReader, bytes, list[Event]], None]] = {
    "message_start": EventReader._start,
    "content_block_start": EventReader._start_block,
    "content_block_delta": EventReader._add_delta,
    "content_block_stop": EventReader._stop_block,
    "message_delta": EventReader._end,
    "message_stop": EventReader._stop,
    "error": EventReader._fail,
}


class MessageStreamReader:
    """Reads a streamed answer from server-sent events, from bytes cut anywhere."""

    def __init__(self, request: WireRequest) -> None:
        self._decoder = SseDecoder()
        self._reader = EventReader(request)

    @property
    def complete(self) -> bool:
        """Whether message_stop was seen, after a reason to stop."""
        return self._reader.complete

    def feed(self, data: bytes) -> Sequence[Piece]:
        """The stream's events that `data` completes. Raises WireFault."""
        return read_pieces(self._decoder.feed(data), lambda event: self._reader.read(event.name, event.data))


def decode(data: bytes, decoder: Callable[[bytes], _T]) -> _T:
    """Decode a part of an event. Raises WireFault."""
    try:
        return decoder(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireFault("corrupt", f"an event is not one of the Messages API: {error}") from error
