"""Content blocks of Converse, from parts of turns that `common.turns` has arranged."""

import re

from msgspec import Struct

from sekisho.core.chat import (
    CacheMark,
    Document,
    Image,
    Message,
    RedactedThinking,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from sekisho.core.errors import Unsupported
from sekisho.core.model import ModelFacts
from sekisho.dialects.bedrock_converse.calling.cache import write_cache_point
from sekisho.dialects.bedrock_converse.citations import write_cited_text
from sekisho.dialects.bedrock_converse.forms import DOCUMENT_FORMATS, Json
from sekisho.dialects.common.marks import find_result_mark
from sekisho.dialects.common.media import find_image_type
from sekisho.dialects.common.names import ToolNames
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.tools import read_arguments
from sekisho.dialects.common.turns import NO_OUTPUT

_NOT_IN_DOCUMENT_NAME = re.compile(r"[^a-zA-Z0-9()\[\]-]+")
_MAX_DOCUMENT_NAME = 180  # of 200: room for a number
# The first bytes of a PDF in base64, for files that came without a media type; a name's ending is the other hint.
_PDF_START = "JVBERi"
_LEFT_OUT = "[left out: the model cannot read it]"
_READ_DOCUMENT = "Read the document."


class Turn(Struct):
    """A message of Converse."""

    role: str
    content: list[Json]


class BlockWriter:
    """Writes the turns of one request; it remembers names that must not repeat.

    marks: how many cache points there are among what was written.
    """

    def __init__(self, facts: ModelFacts, names: ToolNames, notes: Omissions) -> None:
        self.marks = 0
        self._facts = facts
        self._names = names
        self._notes = notes
        self._document_names: set[str] = set()

    def write_turn(self, turn: Message) -> Turn:
        """One turn, reasoning first and tool calls last. Raises Unsupported for what the model cannot read."""
        thinking: list[Json] = []
        content: list[Json] = []
        calls: list[Json] = []
        own, files = turn.role == "assistant", False
        for part in turn.parts:
            if type(part) is Text:
                content.append(self._write_own_text(part) if own and part.citations else {"text": part.text})
                if part.cache is not None:
                    content += self._mark(part.cache)
            elif type(part) is ToolResult:
                content.append({"toolResult": self._write_result(part)})
                if (mark := find_result_mark(part)) is not None:
                    content += self._mark(mark)
            elif type(part) is ToolCall:
                calls.append({"toolUse": self._write_call(part)})
                if part.cache is not None:
                    calls += self._mark(part.cache)
            elif type(part) is Thinking:
                told = {"text": part.text, "signature": part.signature}
                thinking.append({"reasoningContent": {"reasoningText": told}})
            elif type(part) is RedactedThinking:
                thinking.append({"reasoningContent": {"redactedContent": part.data}})
            else:
                files = True
                content.append(self._write_file(part))
                if part.cache is not None:
                    content += self._mark(part.cache)
        if files and _lacks_text(content):
            content.append({"text": _READ_DOCUMENT})
        return Turn(turn.role, thinking + content + calls)

    def _mark(self, mark: CacheMark) -> list[Json]:
        points = write_cache_point(mark, "messages", self._facts, self._notes)
        self.marks += len(points)
        return points

    def _write_own_text(self, text: Text) -> Json:
        """A text of the model's own; of citations, those of documents are kept, not those of others' searches."""
        cited = [citation for citation in text.citations if citation.kind != "web"]
        return write_cited_text(text.text, cited) if cited and self._facts.family == "claude" else {"text": text.text}

    def _write_call(self, call: ToolCall) -> Json:
        return {
            "toolUseId": call.id,
            "name": self._names.to_wire(call.name),
            "input": read_arguments(call.arguments),
        }

    def _write_result(self, result: ToolResult) -> Json:
        content: list[Json] = []
        for part in result.parts:
            if type(part) is not Text:
                content.append(self._write_file(part))
            elif part.text and not part.text.isspace():
                content.append({"text": part.text})
        block: Json = {"toolUseId": result.call_id, "content": content or [{"text": NO_OUTPUT}]}
        if result.is_error:
            block["status"] = "error"
        return block

    def _write_file(self, part: Image | Document) -> Json:
        return self._write_image(part) if type(part) is Image else self._write_document(part)

    def _write_image(self, image: Image) -> Json:
        if image.url is not None or not image.data:
            raise Unsupported("The picture has no content: send it inline, as base64.", param="messages")
        media_type = find_image_type(image.data, image.media_type)
        if not self._facts.vision and self._facts.family != "unknown":
            return self._leave_out("The model cannot see pictures.")
        if media_type is None:
            return self._leave_out("The model reads pictures in PNG, JPEG, GIF and WebP only.")
        return {"image": {"format": media_type.removeprefix("image/"), "source": {"bytes": image.data}}}

    def _write_document(self, document: Document) -> Json:
        if document.url is not None:
            raise Unsupported("The file has no content: send it inline, as base64.", param="messages")
        if not self._facts.documents and self._facts.family != "unknown":
            return self._leave_out("The model cannot read files.")
        document_format = _find_format(document)
        if document_format is None or not document.data:
            return self._leave_out("The file is empty or of a type that the model cannot read.")
        block: Json = {
            "format": document_format,
            "name": self._name_document(document.name),
            "source": {"bytes": document.data},
        }
        if document.context:
            block["context"] = document.context
        if document.cited:
            if self._facts.family in ("claude", "unknown"):
                block["citations"] = {"enabled": True}
            else:
                self._notes.drop("citations")
        return {"document": block}

    def _name_document(self, wanted: str) -> str:
        """A name of allowed characters that no other document of the request has."""
        base = _NOT_IN_DOCUMENT_NAME.sub(" ", wanted).strip()[:_MAX_DOCUMENT_NAME].strip() or "document"
        name, number = base, 1
        while name in self._document_names:
            number += 1
            name = f"{base} ({number})"
        self._document_names.add(name)
        return name

    def _leave_out(self, reason: str) -> Json:
        self._notes.refuse("messages", reason)
        return {"text": _LEFT_OUT}


def _find_format(document: Document) -> str | None:
    """Converse's word for a file's type: by its media type, or without one by its first bytes or its name."""
    if document.media_type is None:
        if (document.data or "").startswith(_PDF_START):
            return "pdf"
        ending = document.name.rpartition(".")[2].lower()
        return ending if ending in DOCUMENT_FORMATS.values() else None
    media_type = document.media_type.partition(";")[0].strip().lower()
    return DOCUMENT_FORMATS.get(media_type) or ("txt" if media_type.startswith("text/") else None)


def _lacks_text(content: list[Json]) -> bool:
    """Whether there are documents, which Converse takes only beside a text."""
    document = False
    for block in content:
        if "text" in block:
            return False
        document = document or "document" in block
    return document
