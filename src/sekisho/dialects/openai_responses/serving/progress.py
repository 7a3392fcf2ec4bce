"""The items of a streamed answer while they are being written: a message, reasoning, a call."""

from itertools import count

import msgspec
from msgspec import Raw

from sekisho.core.chat import Citation, RedactedThinking, Thinking, ToolCall
from sekisho.core.events import ToolCallStart
from sekisho.dialects.common.sse import encode_event
from sekisho.dialects.openai_responses.names import Json
from sekisho.dialects.openai_responses.serving.answer import (
    build_annotation,
    build_call,
    build_message,
    build_reasoning,
)
from sekisho.dialects.openai_responses.serving.frame import Frame
from sekisho.dialects.openai_responses.serving.unescape import FreeFormReader, read_free_form

_encode = msgspec.json.Encoder().encode


class Numbering:
    """Writes events, each with the next number."""

    def __init__(self) -> None:
        self._numbers = count()

    def go_on_after(self, number: int) -> None:
        """Makes the next number the one after `number`."""
        self._numbers = count(number + 1)

    def write(self, kind: str, members: bytes) -> bytes:
        """One event with these members of its object, without braces."""
        return encode_event(
            b'{"type":"%b","sequence_number":%d,%b}' % (kind.encode(), next(self._numbers), members), kind
        )

    def write_item(self, stage: str, index: int, item: Json | Raw) -> bytes:
        """That an item begins (`added`) or is complete (`done`)."""
        return self.write(f"response.output_item.{stage}", b'"output_index":%d,"item":%b' % (index, _encode(item)))


class MessageItem:
    """A message with one part of text."""

    def __init__(self, numbering: Numbering, frame: Frame, index: int) -> None:
        self.index = index
        self._numbering = numbering
        self._frame = frame
        place = {"item_id": frame.item_id("msg", index), "output_index": index, "content_index": 0}
        self._place = _encode(place)[1:-1]
        self._texts: list[str] = []
        self._length = 0
        self._cited_to = 0
        self._cited_from = 0
        self._annotations: list[Json] = []

    def begin(self) -> bytes:
        """That the message and its text begin."""
        item = build_message(self._frame, self.index, "", []) | {"status": "in_progress", "content": []}
        return self._numbering.write_item("added", self.index, item) + self._write_part("added", "")

    def add(self, text: str) -> bytes:
        """More text."""
        self._texts.append(text)
        self._length += len(text)
        members = b'%b,"delta":%b,"logprobs":[]' % (self._place, _encode(text))
        return self._numbering.write("response.output_text.delta", members)

    def cite(self, citation: Citation) -> bytes:
        """What the text since the last citations rests on; several may follow each other for the same text."""
        if self._cited_to != self._length:
            self._cited_from, self._cited_to = self._cited_to, self._length
        annotation = build_annotation(citation, self._cited_from, self._cited_to)
        if annotation is None:
            return b""
        self._annotations.append(annotation)
        members = b'%b,"annotation_index":%d,"annotation":%b'
        numbers = (self._place, len(self._annotations) - 1, _encode(annotation))
        return self._numbering.write("response.output_text.annotation.added", members % numbers)

    def end(self, status: str) -> tuple[bytes, Raw]:
        """That the text and the message are complete; and the message."""
        text = "".join(self._texts)
        item = Raw(_encode(build_message(self._frame, self.index, text, self._annotations, status)))
        told = self._numbering.write(
            "response.output_text.done", b'%b,"text":%b,"logprobs":[]' % (self._place, _encode(text))
        )
        return told + self._write_part("done", text) + self._numbering.write_item("done", self.index, item), item

    def _write_part(self, stage: str, text: str) -> bytes:
        part = {"type": "output_text", "text": text, "annotations": self._annotations, "logprobs": []}
        return self._numbering.write(f"response.content_part.{stage}", b'%b,"part":%b' % (self._place, _encode(part)))


class ReasoningItem:
    """Reasoning, shown as a summary where that is wanted. It begins with its first bytes, after `before`."""

    def __init__(self, numbering: Numbering, frame: Frame, index: int, before: bytes) -> None:
        self.index = index
        self._numbering = numbering
        self._frame = frame
        place = {"item_id": frame.item_id("rs", index), "output_index": index, "summary_index": 0}
        self._place = _encode(place)[1:-1]
        self._before = before
        self._begun = False
        self._shown = False
        self._texts: list[str] = []
        self._part: Thinking | RedactedThinking = Thinking(text="")

    def add(self, text: str) -> bytes:
        """More reasoning."""
        self._texts.append(text)
        begun = self._begin()
        if not self._frame.shows_reasoning or not text:
            return begun
        if not self._shown:
            self._shown = True
            begun += self._write_part("added", "")
        return begun + self._write_summary("delta", "delta", text)

    def sign(self, signature: str) -> bytes:
        """The signature of the reasoning."""
        self._part = Thinking(text="", signature=signature)
        return self._begin()

    def hide(self, part: RedactedThinking) -> bytes:
        """Reasoning that is hidden as a whole."""
        self._part = part
        return self._begin()

    def end(self, status: str) -> tuple[bytes, Raw]:
        """That the reasoning is complete; and its item."""
        text = "".join(self._texts)
        if isinstance(self._part, Thinking):
            self._part.text = text
        item = Raw(_encode(build_reasoning(self._frame, self.index, self._part)))
        told = b""
        if self._shown:
            told = self._write_summary("done", "text", text) + self._write_part("done", text)
        return told + self._numbering.write_item("done", self.index, item), item

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        item: Json = {"id": self._frame.item_id("rs", self.index), "type": "reasoning", "summary": []}
        return self._before + self._numbering.write_item("added", self.index, item)

    def _write_part(self, stage: str, text: str) -> bytes:
        part = _encode({"type": "summary_text", "text": text})
        return self._numbering.write(f"response.reasoning_summary_part.{stage}", b'%b,"part":%b' % (self._place, part))

    def _write_summary(self, stage: str, member: str, text: str) -> bytes:
        members = b'%b,"%b":%b' % (self._place, member.encode(), _encode(text))
        return self._numbering.write(f"response.reasoning_summary_text.{stage}", members)


class CallItem:
    """A call of a function, or of a free-form tool, whose text is unwrapped from the arguments as they come."""

    def __init__(self, numbering: Numbering, frame: Frame, index: int, start: ToolCallStart) -> None:
        self.index = index
        self._numbering = numbering
        self._frame = frame
        self._call = ToolCall(id=start.id, name=start.name, arguments="")
        self._custom = FreeFormReader() if frame.directory.find(start.name).custom else None
        self._event = "response.function_call_arguments" if self._custom is None else "response.custom_tool_call_input"
        kind = "fc" if self._custom is None else "ctc"
        self._place = _encode({"item_id": frame.item_id(kind, index), "output_index": index})[1:-1]
        self._fragments: list[str] = []

    def begin(self) -> bytes:
        """That the call begins."""
        return self._numbering.write_item("added", self.index, self._build("", "in_progress"))

    def add(self, fragment: str) -> bytes:
        """More of the arguments."""
        self._fragments.append(fragment)
        delta = fragment if self._custom is None else self._custom.feed(fragment)
        return self._write("delta", "delta", delta) if delta else b""

    def end(self, status: str) -> tuple[bytes, Raw]:
        """That the call is complete; and its item."""
        arguments = "".join(self._fragments)
        late = b""
        if self._custom is not None:
            given = self._custom.text
            arguments = given if self._custom.sound else read_free_form(arguments)
            if not given and arguments:
                late = self._write("delta", "delta", arguments)
            done = self._write("done", "input", arguments)
        else:
            if not arguments:  # clients parse the arguments as JSON
                arguments = "{}"
                late = self._write("delta", "delta", arguments)
            done = self._write("done", "arguments", arguments)
        item = Raw(_encode(self._build(arguments, status)))
        return late + done + self._numbering.write_item("done", self.index, item), item

    def _build(self, told: str, status: str) -> Json:
        item = build_call(self._frame, self.index, self._call, status)
        return item | {"arguments" if self._custom is None else "input": told}

    def _write(self, stage: str, member: str, text: str) -> bytes:
        members = b'%b,"%b":%b' % (self._place, member.encode(), _encode(text))
        return self._numbering.write(f"{self._event}.{stage}", members)
