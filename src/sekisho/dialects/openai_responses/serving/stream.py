"""Writes a streamed answer as the events of OpenAI's Responses API.

Order: `response.created`, `response.in_progress`; for each item `output_item.added`, its deltas and their `done`, and
`output_item.done`; then `response.completed`, or `response.incomplete` for an answer that was cut off. A broken stream
ends with `response.failed`. All events are numbered, and all carry the same answer's id.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import ClientCall, FinishReason, RedactedThinking
from sekisho.core.errors import SekishoError
from sekisho.core.events import (
    CitationDelta,
    Event,
    Finish,
    RedactedThinkingBlock,
    TextDelta,
    ThinkingDelta,
    ThinkingSignature,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, Piece
from sekisho.dialects.common.sse import KEEP_ALIVE, encode_event
from sekisho.dialects.openai_responses.names import Json
from sekisho.dialects.openai_responses.serving.answer import (
    build_compaction,
    build_failure,
    build_response,
    build_usage,
)
from sekisho.dialects.openai_responses.serving.frame import Frame, frame_answer
from sekisho.dialects.openai_responses.serving.progress import CallItem, MessageItem, Numbering, ReasoningItem

_ENDINGS: Final = ("response.completed", "response.incomplete")
_STARTS: Final = ("response.created", "response.in_progress")


class _Relayed(Struct):
    """What of an upstream's event is needed should the stream break, or its answer be kept."""

    type: str = ""
    sequence_number: int = 0
    response: Raw = Raw(b"")


_encode = msgspec.json.Encoder().encode
_decode_relayed = msgspec.json.Decoder(_Relayed).decode


class EventWriter:
    """The `StreamWriter` of this dialect."""

    def __init__(self, head: AnswerHead, call: ClientCall) -> None:
        self._head = head
        self._call = call
        self._numbering = Numbering()
        self._frame: Frame | None = None
        self._relayed_head: Raw | None = None
        self._last_relayed = b""
        self._open: MessageItem | ReasoningItem | None = None
        # Calls stay open until the end: an upstream may go on with one after it has begun the next.
        self._calls: dict[int, CallItem] = {}
        self._items: dict[int, Json | Raw] = {}
        self._started = 0
        self._summary: list[str] = []
        self._reason: FinishReason = "stop"
        self._whole: bytes | None = None

    @property
    def whole(self) -> bytes | None:
        """The whole answer as JSON, once the stream has properly ended."""
        return self._whole

    def write(self, event: Event) -> bytes:
        """The bytes for one event; the first one is preceded by the events that begin an answer."""
        if self._frame is not None:
            return self._write(event, self._frame)
        frame = self._frame = frame_answer(self._head, self._call)
        return self._begin(frame) + self._write(event, frame)

    def end(self, usage: Usage, cost: int | None) -> bytes:
        """The end of a complete stream; `cost` in nano-dollars, None when the model is unpriced."""
        frame = self._frame or frame_answer(self._head, self._call)
        begun = b"" if self._frame else self._begin(frame)
        self._frame = frame
        closed = self._close_all("completed")
        if frame.compacting:
            closed += self._write_compaction(frame)
        response = build_response(frame, self._output(), self._reason, build_usage(usage, cost))
        self._whole = _encode(response)
        return begun + closed + self._write_response(f"response.{response['status']}", self._whole)

    def relay(self, piece: Piece) -> bytes:
        """An upstream's event as it came."""
        kind = piece.name
        if kind is None or kind in _ENDINGS or kind in _STARTS:
            event = _read_relayed(piece.data)
            kind = kind or event.type
            if kind in _ENDINGS:
                self._whole = bytes(event.response)
            elif kind in _STARTS:
                self._relayed_head = event.response
        self._last_relayed = piece.data
        return encode_event(piece.data.replace(b"\n", b"\ndata: "), kind or None)

    def keep_alive(self) -> bytes:
        """A comment."""
        return KEEP_ALIVE

    def fail(self, error: SekishoError) -> bytes:
        """The end of a broken stream: `response.failed`, which is the only ending that all clients notice."""
        if self._last_relayed:
            self._numbering.go_on_after(_read_relayed(self._last_relayed).sequence_number)
        begun = b""
        if self._relayed_head is not None and bytes(self._relayed_head):
            response = msgspec.json.decode(self._relayed_head, type=dict[str, object])
        else:
            frame = self._frame or frame_answer(self._head, self._call)
            begun = b"" if self._frame else self._begin(frame)
            response = build_response(frame, self._output(), "stop", {}) | {"usage": None}
        response |= {"status": "failed", "error": build_failure(error)}
        return begun + self._write_response("response.failed", _encode(response))

    def _begin(self, frame: Frame) -> bytes:
        response = build_response(frame, [], "stop", {}) | {"status": "in_progress", "usage": None}
        encoded = _encode(response)
        return b"".join(self._write_response(kind, encoded) for kind in _STARTS)

    def _write_response(self, kind: str, response: bytes) -> bytes:
        return self._numbering.write(kind, b'"response":' + response)

    def _write(self, event: Event, frame: Frame) -> bytes:
        match event:
            case TextDelta(text=text):
                return self._write_text(text, frame)
            case ToolCallDelta(index=index, fragment=fragment):
                return self._calls[index].add(fragment) if index in self._calls else b""
            case ThinkingDelta(text=text):
                return b"" if frame.compacting else self._reasoning(frame).add(text)
            case ThinkingSignature(signature=signature):
                return b"" if frame.compacting else self._reasoning(frame).sign(signature) + self._close()
            case CitationDelta(citation=citation):
                return self._open.cite(citation) if isinstance(self._open, MessageItem) else b""
            case RedactedThinkingBlock(data=data):
                return b"" if frame.compacting else self._write_redacted(data, frame)
            case ToolCallStart():
                return b"" if frame.compacting else self._start_call(event, frame)
            case Finish(reason=reason):
                self._reason = reason
                return self._close_all("incomplete" if reason == "length" else "completed")
            case UsageReport():
                return b""

    def _write_text(self, text: str, frame: Frame) -> bytes:
        if frame.compacting:
            self._summary.append(text)
            return b""
        if isinstance(self._open, MessageItem):
            return self._open.add(text)
        closed = self._close()
        self._open = item = MessageItem(self._numbering, frame, self._next_index())
        return closed + item.begin() + item.add(text)

    def _reasoning(self, frame: Frame) -> ReasoningItem:
        """The open item of reasoning. A new one says that it begins with its first bytes."""
        if not isinstance(self._open, ReasoningItem):
            closed = self._close()
            self._open = ReasoningItem(self._numbering, frame, self._next_index(), closed)
        return self._open

    def _write_redacted(self, data: str, frame: Frame) -> bytes:
        closed = self._close()
        item = ReasoningItem(self._numbering, frame, self._next_index(), closed)
        self._open = item
        return item.hide(RedactedThinking(data=data)) + self._close()

    def _start_call(self, start: ToolCallStart, frame: Frame) -> bytes:
        closed = self._close()
        item = self._calls[start.index] = CallItem(self._numbering, frame, self._next_index(), start)
        return closed + item.begin()

    def _write_compaction(self, frame: Frame) -> bytes:
        index = self._next_index()
        item = self._items[index] = build_compaction(frame, index, "".join(self._summary))
        return self._numbering.write_item("added", index, item) + self._numbering.write_item("done", index, item)

    def _next_index(self) -> int:
        index = self._started
        self._started += 1
        return index

    def _close(self, status: str = "completed") -> bytes:
        """Ends the message or the reasoning that is open."""
        item, self._open = self._open, None
        if item is None:
            return b""
        written, self._items[item.index] = item.end(status)
        return written

    def _close_all(self, status: str) -> bytes:
        pieces = [self._close(status)]
        for call in self._calls.values():
            written, self._items[call.index] = call.end(status)
            pieces.append(written)
        self._calls.clear()
        return b"".join(pieces)

    def _output(self) -> Sequence[Json | Raw]:
        return [self._items[index] for index in sorted(self._items)]


def _read_relayed(data: bytes) -> _Relayed:
    try:
        return _decode_relayed(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _Relayed()
