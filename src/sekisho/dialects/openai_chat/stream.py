"""Writes a streamed answer as server-sent events of `chat.completion.chunk` objects.

Order: a chunk with the role, deltas, the finish chunk, a usage chunk without choices if the client asked for one, then
`[DONE]`. A broken stream ends with an error object and without `[DONE]`.

Chunks of an upstream that speaks this format itself are passed on as they came, but for the usage chunk that the
gateway has asked for and the client has not.
"""

from typing import Final

import msgspec

from sekisho.core.chat import Citation, RedactedThinking, Thinking
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
from sekisho.dialects.common.openai import DONE, build_usage, relay_event, write_error
from sekisho.dialects.common.sse import KEEP_ALIVE, encode_event
from sekisho.dialects.openai_chat.answer import (
    build_annotation,
    build_head,
    build_thinking_block,
)

_encode = msgspec.json.Encoder().encode
_DELTA_END: Final = b',"finish_reason":null}]}\n\n'
_TEXT_END: Final = b"}" + _DELTA_END
_DONE: Final = encode_event(DONE)


class ChunkWriter:
    """The `StreamWriter` of this dialect. What all chunks of an answer share is encoded once."""

    def __init__(self, head: AnswerHead, *, include_usage: bool) -> None:
        shared = b"data: " + _encode(build_head(head, "chat.completion.chunk"))[:-1]
        self._choice = shared + b',"choices":[{"index":0,"delta":'
        self._text = self._choice + b'{"content":'
        self._usage = shared + b',"choices":[],"usage":'
        self._include_usage = include_usage
        self._started = False
        # The reasoning shown in the block now open: a signed block carries its whole text, so that a client can send
        # the block back without having put it together.
        self._reasoning: list[str] = []
        # Tool calls that have no arguments yet.
        self._bare_calls: set[int] = set()
        # Characters of text so far, and where the text began that the next citation is for.
        self._said = 0
        self._cited_from = 0

    def write(self, event: Event) -> bytes:
        """The bytes for one event; the first one is preceded by the chunk with the role."""
        if not self._started:
            self._started = True
            return self._write_delta(b'{"role":"assistant","content":""}') + self.write(event)
        if self._reasoning and not isinstance(event, (ThinkingDelta, ThinkingSignature)):
            self._reasoning.clear()  # the block ended without a signature
        if type(event) is TextDelta:
            self._said += len(event.text)
            return self._text + _encode(event.text) + _TEXT_END
        match event:
            case ToolCallDelta():
                return self._write_arguments(event)
            case CitationDelta(citation=citation):
                return self._write_citation(citation)
            case ThinkingDelta(text=text):
                self._reasoning.append(text)
                return self._write_delta(b'{"reasoning_content":' + _encode(text) + b"}")
            case ThinkingSignature(signature=signature):
                text = "".join(self._reasoning)
                self._reasoning.clear()
                return self._write_thinking(Thinking(text=text, signature=signature))
            case RedactedThinkingBlock(data=data):
                return self._write_thinking(RedactedThinking(data=data))
            case ToolCallStart():
                return self._write_call(event)
            case Finish():
                return self._write_finish(event)
            case UsageReport():
                return b""

    def end(self, usage: Usage, cost: int | None) -> bytes:
        """The end of a complete stream; `cost` in nano-dollars, None when the model is unpriced."""
        if not self._include_usage:
            return _DONE
        return self._usage + _encode(build_usage(usage, cost)) + b"}\n\n" + _DONE

    def relay(self, piece: Piece) -> bytes:
        """An event of an upstream of the same format, as it came; none for a usage chunk not asked for."""
        return relay_event(piece, include_usage=self._include_usage)

    def keep_alive(self) -> bytes:
        """A comment."""
        return KEEP_ALIVE

    def fail(self, error: SekishoError) -> bytes:
        """The end of a broken stream."""
        return b"data: " + write_error(error) + b"\n\n"

    def _write_delta(self, delta: bytes) -> bytes:
        return self._choice + delta + _DELTA_END

    def _write_citation(self, citation: Citation) -> bytes:
        if citation.url is None:
            return b""
        annotation = build_annotation(citation, self._cited_from, self._said)
        self._cited_from = self._said
        return self._write_delta(_encode({"annotations": [annotation]}))

    def _write_thinking(self, part: Thinking | RedactedThinking) -> bytes:
        return self._write_delta(_encode({"thinking_blocks": [build_thinking_block(part)]}))

    def _write_call(self, start: ToolCallStart) -> bytes:
        self._bare_calls.add(start.index)
        function = {"name": start.name, "arguments": ""}
        call = {"index": start.index, "id": start.id, "type": "function", "function": function}
        return self._write_delta(_encode({"tool_calls": [call]}))

    def _write_arguments(self, delta: ToolCallDelta) -> bytes:
        if not delta.fragment:
            return b""
        self._bare_calls.discard(delta.index)
        return self._write_fragment(delta.index, delta.fragment)

    def _write_fragment(self, index: int, fragment: str) -> bytes:
        return self._write_delta(
            b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}' % (index, _encode(fragment))
        )

    def _write_finish(self, finish: Finish) -> bytes:
        # Clients parse the arguments as JSON: a call without any must still have an object.
        filled = b"".join(self._write_fragment(index, "{}") for index in sorted(self._bare_calls))
        self._bare_calls.clear()
        return filled + self._choice + b'{},"finish_reason":' + _encode(finish.reason) + b"}]}\n\n"
