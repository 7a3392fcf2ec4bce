"""The input items of a Responses request, put together as turns."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from sekisho.simulator.errors import Refusal
from sekisho.simulator.prompt import open_thinking, sign_thinking
from sekisho.simulator.wires.openai.content import Blocks, Turns, read_file, read_image, tool_result, tool_use
from sekisho.simulator.wires.openai.errors import INVALID, refuse
from sekisho.simulator.wires.openai.rules import check_name, convert_fields, missing, wrong_value

_PARTS = {
    "user": ("input_text", "input_image", "input_file"),
    "system": ("input_text", "input_image", "input_file"),
    "developer": ("input_text", "input_image", "input_file"),
    "assistant": ("output_text", "refusal"),
}
_RESULT_PARTS = ("input_text", "input_image", "input_file")
_ID_BEGINNINGS = {"message": "msg", "function_call": "fc", "custom_tool_call": "ctc", "reasoning": "rs"}
_CALLS = ("function_call", "custom_tool_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output")
# What hosted tools leave behind; the scripted model does not look at it.
_PASSED_OVER = (
    "web_search_call",
    "file_search_call",
    "code_interpreter_call",
    "image_generation_call",
    "tool_search_call",
    "tool_search_output",
    "additional_tools",
)


class _Item(Struct):
    """The types of an item's fields; what must be there depends on its kind."""

    type: str | None = None
    id: str | None = None
    role: str | None = None
    content: str | list[dict[str, Any]] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: str | list[dict[str, Any]] | None = None
    encrypted_content: str | None = None


def read_items(given: str | list[dict[str, Any]]) -> Turns:
    """The turns of an input, in which every tool call must have its answer. Raises Refusal."""
    turns = Turns()
    if isinstance(given, str):
        turns.add("user", [{"text": given}])
        return turns
    for item in given:
        convert_fields(item, _Item)
    _check_pairs(given)
    for index, item in enumerate(given):
        path = f"input[{index}]"
        kind = item.get("type") or "message"
        reader = _READERS.get(kind)
        if reader is None:
            if kind in _PASSED_OVER:
                continue
            raise wrong_value(f"{path}.type", kind, _READERS)
        _check_id(item, kind, path)
        reader(turns, item, path)
        if kind == "reasoning":
            _check_followed(item, given[index + 1] if index + 1 < len(given) else {})
    return turns


def _check_pairs(items: list[dict[str, Any]]) -> None:
    for index, item in enumerate(items):
        if item.get("type") in (*_CALLS, *_OUTPUTS) and not item.get("call_id"):
            raise missing(f"input[{index}].call_id")
    asked = [item["call_id"] for item in items if item.get("type") in _CALLS]
    answered = [item["call_id"] for item in items if item.get("type") in _OUTPUTS]
    for call_id in asked:
        if call_id not in answered:
            raise refuse(f"No tool output found for function call {call_id}.", "input")
    for call_id in answered:
        if call_id not in asked:
            raise refuse(f"No tool call found for function call output with call_id {call_id}.", "input")


def _check_id(item: dict[str, Any], kind: str, path: str) -> None:
    found, wanted = item.get("id"), _ID_BEGINNINGS.get(kind)
    if found is not None and wanted is not None and not str(found).startswith(wanted):
        raise refuse(
            f"Invalid '{path}.id': '{found}'. Expected an ID that begins with '{wanted}'.",
            f"{path}.id",
            "invalid_value",
        )


def _check_followed(item: dict[str, Any], following: dict[str, Any]) -> None:
    kind = following.get("type") or "message"
    if kind in ("reasoning", *_CALLS) or (kind == "message" and following.get("role") == "assistant"):
        return
    name = item.get("id") or ""
    raise refuse(f"Item '{name}' of type 'reasoning' was provided without its required following item.", "input")


def _read_message(turns: Turns, item: dict[str, Any], path: str) -> None:
    role = item.get("role")
    if role not in _PARTS:
        raise wrong_value(f"{path}.role", role, _PARTS)
    turns.add(role, _read_parts(item.get("content"), _PARTS[role], f"{path}.content"))


def _read_call(turns: Turns, item: dict[str, Any], path: str) -> None:
    check_name(item.get("name"), f"{path}.name")
    raw = item.get("arguments") if item["type"] == "function_call" else item.get("input")
    if not isinstance(raw, str):
        raise missing(f"{path}.{'arguments' if item['type'] == 'function_call' else 'input'}")
    turns.add("assistant", [tool_use(item["call_id"], item["name"], raw)])


def _read_output(turns: Turns, item: dict[str, Any], path: str) -> None:
    content = _read_parts(item.get("output"), _RESULT_PARTS, f"{path}.output")
    turns.add("user", [tool_result(item["call_id"], content)])


def _read_reasoning(turns: Turns, item: dict[str, Any], path: str) -> None:
    sealed = item.get("encrypted_content")
    if not isinstance(sealed, str):
        raise _not_stored(str(item.get("id")))
    text = _open(sealed)
    turns.add("assistant", [{"reasoningContent": {"reasoningText": {"text": text, "signature": sign_thinking(text)}}}])


def _read_compaction(turns: Turns, item: dict[str, Any], path: str) -> None:
    turns.add("user", [{"text": _open(str(item.get("encrypted_content")))}])


def _refuse_reference(turns: Turns, item: dict[str, Any], path: str) -> None:
    raise _not_stored(str(item.get("id")))


def _not_stored(item_id: str) -> Refusal:
    words = (
        f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false. Try again with"
        " `store` set to true, or remove this item from your input."
    )
    return Refusal(INVALID, words, 404, detail={"param": "input", "code": None})


def _open(sealed: str) -> str:
    text = open_thinking(sealed)
    if text is None:
        raise refuse(
            f"The encrypted content {sealed[:8]}... could not be verified. Reason: Encrypted content could not be"
            " decrypted or parsed.",
            None,
            "invalid_encrypted_content",
        )
    return text


def _read_parts(content: Any, allowed: tuple[str, ...], path: str) -> Blocks:
    if isinstance(content, str):
        return [{"text": content}] if content else []
    if not isinstance(content, list):
        raise missing(path)
    return [_read_part(part, allowed, f"{path}[{index}]") for index, part in enumerate(content)]


def _read_part(part: Any, allowed: tuple[str, ...], path: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind not in allowed:
        raise wrong_value(path, kind, allowed)
    if kind == "input_image":
        return read_image(part["image_url"], f"{path}.image_url") if part.get("image_url") else {"image": {}}
    if kind == "input_file":
        return read_file(part, path)
    text = part.get("refusal" if kind == "refusal" else "text")
    if not isinstance(text, str):
        raise missing(f"{path}.text")
    return {"text": text}


_READERS: dict[str, Callable[[Turns, dict[str, Any], str], None]] = {
    "message": _read_message,
    "function_call": _read_call,
    "custom_tool_call": _read_call,
    "function_call_output": _read_output,
    "custom_tool_call_output": _read_output,
    "reasoning": _read_reasoning,
    "compaction": _read_compaction,
    "item_reference": _refuse_reference,
}
