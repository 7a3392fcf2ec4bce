"""Writes a conversation as `messages` for an upstream.

Pictures and files that stand in a tool's result follow it in a user message, since a tool message holds text only.
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
from sekisho.dialects.common.turns import merge_turns, pair_tool_results

Json = dict[str, object]
"""A JSON object that is being written."""

_CALL_ID: Final = re.compile(r"[\x20-\x7e]{1,40}")


def write_messages(
    chat: ChatRequest, facts: ModelFacts, names: ToolNames, notes: Omissions, *, own: bool
) -> list[Json]:
    """The system prompt and the turns; `own` is whether the model is one of OpenAI's. `chat` is not changed.

    Raises:
        Unsupported: For a picture or file that the model cannot read.
    """
    usable = (Message(role=turn.role, parts=_usable_parts(turn, notes)) for turn in chat.messages)
    turns = pair_tool_results(merge_turns(usable), CallIds(_CALL_ID))
    writer = _Writer(facts, names, notes, own=own)
    system = "\n\n".join(text.text for text in chat.system if text.text)
    messages: list[Json] = []
    if system and facts.system:
        messages.append({"role": "system", "content": system})
    elif system:
        first: list[Part] = [Text(text=system)]
        turns = merge_turns([Message(role="user", parts=first), *turns])
    for turn in turns:
        messages += writer.write_assistant(turn) if turn.role == "assistant" else writer.write_user(turn)
    return messages


def _usable_parts(turn: Message, notes: Omissions) -> list[Part]:
    if turn.role == "user":
        return [part for part in turn.parts if not isinstance(part, Thinking | RedactedThinking)]
    parts: list[Part] = []
    for part in turn.parts:
        if isinstance(part, Image | Document):
            notes.refuse("messages", "The model takes no pictures or files in an assistant's turn.")
        else:
            parts.append(part)
    return parts


class _Writer:
    """Writes turns for one model."""

    def __init__(self, facts: ModelFacts, names: ToolNames, notes: Omissions, *, own: bool) -> None:
        self._facts = facts
        self._names = names
        self._notes = notes
        self._own = own

    def write_assistant(self, turn: Message) -> list[Json]:
        """One message, or none when nothing is left to say."""
        said = "".join(part.text for part in turn.parts if isinstance(part, Text))
        calls = [self._write_call(part) for part in turn.parts if isinstance(part, ToolCall)]
        shown = "".join(part.text for part in turn.parts if isinstance(part, Thinking))
        message: Json = {"role": "assistant", "content": said or None}
        # OpenAI refuses the field; its models keep their reasoning to themselves in this format.
        if shown and not self._own:
            message["reasoning_content"] = shown
        if calls:
            message["tool_calls"] = calls
        elif not said:
            return []
        return [message]

    def write_user(self, turn: Message) -> list[Json]:
        """The tool messages first, which must follow their calls, then what else the user said."""
        messages: list[Json] = []
        others: list[Json] = []
        for part in turn.parts:
            if isinstance(part, ToolResult):
                messages.append(self._write_result(part))
                others += self._write_attachments(part)
            elif isinstance(part, Text | Image | Document):
                others.append(self._write_part(part))
        if others:
            messages.append({"role": "user", "content": _simplify(others)})
        return messages

    def _write_call(self, call: ToolCall) -> Json:
        function = {"name": self._names.to_wire(call.name), "arguments": call.arguments or "{}"}
        return {"id": call.id, "type": "function", "function": function}

    def _write_result(self, result: ToolResult) -> Json:
        text = "\n".join(part.text for part in result.parts if isinstance(part, Text))
        if result.is_error:  # the format has no other place for it
            text = f"Error: {text}"
        return {"role": "tool", "tool_call_id": result.call_id, "content": text}

    def _write_attachments(self, result: ToolResult) -> list[Json]:
        attachments = [part for part in result.parts if not isinstance(part, Text)]
        if not attachments:
            return []
        label: Json = {"type": "text", "text": f"[Attached to the result of tool call {result.call_id}]"}
        return [label, *(self._write_part(part) for part in attachments)]

    def _write_part(self, part: Text | Image | Document) -> Json:
        match part:
            case Text():
                return {"type": "text", "text": part.text}
            case Image():
                return self._write_image(part)
            case Document():
                return self._write_document(part)

    def _write_image(self, image: Image) -> Json:
        if not self._facts.vision and self._facts.family != "unknown":
            return self._leave_out("The model cannot see pictures.")
        return {"type": "image_url", "image_url": {"url": write_picture(image)}}

    def _write_document(self, document: Document) -> Json:
        """A text file as text, which every model reads; others as a file, which OpenAI takes when it is a PDF."""
        if document.cited:
            self._notes.drop("citations")
        if (told := tell_document(document)) is not None:
            return {"type": "text", "text": told}
        data = write_file_data(document)
        if not self._facts.documents and self._facts.family != "unknown":
            return self._leave_out("The model cannot read files.")
        return {"type": "file", "file": {"filename": document.name, "file_data": data}}

    def _leave_out(self, reason: str) -> Json:
        self._notes.refuse("messages", reason)
        return {"type": "text", "text": LEFT_OUT}


def _simplify(parts: list[Json]) -> str | list[Json]:
    """The content of a message: a plain string when it is a single text, which is what every server knows."""
    text = parts[0].get("text") if len(parts) == 1 else None
    return text if isinstance(text, str) else parts
