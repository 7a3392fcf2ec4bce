"""Writes a conversation as items of `input` for an upstream.

Reasoning goes along only where it is OpenAI's own, in the seal that `reading` put it into: others' means nothing there.
Cache marks are left out: servers of this format cache by themselves.
"""

import re
from typing import Final

from sekisho.core.chat import (
    ChatRequest,
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
from sekisho.dialects.common.inline import LEFT_OUT, tell_document, write_file_data, write_picture
from sekisho.dialects.common.names import CallIds, ToolNames
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.sealed import SealedReasoning, unseal
from sekisho.dialects.common.turns import merge_turns, pair_tool_results
from sekisho.dialects.openai_responses.names import Json

_CALL_ID: Final = re.compile(r"[\x20-\x7e]{1,64}")


def write_items(chat: ChatRequest, facts: ModelFacts, names: ToolNames, notes: Omissions) -> list[Json]:
    """The turns as items. `chat` is not changed.

    Raises:
        Unsupported: For a picture or file that the model cannot read.
    """
    usable = (Message(role=turn.role, parts=_usable_parts(turn, notes)) for turn in chat.messages)
    turns = pair_tool_results(merge_turns(usable), CallIds(_CALL_ID))
    system = join_system(chat)
    if system and not facts.system:
        first: list[Part] = [Text(text=system)]
        turns = merge_turns([Message(role="user", parts=first), *turns])
    writer = _Writer(facts, names, notes)
    items: list[Json] = []
    for turn in turns:
        items += writer.write_assistant(turn) if turn.role == "assistant" else writer.write_user(turn)
    return items


def join_system(chat: ChatRequest) -> str:
    """The system prompt as one text."""
    return "\n\n".join(text.text for text in chat.system if text.text)


def _usable_parts(turn: Message, notes: Omissions) -> list[Part]:
    if turn.role == "user":
        return [part for part in turn.parts if not isinstance(part, Thinking | RedactedThinking | ToolCall)]
    parts: list[Part] = []
    for part in turn.parts:
        if isinstance(part, Image | Document | ToolResult):
            notes.refuse("messages", "The model takes no pictures or files in an assistant's turn.")
        elif not isinstance(part, Thinking | RedactedThinking) or _open_reasoning(part) is not None:
            parts.append(part)
    # OpenAI refuses reasoning that nothing follows; it was cut off.
    while parts and isinstance(parts[-1], Thinking):
        parts.pop()
    return parts


def _open_reasoning(part: Thinking | RedactedThinking) -> SealedReasoning | None:
    signature = part.signature if isinstance(part, Thinking) else None
    sealed = None if signature is None else unseal(signature)
    return sealed if isinstance(sealed, SealedReasoning) else None


class _Writer:
    """Writes turns for one model."""

    def __init__(self, facts: ModelFacts, names: ToolNames, notes: Omissions) -> None:
        self._facts = facts
        self._names = names
        self._notes = notes

    def write_assistant(self, turn: Message) -> list[Json]:
        """Reasoning, texts and calls in their order."""
        items: list[Json] = []
        for part in turn.parts:
            if isinstance(part, Text) and part.text:
                items.append({"type": "message", "role": "assistant", "content": part.text})
            elif isinstance(part, ToolCall):
                name = self._names.to_wire(part.name)
                arguments = part.arguments or "{}"
                items.append({"type": "function_call", "call_id": part.id, "name": name, "arguments": arguments})
            elif isinstance(part, Thinking) and (own := _open_reasoning(part)) is not None:
                summary = [{"type": "summary_text", "text": part.text}] if part.text else []
                items.append(
                    {"type": "reasoning", "id": own.id, "summary": summary, "encrypted_content": own.encrypted_content}
                )
        return items

    def write_user(self, turn: Message) -> list[Json]:
        """The outputs of tools first, which must follow their calls, then what else the user said."""
        items: list[Json] = []
        content: list[Json] = []
        for part in turn.parts:
            if isinstance(part, ToolResult):
                output = self._write_output(part)
                items.append({"type": "function_call_output", "call_id": part.call_id, "output": output})
            elif isinstance(part, Text | Image | Document) and part != Text(text=""):
                content.append(self._write_part(part))
        if content:
            items.append({"type": "message", "role": "user", "content": content})
        return items

    def _write_output(self, result: ToolResult) -> str | list[Json]:
        prefix = "Error: " if result.is_error else ""  # the format has no other place for it
        if all(isinstance(part, Text) for part in result.parts):
            return prefix + "\n".join(part.text for part in result.parts if isinstance(part, Text))
        parts = [self._write_part(part) for part in result.parts]
        return [{"type": "input_text", "text": prefix.strip()}, *parts] if prefix else parts

    def _write_part(self, part: Text | Image | Document) -> Json:
        match part:
            case Text():
                return {"type": "input_text", "text": part.text}
            case Image():
                return self._write_image(part)
            case Document():
                return self._write_document(part)

    def _write_image(self, image: Image) -> Json:
        if not self._facts.vision and self._facts.family != "unknown":
            return self._leave_out("The model cannot see pictures.")
        return {"type": "input_image", "detail": "auto", "image_url": write_picture(image)}

    def _write_document(self, document: Document) -> Json:
        """A text file as text, which every model reads; others as a file, which OpenAI takes when it is a PDF."""
        if document.cited:
            self._notes.drop("citations")
        if (told := tell_document(document)) is not None:
            return {"type": "input_text", "text": told}
        if not self._facts.documents and self._facts.family != "unknown":
            return self._leave_out("The model cannot read files.")
        if document.url is not None:
            return {"type": "input_file", "file_url": document.url}
        return {"type": "input_file", "filename": document.name, "file_data": write_file_data(document)}

    def _leave_out(self, reason: str) -> Json:
        self._notes.refuse("messages", reason)
        return {"type": "input_text", "text": LEFT_OUT}
