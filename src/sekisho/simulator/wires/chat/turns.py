"""The messages of a chat, put together as turns."""

from typing import Any, Literal

from msgspec import Struct

from sekisho.simulator.wires.openai.content import Blocks, Turns, read_file, read_image, tool_result, tool_use
from sekisho.simulator.wires.openai.errors import refuse
from sekisho.simulator.wires.openai.rules import check_name, missing, wrong_value

_PARTS = {
    "system": ("text",),
    "developer": ("text",),
    "user": ("text", "image_url", "input_audio", "file"),
    "assistant": ("text", "refusal"),
    "tool": ("text",),
}


class _Called(Struct):
    name: str = ""
    arguments: str = ""
    input: str = ""


class _Call(Struct):
    id: str
    type: Literal["function", "custom"] = "function"
    function: _Called | None = None
    custom: _Called | None = None


class ChatMessage(Struct):
    """One message; fields it does not know are let pass."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None


def read_turns(messages: list[ChatMessage], *, free_names: bool) -> Turns:
    """The turns, in which every tool call must have its answer; tools may have any name if so. Raises Refusal."""
    turns = Turns()
    open_calls: list[str] = []
    for index, message in enumerate(messages):
        path = f"messages.[{index}]"
        if message.role == "tool":
            turns.add("user", [_read_result(message, open_calls, path)])
            continue
        _check_none_open(open_calls, f"messages.[{index}].role")
        turns.add(message.role, _read_message(message, path, free_names=free_names))
        open_calls = [call.id for call in message.tool_calls or ()]
    _check_none_open(open_calls, f"messages.[{len(messages) - 1}].role")
    return turns


def _check_none_open(open_calls: list[str], param: str) -> None:
    if open_calls:
        raise refuse(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            f" 'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}",
            param,
        )


def _read_result(message: ChatMessage, open_calls: list[str], path: str) -> dict[str, Any]:
    if message.tool_call_id is None:
        raise missing(f"{path}.tool_call_id")
    if message.tool_call_id not in open_calls:
        raise refuse(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with"
            " 'tool_calls'.",
            f"{path}.role",
        )
    open_calls.remove(message.tool_call_id)
    return tool_result(message.tool_call_id, _read_content(message, path))


def _read_message(message: ChatMessage, path: str, *, free_names: bool) -> Blocks:
    blocks = _read_content(message, path)
    for index, call in enumerate(message.tool_calls or ()):
        called = call.function if call.type == "function" else call.custom
        where = f"{path}.tool_calls[{index}].{call.type}"
        if called is None:
            raise missing(where)
        check_name(called.name, f"{where}.name", free=free_names)
        blocks.append(tool_use(call.id, called.name, called.arguments or called.input))
    return blocks


def _read_content(message: ChatMessage, path: str) -> Blocks:
    content = message.content
    if content is None:
        if message.role == "assistant" and message.tool_calls:
            return []
        words = f"Invalid value for 'content': expected a string, got null in '{path}'."
        raise refuse(words, f"{path}.content")
    if isinstance(content, str):
        return [{"text": content}] if content else []
    return [_read_part(part, message.role, f"{path}.content.[{index}]") for index, part in enumerate(content)]


def _read_part(part: dict[str, Any], role: str, path: str) -> dict[str, Any]:
    kind = part.get("type")
    if kind not in _PARTS[role]:
        raise wrong_value(f"{path}.type", kind, _PARTS[role])
    inner = part.get(kind)
    if kind in ("text", "refusal"):
        if not isinstance(inner, str):
            raise missing(f"{path}.{kind}")
        return {"text": inner}
    if not isinstance(inner, dict):
        raise missing(f"{path}.{kind}")
    if kind == "image_url":
        return read_image(inner.get("url"), f"{path}.image_url.url")
    if kind == "file":
        return read_file(inner, f"{path}.file")
    return {"audio": {"source": inner}}
