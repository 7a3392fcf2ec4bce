"""Reads `messages` into system text and turns.

System and developer messages are hoisted out in their order. Tool results go into user turns, neighbours of the same
role become one turn. The legacy `function_call` and role `function` are tool calls whose ids are made up here.
"""

from typing import Final, Literal

from sekisho.core.chat import CacheMark, Message, Part, RedactedThinking, Text, Thinking, ToolCall, ToolResult
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.dialects.common.fields import (
    quote,
    read_array,
    read_choice,
    read_name,
    read_object,
    read_text,
    wrong_type,
)
from sekisho.dialects.openai_chat.content import (
    read_assistant_parts,
    read_cache_mark,
    read_parts,
    read_text_parts,
    read_thinking_block,
)

_NO_ARGUMENTS: Final = "{}"


def read_messages(value: object) -> tuple[list[Text], list[Message]]:
    """System texts and turns. Raises InvalidRequest when there is no message at all."""
    items = read_array(value, "messages")
    if not items:
        raise InvalidRequest("`messages` is empty: send at least one message.", param="messages")
    conversation = _Conversation()
    for index, item in enumerate(items):
        conversation.add(item, index)
    return conversation.system, conversation.turns


class _Conversation:
    """What has been read so far. `_functions` holds the id of the latest legacy call by function name."""

    def __init__(self) -> None:
        self.system: list[Text] = []
        self.turns: list[Message] = []
        self._functions: dict[str, str] = {}

    def add(self, value: object, index: int) -> None:
        """Reads the message at `index`."""
        path = f"messages[{index}]"
        message = read_object(value, path)
        mark = read_cache_mark(message.get("cache_control"), path)
        match message.get("role"):
            case "assistant":
                self._append("assistant", self._read_assistant(message, path, index), mark)
            case "tool":
                call_id = read_name(message.get("tool_call_id"), f"{path}.tool_call_id")
                self._append("user", [_read_tool_result(message, call_id, path)], mark)
            case "user":
                parts: list[Part] = [*read_parts(message.get("content"), f"{path}.content")]
                self._append("user", parts, mark)
            case "function":
                call_id = self._find_function_call(message, path, index)
                self._append("user", [_read_tool_result(message, call_id, path)], mark)
            case "system" | "developer":
                texts = read_text_parts(message.get("content"), f"{path}.content")
                if mark is not None:
                    _mark_last(texts, mark)
                self.system += texts
            case str(role):
                known = "system, developer, user, assistant or tool"
                raise InvalidRequest(f"`{path}.role` must be {known}, not {quote(role)}.", param=f"{path}.role")
            case other:
                raise wrong_type(other, f"{path}.role", "a string")

    def _append(self, role: Literal["user", "assistant"], parts: list[Part], mark: CacheMark | None) -> None:
        if mark is not None:
            _mark_last(parts, mark)
        if self.turns and self.turns[-1].role == role:
            self.turns[-1].parts += parts
        elif parts:
            self.turns.append(Message(role=role, parts=parts))

    def _read_assistant(self, message: dict[str, object], path: str, index: int) -> list[Part]:
        if message.get("audio") is not None:
            raise Unsupported(f"`{path}.audio`: audio is not supported; send the text.", param=f"{path}.audio")
        parts = _read_thinking(message, path)
        parts += read_assistant_parts(message.get("content"), path)
        refusal = message.get("refusal")
        if refusal is not None:
            parts.append(Text(text=read_text(refusal, f"{path}.refusal")))
        calls = message.get("tool_calls")
        if calls is not None:
            parts += _read_tool_calls(calls, f"{path}.tool_calls")
        legacy = message.get("function_call")
        if legacy is not None:
            call = _read_function(legacy, f"{path}.function_call", f"call_function_{index}", None)
            self._functions[call.name] = call.id
            parts.append(call)
        return parts

    def _find_function_call(self, message: dict[str, object], path: str, index: int) -> str:
        name = read_name(message.get("name"), f"{path}.name")
        return self._functions.get(name, f"call_function_{index}")


def _read_thinking(message: dict[str, object], path: str) -> list[Part]:
    """Reasoning from `thinking_blocks`, which carry signatures, else from `reasoning_content`, which has none."""
    blocks = message.get("thinking_blocks")
    if blocks is not None and blocks != []:
        return [
            read_thinking_block(block, f"{path}.thinking_blocks[{index}]")
            for index, block in enumerate(read_array(blocks, f"{path}.thinking_blocks"))
        ]
    text = message.get("reasoning_content")
    shown = "" if text is None else read_text(text, f"{path}.reasoning_content")
    return [Thinking(text=shown)] if shown else []


def _read_tool_calls(value: object, path: str) -> list[Part]:
    calls: list[Part] = []
    for index, item in enumerate(read_array(value, path)):
        call_path = f"{path}[{index}]"
        call = read_object(item, call_path)
        kind = call.get("type")
        if kind is not None:  # some clients leave it out
            read_choice(kind, f"{call_path}.type", ("function",))
        call_id = read_name(call.get("id"), f"{call_path}.id")
        mark = read_cache_mark(call.get("cache_control"), call_path)
        calls.append(_read_function(call.get("function"), f"{call_path}.function", call_id, mark))
    return calls


def _read_function(value: object, path: str, call_id: str, mark: CacheMark | None) -> ToolCall:
    function = read_object(value, path)
    arguments = function.get("arguments")
    return ToolCall(
        id=call_id,
        name=read_name(function.get("name"), f"{path}.name"),
        arguments=_NO_ARGUMENTS if arguments is None else read_text(arguments, f"{path}.arguments") or _NO_ARGUMENTS,
        cache=mark,
    )


def _read_tool_result(message: dict[str, object], call_id: str, path: str) -> ToolResult:
    content = message.get("content")
    if isinstance(content, str):
        return ToolResult(call_id=call_id, parts=[Text(text=content)])
    parts = read_parts(content, f"{path}.content")
    # A mark inside a result means the same as one on the result as a whole, which more upstreams can carry.
    mark = next((part.cache for part in reversed(parts) if part.cache is not None), None)
    for part in parts:
        part.cache = None
    return ToolResult(call_id=call_id, parts=parts, cache=mark)


def _mark_last(parts: list[Part] | list[Text], mark: CacheMark) -> None:
    """Puts a message's own mark on its last part that can carry one, unless that part has its own."""
    for part in reversed(parts):
        if not isinstance(part, Thinking | RedactedThinking):
            part.cache = part.cache or mark
            return
