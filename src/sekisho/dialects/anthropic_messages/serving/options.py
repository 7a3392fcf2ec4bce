"""Reads what a request says about tools, the form of the answer and the amount of reasoning."""

from typing import Final, Literal

from sekisho.core.chat import Reasoning, ResponseFormat, Tool, ToolChoice
from sekisho.core.errors import Unsupported
from sekisho.dialects.anthropic_messages.serving.content import Json, read_cache_mark
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
)
from sekisho.dialects.common.wishes import read_optional

_Mode = Literal["enabled", "adaptive", "disabled"]
# Thinking between tools is adaptive thinking that starts later.
_MODES: Final[dict[str, _Mode]] = {
    "enabled": "enabled",
    "adaptive": "adaptive",
    "disabled": "disabled",
    "between_tools": "adaptive",
}
_Effort = Literal["low", "medium", "high", "xhigh", "max"]
_EFFORTS: Final[tuple[_Effort, ...]] = ("low", "medium", "high", "xhigh", "max")
_Choice = Literal["auto", "any", "tool", "none"]
_CHOICES: Final[tuple[_Choice, ...]] = ("auto", "any", "tool", "none")
# Says how arguments are streamed and when a tool is shown to the model, not what it is.
_TOOL_HINTS: Final = ("eager_input_streaming", "defer_loading")


def read_tools(value: object, omitted: list[str]) -> list[Tool]:
    """The client's own tools. Those of Anthropic's making or on its servers are left out: only Claude knows them."""
    tools: list[Tool] = []
    for index, item in enumerate([] if value is None else read_array(value, "tools")):
        path = f"tools[{index}]"
        tool = read_object(item, path)
        kind = read_optional(tool.get("type"), f"{path}.type", read_name)
        if kind in (None, "custom"):
            tools.append(_read_tool(tool, path))
            omitted += (hint for hint in _TOOL_HINTS if tool.get(hint))
        else:
            name = tool.get("name")
            omitted.append(f"tools.{name if isinstance(name, str) and name else kind}")
    return tools


def _read_tool(tool: Json, path: str) -> Tool:
    schema = f"{path}.input_schema"
    return Tool(
        name=read_name(tool.get("name"), f"{path}.name"),
        description=read_optional(tool.get("description"), f"{path}.description", read_text),
        schema=encode_raw(read_object(tool.get("input_schema"), schema), schema),
        strict=read_optional(tool.get("strict"), f"{path}.strict", read_flag),
        cache=read_cache_mark(tool, path),
    )


def read_tool_choice(value: object, tools: list[Tool], omitted: list[str]) -> tuple[ToolChoice | None, bool | None]:
    """Whether tools must be used, and whether several at once may be; None where nothing is said.

    Raises:
        Unsupported: A tool must be used that had to be left out.
    """
    if value is None:
        return None, None
    choice = read_object(value, "tool_choice")
    kind = read_choice(choice.get("type"), "tool_choice.type", _CHOICES)
    single = read_optional(choice.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use", read_flag)
    name = read_name(choice.get("name"), "tool_choice.name") if kind == "tool" else None
    if (name is not None and f"tools.{name}" in omitted) or (kind == "any" and not tools and omitted):
        told = quote(name) if name is not None else "every tool of the request"
        raise Unsupported(f"`tool_choice`: {told} can only be used by Claude itself.", param="tool_choice")
    return ToolChoice(kind, name), False if single else None


def read_reasoning(thinking: object, output_config: object, omitted: list[str]) -> Reasoning | None:
    """How much to think: mode and budget from `thinking`, the effort from `output_config`, which alone starts none."""
    effort: _Effort | None = None
    if output_config is not None:
        told = read_object(output_config, "output_config").get("effort")
        effort = None if told is None else read_choice(told, "output_config.effort", _EFFORTS)
    if thinking is None:
        return None if effort is None else Reasoning("default", effort)
    wish = read_object(thinking, "thinking")
    kind = read_choice(wish.get("type"), "thinking.type", tuple(_MODES))
    budget = wish.get("budget_tokens") if kind == "enabled" else None
    if wish.get("display") is not None:
        omitted.append("thinking.display")
    return Reasoning(
        mode=_MODES[kind],
        effort=effort,
        budget_tokens=None if budget is None else read_integer(budget, "thinking.budget_tokens", minimum=1),
    )


def read_response_format(output_config: object, output_format: object) -> ResponseFormat | None:
    """The JSON schema of the answer, from `output_config.format` or, as it was first called, `output_format`."""
    path, value = "output_format", output_format
    if value is None and output_config is not None:
        path, value = "output_config.format", read_object(output_config, "output_config").get("format")
    if value is None:
        return None
    wanted = read_object(value, path)
    read_choice(wanted.get("type"), f"{path}.type", ("json_schema",))
    schema = f"{path}.schema"
    return ResponseFormat(schema=encode_raw(read_object(wanted.get("schema"), schema), schema), strict=True)
