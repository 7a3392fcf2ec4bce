"""Writes a streamed answer as the events of the Messages API.

Order: message_start; for each block content_block_start, its deltas and content_block_stop; message_delta with the stop
reason and the usage; message_stop. Clients refuse events of types that they do not know, so that no other is written.
A broken stream ends with an `error` event and without message_stop.
"""

from typing import Final

import msgspec
from msgspec import Struct

from sekisho.core.errors import SekishoError, UpstreamUnavailable
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
from sekisho.dialects.anthropic_messages.citations import build_citation
from sekisho.dialects.anthropic_messages.serving.answer import build_head, write_error
from sekisho.dialects.anthropic_messages.stopping import find_word
from sekisho.dialects.anthropic_messages.usage import build_usage
from sekisho.dialects.common.sse import encode_event

KNOWN_EVENTS: Final = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
    }
)
PING: Final = b'{"type":"ping"}'

_Json = dict[str, object]
_encode = msgspec.json.Encoder().encode


class _Typed(Struct):
    type: str = ""


_decode_type = msgspec.json.Decoder(_Typed).decode


class MessageWriter:
    """The `StreamWriter` of this format. Subclasses put the events into other envelopes."""

    def __init__(self, head: AnswerHead) -> None:
        self._head = head
        self._started = False
        self._index = -1
        # What the open block is: "text", "thinking", or the number of a tool call; None when no block is open.
        self._open: str | int | None = None
        self._signed = False
        self._finish: Finish | None = None

    def write(self, event: Event) -> bytes:
        """The bytes for one event; the first one is preceded by message_start."""
        if self._started:
            return self._write(event)
        return self._start() + self._write(event)

    def end(self, usage: Usage, cost: int | None) -> bytes:
        """The end of a complete stream; the cost has no place in this format."""
        finish = self._finish or Finish("stop", "end_turn")
        delta = {"stop_reason": find_word(finish), "stop_sequence": finish.stop_sequence}
        started = b"" if self._started else self._start()
        return (
            started
            + self._close()
            + self._event("message_delta", {"delta": delta, "usage": build_usage(usage)})
            + self._event("message_stop", {})
        )

    def relay(self, piece: Piece) -> bytes:
        """An event of an upstream of this format; none for types that clients do not know."""
        name = piece.name if piece.name in KNOWN_EVENTS else find_type(piece.data)
        return self._envelop(name, make_one_line(piece.data)) if name in KNOWN_EVENTS else b""

    def keep_alive(self) -> bytes:
        """A ping."""
        return self._envelop("ping", PING)

    def fail(self, error: SekishoError) -> bytes:
        """The end of a broken stream."""
        return self._envelop("error", write_error(error))

    def _envelop(self, name: str, data: bytes) -> bytes:
        return encode_event(data, name)

    def _event(self, name: str, fields: _Json) -> bytes:
        return self._envelop(name, _encode({"type": name, **fields}))

    def _start(self) -> bytes:
        """The beginning. The usage is not known yet: the figures at the end are those of the whole call."""
        self._started = True
        rest: _Json = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": build_usage(Usage())}
        return self._event("message_start", {"message": build_head(self._head) | rest})

    def _write(self, event: Event) -> bytes:
        match event:
            case TextDelta(text):
                return self._open_text() + self._delta({"type": "text_delta", "text": text})
            case ToolCallDelta(index, fragment):
                return self._write_arguments(index, fragment)
            case ThinkingDelta(text):
                return self._open_thinking() + self._delta({"type": "thinking_delta", "thinking": text})
            case ThinkingSignature(signature):
                return self._write_signature(signature)
            case RedactedThinkingBlock(data):
                return self._open_block("redacted", {"type": "redacted_thinking", "data": data}) + self._close()
            case ToolCallStart(index, call_id, name):
                return self._open_block(index, {"type": "tool_use", "id": call_id, "name": name, "input": {}})
            case CitationDelta(citation):
                told = build_citation(citation)
                if told is None:
                    return b""
                return self._open_text() + self._delta({"type": "citations_delta", "citation": told})
            case Finish():
                self._finish = event
                return self._close()
            case UsageReport():
                return b""

    def _open_text(self) -> bytes:
        return b"" if self._open == "text" else self._open_block("text", {"type": "text", "text": ""})

    def _open_thinking(self) -> bytes:
        # A signature closes the reasoning before it: what comes after it is another block.
        if self._open == "thinking" and not self._signed:
            return b""
        self._signed = False
        return self._open_block("thinking", {"type": "thinking", "thinking": "", "signature": ""})

    def _write_signature(self, signature: str) -> bytes:
        opened = self._open_thinking()
        self._signed = True
        return opened + self._delta({"type": "signature_delta", "signature": signature})

    def _write_arguments(self, index: int, fragment: str) -> bytes:
        if not fragment:
            return b""
        if self._open != index:
            # Blocks follow one another, and a closed one cannot be opened again. No upstream known mixes them.
            raise UpstreamUnavailable("The model's answer mixes the arguments of its tool calls.", verdict="never")
        return self._delta({"type": "input_json_delta", "partial_json": fragment})

    def _open_block(self, what: str | int, block: _Json) -> bytes:
        closed = self._close()
        self._open = what
        self._index += 1
        return closed + self._event("content_block_start", {"index": self._index, "content_block": block})

    def _delta(self, delta: _Json) -> bytes:
        return self._event("content_block_delta", {"index": self._index, "delta": delta})

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return self._event("content_block_stop", {"index": self._index})


def find_type(data: bytes) -> str:
    """The type that an event's data names; empty when they name none."""
    try:
        return _decode_type(data).type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def make_one_line(data: bytes) -> bytes:
    """JSON without line breaks, which the envelope could not hold. In JSON they stand only between tokens."""
    return data.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in data or b"\r" in data else data
