"""The tools of a Responses request: functions, free-form tools, namespaces, and those that OpenAI runs itself."""

from typing import Any, Literal

from msgspec import Struct

from sekisho.simulator.wires.openai.content import free_spec, function_spec
from sekisho.simulator.wires.openai.errors import refuse
from sekisho.simulator.wires.openai.rules import check_name, convert_fields, wrong_value

_HOSTED = (
    "apply_patch",
    "code_interpreter",
    "computer",
    "computer_use_preview",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "programmatic_tool_calling",
    "shell",
    "tool_search",
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
)
_KINDS = ("function", "custom", "namespace", *_HOSTED)


class _Tool(Struct):
    type: str
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None
    tools: list[dict[str, Any]] = []


class Tools(Struct):
    """The tools a model may call, as a prompt has them, which of them take free text, and who lives in a namespace."""

    specs: list[dict[str, Any]] = []
    free: set[str] = set()
    namespaces: dict[str, str] = {}


def read_tools(listed: list[dict[str, Any]] | None) -> Tools:
    """The tools of a request; those that OpenAI runs itself are never called here. Raises Refusal."""
    found = Tools()
    for index, fields in enumerate(listed or ()):
        _read_tool(found, fields, f"tools[{index}]", None)
    return found


def read_choice(choice: Any) -> tuple[Literal["auto", "any", "tool", "none"], str | None]:
    """How tools are to be chosen, and the one that must be. Raises Refusal."""
    words: dict[str, Literal["auto", "any", "none"]] = {"auto": "auto", "required": "any", "none": "none"}
    if choice is None or isinstance(choice, str):
        if (choice or "auto") not in words:
            raise wrong_value("tool_choice", choice, words)
        return words[choice or "auto"], None
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind == "allowed_tools":
        return ("any" if choice.get("mode") == "required" else "auto"), None
    if kind in ("function", "custom"):
        return "tool", choice.get("name")
    if kind in _HOSTED:
        return "auto", None
    raise wrong_value("tool_choice.type", kind, ("function", "custom", "allowed_tools", *_HOSTED))


def _read_tool(found: Tools, fields: dict[str, Any], path: str, namespace: str | None) -> None:
    tool = convert_fields(fields, _Tool)
    if tool.type not in _KINDS:
        raise wrong_value(f"{path}.type", tool.type, _KINDS)
    if tool.type in _HOSTED:
        return
    name = check_name(tool.name, f"{path}.name")
    if tool.type == "namespace":
        if namespace is not None:
            raise refuse(f"Invalid '{path}': namespaces cannot hold namespaces.", path, "invalid_value")
        for index, inner in enumerate(tool.tools):
            _read_tool(found, inner, f"{path}.tools[{index}]", name)
        return
    if namespace is not None:
        found.namespaces[name] = namespace
    if tool.type == "custom":
        found.free.add(name)
        found.specs.append(free_spec(name, tool.description))
    else:
        found.specs.append(function_spec(name, tool.description, tool.parameters))
