"""Answers of ConverseStream: neutral events to frames of an event stream."""

from collections import deque
from typing import Final

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import ClientCall
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
from sekisho.dialects.bedrock_converse.citations import write_citation
from sekisho.dialects.bedrock_converse.forms import Json
from sekisho.dialects.bedrock_converse.serving.answer import (
    asks_stop_sequence,
    find_stop_reason,
    write_additional,
    write_usage,
)
from sekisho.dialects.common.bedrock_errors import bedrock_exception
from sekisho.dialects.common.eventstream import encode_frame

_ROLE: Final = b'{"role":"assistant"}'

_encode = msgspec.json.Encoder().encode
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


class _Block(Struct, kw_only=True):
    """A content block that is not finished: what it is and which of its deltas are still to be sent.

    arguments: what has come of a tool call's arguments, None for other blocks.
    """

    kind: str
    start: Json | None = None
    deltas: list[Json] = []
    arguments: list[str] | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing more can belong to it, given that another block has begun."""
        if self.arguments is None:
            return True
        try:
            _decode_object("".join(self.arguments))
        except (msgspec.MsgspecError, RecursionError):
            return False
        return True


class ConverseStreamWriter:
    """The `StreamWriter` of this dialect.

    Only one block is open at a time, which the readers of some SDKs rely on. Calls whose arguments come interleaved
    (OpenAI's format allows it) are sent one after the other: what comes for a later one waits.
    """

    def __init__(self, head: AnswerHead, call: ClientCall) -> None:
        self._head = head
        self._tells_stop_sequence = asks_stop_sequence(call)
        self._started = False
        self._index = 0
        self._blocks: deque[_Block] = deque()
        self._calls: dict[int, _Block] = {}

    def write(self, event: Event) -> bytes:
        """The frames for one event."""
        begin = b"" if self._started else write_event("messageStart", _ROLE)
        self._started = True
        match event:
            case TextDelta(text=text):
                self._continue("text").deltas.append({"text": text})
            case ToolCallDelta():
                self._add_arguments(event)
            case ThinkingDelta(text=text):
                self._continue("thinking").deltas.append({"reasoningContent": {"text": text}})
            case ThinkingSignature(signature=signature):
                block = self._continue("thinking")
                block.deltas.append({"reasoningContent": {"signature": signature}})
                block.kind = "signed"  # nothing more belongs to it
            case RedactedThinkingBlock(data=data):
                self._begin(_Block(kind="redacted", deltas=[{"reasoningContent": {"redactedContent": data}}]))
            case CitationDelta(citation=citation):
                self._continue("text").deltas.append({"citation": write_citation(citation)})
            case ToolCallStart():
                self._start_call(event)
            case Finish():
                return begin + self._finish(event)
            case UsageReport():
                return b""
        return begin + self._flush()

    def end(self, usage: Usage, cost: int | None) -> bytes:
        """The frame that ends a complete stream: usage and latency. Converse has no place for the cost."""
        metadata: Json = {"usage": write_usage(usage), "metrics": {"latencyMs": self._head.elapsed_ms()}}
        return write_event("metadata", _encode(metadata))

    def relay(self, piece: Piece) -> bytes:
        """An event of Converse's own stream, in a frame of ours."""
        return write_event(piece.name or "", piece.data)

    def keep_alive(self) -> bytes:
        """Nothing: event streams have no frames without a meaning."""
        return b""

    def fail(self, error: SekishoError) -> bytes:
        """The exception frame that ends a broken stream."""
        return bedrock_exception(error)

    def _continue(self, kind: str) -> _Block:
        """The block that text or reasoning goes into: the last one if it is of its kind, or a new one."""
        if self._blocks and self._blocks[-1].kind == kind:
            return self._blocks[-1]
        return self._begin(_Block(kind=kind))

    def _begin(self, block: _Block) -> _Block:
        self._blocks.append(block)
        return block

    def _start_call(self, start: ToolCallStart) -> None:
        use: Json = {"toolUse": {"toolUseId": start.id, "name": start.name}}
        self._calls[start.index] = self._begin(_Block(kind="tool", start=use, arguments=[]))

    def _add_arguments(self, delta: ToolCallDelta) -> None:
        block = self._calls.get(delta.index)
        if block is None or block.arguments is None or not delta.fragment:
            return
        block.arguments.append(delta.fragment)
        block.deltas.append({"toolUse": {"input": delta.fragment}})

    def _flush(self, *, last: bool = False) -> bytes:
        """Send what can be sent: all of the first block, and of those after it once it is finished."""
        frames: list[bytes] = []
        while self._blocks:
            block = self._blocks[0]
            done = last or (len(self._blocks) > 1 and block.whole)
            if done and block.arguments == []:
                block.deltas.append({"toolUse": {"input": "{}"}})
            frames += self._send(block)
            if not done:
                break
            frames.append(write_event("contentBlockStop", b'{"contentBlockIndex":%d}' % self._index))
            self._blocks.popleft()
            self._index += 1
        return b"".join(frames)

    def _send(self, block: _Block) -> list[bytes]:
        frames: list[bytes] = []
        if block.start is not None:
            start: Json = {"contentBlockIndex": self._index, "start": block.start}
            frames.append(write_event("contentBlockStart", _encode(start)))
            block.start = None
        frames += [
            write_event("contentBlockDelta", _encode({"contentBlockIndex": self._index, "delta": delta}))
            for delta in block.deltas
        ]
        block.deltas.clear()
        return frames

    def _finish(self, finish: Finish) -> bytes:
        stop: Json = {"stopReason": find_stop_reason(finish)} | write_additional(finish, self._tells_stop_sequence)
        return self._flush(last=True) + write_event("messageStop", _encode(stop))


def write_event(kind: str, payload: bytes) -> bytes:
    """One event as a frame."""
    return encode_frame({":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, payload)
