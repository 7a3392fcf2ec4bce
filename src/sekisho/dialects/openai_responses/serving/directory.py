"""The tools of a request, and how the client knows each.

The neutral form has functions only. A free-form (`custom`) tool becomes a function with one text, `input`; the tools of
a `namespace` become functions whose names begin with the namespace's. Both are undone in the answer. Tools that
OpenAI's own servers run cannot be run here and are left out by name.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Raw, Struct
from msgspec.structs import replace

from sekisho.core.beginnings import Beginning
from sekisho.core.chat import KnownTools, Tool, ToolChoice
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.dialects.common.fields import (
    encode_raw,
    quote,
    read_array,
    read_choice,
    read_flag,
    read_name,
    read_object,
    read_text,
)
from sekisho.dialects.common.members import decode_members
from sekisho.dialects.common.memo import Memo
from sekisho.dialects.openai_responses.names import ADDED_TOOLS, Json

_NO_PARAMETERS: Final = Raw(b'{"type":"object","properties":{}}')
_FREE_FORM: Final = Raw(
    b'{"type":"object","properties":{"input":{"type":"string","description":"What the tool is given, as plain text."}},'
    b'"required":["input"],"additionalProperties":false}'
)
_CHOICES: Final = {"none": ToolChoice("none"), "auto": ToolChoice("auto"), "required": ToolChoice("any")}


class KnownTool(Struct, frozen=True):
    """A tool as the client knows it."""

    name: str
    namespace: str | None = None
    custom: bool = False


class ToolDirectory:
    """The tools of one request. `omitted` names those that were left out."""

    def __init__(self) -> None:
        self.tools: Sequence[Tool] = []
        self.omitted: list[str] = []
        self._by_neutral: dict[str, KnownTool] = {}
        self._neutral: dict[tuple[str | None, str], str] = {}

    def copy(self) -> "ToolDirectory":
        """The same tools, to which others can be added."""
        other = ToolDirectory()
        other.tools = self.tools
        other.omitted += self.omitted
        other._by_neutral |= self._by_neutral
        other._neutral |= self._neutral
        return other

    def add(self, value: object, path: str) -> None:
        """Takes in an array of tools. Raises InvalidRequest naming the field."""
        items = [read_object(item, f"{path}[{index}]") for index, item in enumerate(read_array(value, path))]
        # Plain names come first, so that a namespace's tool never takes the name of a plain one.
        for index, item in enumerate(items):
            if item.get("type") in ("function", "custom"):
                name = read_name(item.get("name"), f"{path}[{index}].name")
                self._register(KnownTool(name, custom=item["type"] == "custom"), name)
        added: list[Tool] = []
        for index, item in enumerate(items):
            added += self._read_tool(item, f"{path}[{index}]")
        self.tools = KnownTools([*self.tools, *added])

    def to_neutral(self, name: str, namespace: str | None = None) -> str:
        """The neutral name for the client's, also of tools that are no longer offered."""
        known = self._neutral.get((namespace, name))
        if known is not None:
            return known
        return name if namespace is None else f"{namespace}__{name}"

    def find(self, neutral: str) -> KnownTool:
        """The client's view of a tool, by its neutral name."""
        return self._by_neutral.get(neutral) or KnownTool(neutral)

    def restrict(self, allowed: Iterable[str]) -> None:
        """Keeps only the tools of these neutral names."""
        wanted = set(allowed)
        self.tools = [tool for tool in self.tools if tool.name in wanted]

    def _register(self, known: KnownTool, neutral: str) -> str:
        self._by_neutral.setdefault(neutral, known)
        return self._neutral.setdefault((known.namespace, known.name), neutral)

    def _read_tool(self, tool: Json, path: str) -> list[Tool]:
        match read_text(tool.get("type"), f"{path}.type"):
            case "function" | "custom":
                return [_read_tool(tool, path, read_name(tool.get("name"), f"{path}.name"))]
            case "namespace":
                return self._read_namespace(tool, path)
            case kind:
                self.omitted.append(f"tools.{kind}")
                return []

    def _read_namespace(self, tool: Json, path: str) -> list[Tool]:
        tools: list[Tool] = []
        namespace = read_name(tool.get("name"), f"{path}.name")
        about = tool.get("description")
        preface = "" if about is None else read_text(about, f"{path}.description")
        for index, item in enumerate(read_array(tool.get("tools"), f"{path}.tools")):
            inner_path = f"{path}.tools[{index}]"
            inner = read_object(item, inner_path)
            kind = read_choice(inner.get("type"), f"{inner_path}.type", ("function", "custom"))
            known = KnownTool(read_name(inner.get("name"), f"{inner_path}.name"), namespace, custom=kind == "custom")
            read = _read_tool(inner, inner_path, self._register(known, self._free_name(known)))
            if preface:  # told once, with the first tool
                told = f"{preface}\n\n{read.description}" if read.description else preface
                read = replace(read, description=told)
                preface = ""
            tools.append(read)
        return tools

    def _free_name(self, known: KnownTool) -> str:
        wanted = f"{known.namespace}__{known.name}"
        name, number = wanted, 2
        while self._by_neutral.get(name, known) != known:
            name, number = f"{wanted}_{number}", number + 1
        return name


def _read_tool(tool: Json, path: str, neutral: str) -> Tool:
    description = tool.get("description")
    told = None if description is None else read_text(description, f"{path}.description")
    if tool["type"] == "custom":
        return Tool(name=neutral, description=_describe_format(told, tool.get("format"), path), schema=_FREE_FORM)
    parameters, strict = tool.get("parameters"), tool.get("strict")
    return Tool(
        name=neutral,
        description=told,
        schema=_NO_PARAMETERS if parameters is None else _read_schema(parameters, f"{path}.parameters"),
        strict=None if strict is None else read_flag(strict, f"{path}.strict"),
    )


def _describe_format(told: str | None, value: object, path: str) -> str | None:
    """The description of a free-form tool with the grammar that its input must follow, which no upstream enforces."""
    if value is None:
        return told
    form = read_object(value, f"{path}.format")
    if read_choice(form.get("type"), f"{path}.format.type", ("text", "grammar")) == "text":
        return told
    syntax = read_text(form.get("syntax"), f"{path}.format.syntax")
    definition = read_text(form.get("definition"), f"{path}.format.definition")
    rule = f"`input` must match this {syntax} grammar:\n{definition}"
    return f"{told}\n\n{rule}" if told else rule


def _read_schema(value: object, path: str) -> Raw:
    return encode_raw(read_object(value, path), path)


def read_tool_choice(value: object, directory: ToolDirectory) -> ToolChoice | None:
    """`tool_choice`. With `allowed_tools` the directory is left with only those.

    Raises:
        InvalidRequest: It is malformed.
        Unsupported: It demands a tool that only OpenAI's servers can run.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return _CHOICES[read_choice(value, "tool_choice", ("none", "auto", "required"))]
    choice = read_object(value, "tool_choice")
    if choice.get("type") != "allowed_tools":
        return ToolChoice("tool", _read_chosen(choice, "tool_choice", directory))
    mode = read_choice(choice.get("mode"), "tool_choice.mode", ("auto", "required"))
    allowed: list[str] = []
    for index, item in enumerate(read_array(choice.get("tools"), "tool_choice.tools")):
        path = f"tool_choice.tools[{index}]"
        tool = read_object(item, path)
        if f"tools.{tool.get('type')}" not in directory.omitted:
            allowed.append(_read_chosen(tool, path, directory))
    directory.restrict(allowed)
    if mode == "required" and not directory.tools:
        raise Unsupported(
            "`tool_choice.tools`: none of the tools that must be used can be run here.", param="tool_choice.tools"
        )
    return _CHOICES[mode]


def _read_chosen(choice: Json, path: str, directory: ToolDirectory) -> str:
    """The neutral name of the function or free-form tool that is named."""
    kind = read_text(choice.get("type"), f"{path}.type")
    if kind not in ("function", "custom"):
        raise Unsupported(
            f"`{path}.type`: tools of type {quote(kind)} are run by OpenAI's servers only.", param=f"{path}.type"
        )
    namespace = choice.get("namespace")
    name = directory.to_neutral(
        read_name(choice.get("name"), f"{path}.name"),
        None if namespace is None else read_name(namespace, f"{path}.namespace"),
    )
    if name not in {tool.name for tool in directory.tools}:
        raise InvalidRequest(f"`{path}.name` is not among the tools.", param=f"{path}.name")
    return name


def _read_listed(tools: bytes) -> ToolDirectory:
    directory = ToolDirectory()
    listed = decode_members({"tools": Raw(tools)})["tools"]
    if listed is not None:
        directory.add(listed, "tools")
    return directory


_listed: Final = Memo(_read_listed)


def read_directory(tools: Raw | None, items: object, beginning: Beginning | None = None) -> ToolDirectory:
    """The tools of a request: those of `tools`, then those that items of its input add. Raises InvalidRequest."""
    known = None if tools is None else _listed.find_raw(tools, beginning)
    directory = ToolDirectory() if known is None else known.copy()
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict) and item.get("type") == ADDED_TOOLS:
            directory.add(item.get("tools"), f"input[{index}].tools")
    return directory
