"""Content blocks of the Messages API, from parts of turns that `common.turns` has arranged."""

import base64
import binascii

from sekisho.core.chat import (
    Document,
    Image,
    Message,
    Part,
    RedactedThinking,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from sekisho.core.model import ModelFacts
from sekisho.dialects.anthropic_messages.calling.cache import Json, mark_block
from sekisho.dialects.anthropic_messages.citations import build_citation
from sekisho.dialects.common.marks import find_mark
from sekisho.dialects.common.media import find_image_type
from sekisho.dialects.common.names import ToolNames
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.tools import read_arguments
from sekisho.dialects.common.turns import is_blank

_LEFT_OUT: Json = {"type": "text", "text": "[left out: the model cannot read it]"}
_UNNAMED = "document"


class BlockWriter:
    """Writes the turns of one request."""

    def __init__(self, facts: ModelFacts, names: ToolNames, notes: Omissions) -> None:
        self._facts = facts
        self._names = names
        self._notes = notes

    def write_turn(self, turn: Message) -> Json:
        """One turn. Raises Unsupported for what the model cannot read."""
        content: list[Json] = []
        after: list[Json] = []
        for part in turn.parts:
            block = self._write_part(part, own=turn.role == "assistant")
            content.append(mark_block(block, find_mark(part), "messages", self._facts, self._notes))
            if isinstance(part, ToolResult) and part.is_error:
                after += [self._write_part(shown) for shown in part.parts if not isinstance(shown, Text)]
        return {"role": turn.role, "content": content + after}

    def _write_part(self, part: Part, *, own: bool = False) -> Json:
        """A block; `own` in the model's own turns, whose texts go back with their citations."""
        match part:
            case Text():
                return _write_text(part, own=own)
            case ToolCall():
                name = self._names.to_wire(part.name)
                return {"type": "tool_use", "id": part.id, "name": name, "input": read_arguments(part.arguments)}
            case ToolResult():
                return self._write_result(part)
            case Thinking():
                return {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}
            case RedactedThinking():
                return {"type": "redacted_thinking", "data": part.data}
            case Image():
                return self._write_image(part)
            case Document():
                return self._write_document(part)

    def _write_result(self, result: ToolResult) -> Json:
        """A tool's answer. That of one that failed may hold texts only: the rest follows it in the turn."""
        block: Json = {"type": "tool_result", "tool_use_id": result.call_id}
        shown = [
            part for part in result.parts if (not is_blank(part) if isinstance(part, Text) else not result.is_error)
        ]
        if shown:
            block["content"] = [self._write_part(part) for part in shown]
        if result.is_error:
            block["is_error"] = True
        return block

    def _write_image(self, image: Image) -> Json:
        if not self._facts.vision and self._facts.family != "unknown":
            return self._leave_out("The model cannot see pictures.")
        if image.data is None and image.url is not None:
            return {"type": "image", "source": {"type": "url", "url": image.url}}
        media_type = find_image_type(image.data or "", image.media_type)
        if media_type is None or not image.data:
            return self._leave_out("The model reads pictures in PNG, JPEG, GIF and WebP only.")
        return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": image.data}}

    def _write_document(self, document: Document) -> Json:
        source = self._write_source(document)
        if not self._facts.documents and self._facts.family != "unknown":
            return self._leave_out("The model cannot read files.")
        if source is None:
            return self._leave_out("The file is empty or of a type that the model cannot read: it reads PDF and text.")
        block: Json = {"type": "document", "source": source}
        if document.name != _UNNAMED:
            block["title"] = document.name
        if document.context is not None:
            block["context"] = document.context
        if document.cited:
            block["citations"] = {"enabled": True}
        return block

    def _write_source(self, document: Document) -> Json | None:
        """Where the file's content is; None when the model could not read it."""
        if document.data is None and document.url is not None:
            return {"type": "url", "url": document.url}
        media_type = (document.media_type or "").partition(";")[0].strip().lower()
        if not document.data:
            return None
        if media_type == "application/pdf":
            return {"type": "base64", "media_type": media_type, "data": document.data}
        if not media_type.startswith("text/"):
            return None
        try:
            text = base64.b64decode(document.data, validate=True).decode()
        except (binascii.Error, ValueError):
            return None
        return {"type": "text", "media_type": "text/plain", "data": text} if text.strip() else None

    def _leave_out(self, reason: str) -> Json:
        self._notes.refuse("messages", reason)
        return _LEFT_OUT


def _write_text(text: Text, *, own: bool) -> Json:
    block: Json = {"type": "text", "text": text.text}
    if own:
        # Of other vendors' searches Anthropic knows nothing.
        cited = [build_citation(citation) for citation in text.citations if citation.kind != "web"]
        told = [citation for citation in cited if citation is not None]
        if told:
            block["citations"] = told
    return block
