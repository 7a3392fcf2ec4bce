"""Reads the items of `input` into system text and turns.

Messages of the roles system and developer are hoisted out in their order. Outputs of tools go into user turns, and
neighbours of the same role become one turn. Items of tools that OpenAI's servers run are left out by name, and so is
reasoning that only OpenAI can read; what stands for a whole past (a foreign compaction, a reference) is refused.
"""

from typing import Final, Literal

import msgspec

from sekisho.core.chat import Message, Part, RedactedThinking, Text, Thinking, ToolCall, ToolResult
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.dialects.common.fields import quote, read_array, read_choice, read_name, read_object, read_text, wrong_type
from sekisho.dialects.common.sealed import SealedReasoning, SealedRedacted, SealedSummary, SealedThinking, unseal
from sekisho.dialects.openai_responses.names import ADDED_TOOLS, TRIGGER, Json
from sekisho.dialects.openai_responses.serving.content import read_content, read_texts
from sekisho.dialects.openai_responses.serving.directory import ToolDirectory

_NO_ARGUMENTS: Final = "{}"
_SUMMARY: Final = "The conversation so far was compacted. Continue it from this summary:\n\n"
# The items in which tools run by OpenAI's servers, or by clients in forms of OpenAI's own, tell of themselves.
# fmt: off
_PASSED_OVER: Final = frozenset({
    "apply_patch_call", "apply_patch_call_output", "code_interpreter_call", "computer_call", "computer_call_output",
    "configuration_update", "file_search_call", "image_generation_call", "local_shell_call", "local_shell_call_output",
    "mcp_approval_request", "mcp_approval_response", "mcp_call", "mcp_list_tools", "program", "program_output",
    "shell_call", "shell_call_output", "tool_search_call", "tool_search_output", "web_search_call",
})
# fmt: on

_encode = msgspec.json.Encoder().encode


class Conversation:
    """What has been read so far. `omitted` names what was left out."""

    def __init__(self, directory: ToolDirectory) -> None:
        self.system: list[Text] = []
        self.turns: list[Message] = []
        self.omitted: list[str] = []
        self._directory = directory

    def read(self, value: object) -> None:
        """Reads `input`: a text, or an array of items. Raises InvalidRequest naming the field."""
        if isinstance(value, str):
            self._append("user", [Text(text=value)])
            return
        if value is not None and not isinstance(value, list):
            raise wrong_type(value, "input", "a string or an array of items")
        for index, item in enumerate(value or ()):
            self._add(read_object(item, f"input[{index}]"), f"input[{index}]")

    def _add(self, item: Json, path: str) -> None:
        match _find_kind(item):
            case "message":
                self._add_message(item, path)
            case "reasoning":
                self._append("assistant", self._read_reasoning(item, path))
            case "function_call" | "custom_tool_call":
                self._append("assistant", [self._read_call(item, path)])
            case "function_call_output" | "custom_tool_call_output":
                self._append("user", [_read_output(item, path)])
            case "compaction" | "compaction_summary":
                self._append("user", [_read_compaction(item, path)])
            case "item_reference":
                raise _refuse_reference(path)
            case str(kind) if kind in _PASSED_OVER:
                self.omitted.append(f"input.{kind}")
            case str(kind) if kind in (ADDED_TOOLS, TRIGGER):
                pass  # read with the tools, and with the options
            case str(kind):
                raise Unsupported(f"`{path}.type`: items of type {quote(kind)} are not known.", param=f"{path}.type")
            case other:
                raise wrong_type(other, f"{path}.type", "a string")

    def _append(self, role: Literal["user", "assistant"], parts: list[Part]) -> None:
        if self.turns and self.turns[-1].role == role:
            self.turns[-1].parts += parts
        elif parts:
            self.turns.append(Message(role=role, parts=parts))

    def _add_message(self, item: Json, path: str) -> None:
        role = read_choice(item.get("role"), f"{path}.role", ("user", "assistant", "system", "developer"))
        if role in ("system", "developer"):
            self.system += read_texts(item.get("content"), f"{path}.content")
        elif role == "assistant":
            self._append("assistant", [*read_texts(item.get("content"), f"{path}.content")])
        else:
            self._append("user", [*read_content(item.get("content"), f"{path}.content")])

    def _read_reasoning(self, item: Json, path: str) -> list[Part]:
        """Our own seal opened; else the text that is shown, without what only OpenAI can read."""
        encrypted = item.get("encrypted_content")
        if encrypted is not None:
            match unseal(read_text(encrypted, f"{path}.encrypted_content")):
                case SealedThinking(text, signature):
                    return [Thinking(text=text, signature=signature)]
                case SealedRedacted(data):
                    return [RedactedThinking(data=data)]
                case SealedReasoning() | SealedSummary() | None:
                    self.omitted.append("input.reasoning.encrypted_content")
        texts = _read_shown(item, "content", path) or _read_shown(item, "summary", path)
        return [Thinking(text="\n\n".join(texts))] if texts else []

    def _read_call(self, item: Json, path: str) -> ToolCall:
        name = read_name(item.get("name"), f"{path}.name")
        namespace = item.get("namespace")
        space = None if namespace is None else read_name(namespace, f"{path}.namespace")
        if item["type"] == "custom_tool_call":
            arguments = _encode({"input": read_text(item.get("input"), f"{path}.input")}).decode()
        else:
            arguments = read_text(item.get("arguments"), f"{path}.arguments") or _NO_ARGUMENTS
        return ToolCall(
            id=read_name(item.get("call_id"), f"{path}.call_id"),
            name=self._directory.to_neutral(name, space),
            arguments=arguments,
        )


def _find_kind(item: Json) -> object:
    """The type of an item; messages and references may leave it out."""
    kind = item.get("type")
    if kind is None and "role" in item:
        return "message"
    return "item_reference" if kind is None and "id" in item else kind


def _read_shown(item: Json, field: str, path: str) -> list[str]:
    value = item.get(field)
    parts = [] if value is None else read_array(value, f"{path}.{field}")
    texts: list[str] = []
    for index, part in enumerate(parts):
        part_path = f"{path}.{field}[{index}]"
        if text := read_text(read_object(part, part_path).get("text"), f"{part_path}.text"):
            texts.append(text)
    return texts


def _read_output(item: Json, path: str) -> ToolResult:
    call_id = item.get("call_id")
    return ToolResult(
        # An output may come without a call, as Codex tells what other agents said: then no call has its id.
        call_id=path if call_id is None else read_name(call_id, f"{path}.call_id"),
        parts=read_content(item.get("output"), f"{path}.output"),
    )


def _read_compaction(item: Json, path: str) -> Text:
    sealed = unseal(read_text(item.get("encrypted_content"), f"{path}.encrypted_content"))
    if not isinstance(sealed, SealedSummary):
        raise Unsupported(
            f"`{path}`: only the service that compacted this conversation can read it. Begin a new one, or stay there.",
            param=path,
        )
    return Text(text=_SUMMARY + sealed.text)


def _refuse_reference(path: str) -> InvalidRequest:
    return InvalidRequest(
        f"`{path}` refers to an item that is not kept here. Send the item itself (set `store` to false in the client), "
        "or have the administrator switch on that responses are kept.",
        param=path,
    )
