"""Reads what a request says about tools, the form of the answer and the amount of reasoning."""

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import CacheMark, Reasoning, ResponseFormat, Tool, ToolChoice
from sekisho.core.errors import Unsupported
from sekisho.dialects.common.fields import (
    encode_raw,
    quote,
    read_array,
    read_choice,
    read_flag,
    read_integer,
    read_name,
    read_object,
    read_text,
    wrong_type,
)
from sekisho.dialects.common.members import decode_members
from sekisho.dialects.openai_chat.content import read_cache_mark

_NO_PARAMETERS: Final = Raw(b'{"type":"object","properties":{}}')
_CHOICES: Final = {"none": ToolChoice("none"), "auto": ToolChoice("auto"), "required": ToolChoice("any")}
_Mode = Literal["enabled", "adaptive", "disabled"]
_MODES: Final[tuple[_Mode, ...]] = ("enabled", "adaptive", "disabled")
_Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
_EFFORTS: Final[tuple[_Effort, ...]] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

_Item = TypeVar("_Item")


class _Function(Struct):
    name: object = None
    description: object = None
    parameters: Raw = _NO_PARAMETERS
    strict: object = None
    cache_control: object = None


class _Tool(Struct):
    type: object = None
    function: _Function | None = None
    cache_control: object = None


_decode_tools = msgspec.json.Decoder(list[_Tool] | None).decode
_decode_functions = msgspec.json.Decoder(list[_Function] | None).decode


def read_tools(members: Mapping[str, Raw]) -> list[Tool]:
    """The tools of `tools`, then those of the legacy `functions`."""
    tools = [_read_tool(tool, f"tools[{at}]") for at, tool in enumerate(_decode(members, "tools", _decode_tools))]
    functions = enumerate(_decode(members, "functions", _decode_functions))
    return tools + [_read_function(function, f"functions[{at}]", None) for at, function in functions]


def _decode(members: Mapping[str, Raw], name: str, decode: Callable[[Raw], list[_Item] | None]) -> list[_Item]:
    if name not in members:
        return []
    try:
        return decode(members[name]) or []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        for index, item in enumerate(read_array(decode_members(members)[name], name)):
            tool = read_object(item, f"{name}[{index}]")
            if tool.get("function") is not None:
                read_object(tool["function"], f"{name}[{index}].function")
        raise


def _read_tool(tool: _Tool, path: str) -> Tool:
    kind = tool.type
    if kind is not None and kind != "function":
        named = quote(read_text(kind, f"{path}.type"))
        raise Unsupported(
            f"`{path}.type`: tools of type {named} are not supported, only functions.", param=f"{path}.type"
        )
    if tool.function is None:
        raise wrong_type(None, f"{path}.function", "an object")
    return _read_function(tool.function, f"{path}.function", read_cache_mark(tool.cache_control, path))


def _read_function(function: _Function, path: str, cache: CacheMark | None) -> Tool:
    name, description, strict = function.name, function.description, function.strict
    return Tool(
        name=read_name(name, f"{path}.name"),
        description=None if description is None else read_text(description, f"{path}.description"),
        schema=_read_parameters(function.parameters, path),
        strict=None if strict is None else read_flag(strict, f"{path}.strict"),
        cache=cache or read_cache_mark(function.cache_control, path),
    )


def _read_parameters(parameters: Raw, path: str) -> Raw:
    begun = bytes(memoryview(parameters)[:1])
    if begun == b"{":
        return parameters
    if begun == b"n":
        return _NO_PARAMETERS
    raise wrong_type(msgspec.json.decode(parameters), f"{path}.parameters", "an object")


def _read_schema(value: object, path: str) -> Raw:
    return encode_raw(read_object(value, path), path)


def read_tool_choice(fields: dict[str, object]) -> ToolChoice | None:
    """`tool_choice`, else the legacy `function_call`."""
    choice = fields.get("tool_choice")
    if choice is not None:
        return _read_tool_choice(choice)
    legacy = fields.get("function_call")
    if legacy is None:
        return None
    if isinstance(legacy, dict):
        return ToolChoice("tool", read_name(legacy.get("name"), "function_call.name"))
    return _CHOICES[read_choice(legacy, "function_call", ("none", "auto"))]


def _read_tool_choice(choice: object) -> ToolChoice:
    if isinstance(choice, str):
        return _CHOICES[read_choice(choice, "tool_choice", ("none", "auto", "required"))]
    if not isinstance(choice, dict):
        raise wrong_type(choice, "tool_choice", "a string or an object")
    kind = read_text(choice.get("type"), "tool_choice.type")
    if kind != "function":
        raise Unsupported(
            f"`tool_choice.type`: {quote(kind)} is not supported, only function.", param="tool_choice.type"
        )
    function = read_object(choice.get("function"), "tool_choice.function")
    return ToolChoice("tool", read_name(function.get("name"), "tool_choice.function.name"))


def read_response_format(fields: dict[str, object]) -> ResponseFormat | None:
    """`response_format`; None for plain text."""
    value = fields.get("response_format")
    if value is None:
        return None
    wanted = read_object(value, "response_format")
    kind = read_choice(wanted.get("type"), "response_format.type", ("text", "json_object", "json_schema"))
    if kind == "text":
        return None
    if kind == "json_object":
        return ResponseFormat()
    path = "response_format.json_schema"
    form = read_object(wanted.get("json_schema"), path)
    name, description, schema, strict = (form.get(key) for key in ("name", "description", "schema", "strict"))
    return ResponseFormat(
        name=ResponseFormat().name if name is None else read_name(name, f"{path}.name"),
        description=None if description is None else read_text(description, f"{path}.description"),
        schema=None if schema is None else _read_schema(schema, f"{path}.schema"),
        strict=None if strict is None else read_flag(strict, f"{path}.strict"),
    )


def read_reasoning(fields: dict[str, object]) -> Reasoning | None:
    """How much to think, in any of the forms clients use.

    The effort is OpenAI's `reasoning_effort`, else OpenRouter's `reasoning.effort`, else Anthropic's
    `output_config.effort`. Mode and budget come from Anthropic's `thinking`.
    """
    mode, budget = _read_thinking(fields)
    effort = _read_effort(fields)
    if mode is None and effort is None:
        return None
    return Reasoning(mode=mode, effort=effort, budget_tokens=budget)


def _read_thinking(fields: dict[str, object]) -> tuple[_Mode | None, int | None]:
    value = fields.get("thinking")
    if value is None:
        return None, None
    thinking = read_object(value, "thinking")
    mode = read_choice(thinking.get("type"), "thinking.type", _MODES)
    budget = thinking.get("budget_tokens")
    if mode != "enabled" or budget is None:
        return mode, None
    return mode, read_integer(budget, "thinking.budget_tokens", minimum=1)


def _read_effort(fields: dict[str, object]) -> _Effort | None:
    found: list[_Effort] = []
    plain = fields.get("reasoning_effort")
    if plain is not None:
        found.append(read_choice(plain, "reasoning_effort", _EFFORTS))
    for holder in ("reasoning", "output_config"):
        value = fields.get(holder)
        nested = None if value is None else read_object(value, holder).get("effort")
        if nested is not None:
            found.append(read_choice(nested, f"{holder}.effort", _EFFORTS))
    return found[0] if found else None
