"""Which of an agent's tools does a step, judged by the JSON schemas alone, and with what input.

Held against the tools of Cline (editor, apply_patch, run_commands), Claude Code, Codex, opencode and Qwen Code.
"""

import posixpath
import re
import shlex
from typing import Any

from sekisho.simulator.schema import minimal_instance, types_of
from sekisho.simulator.tasks import RunCommand, Step, WriteFile

ToolInput = dict[str, Any]
Spec = dict[str, Any]

# In the order of preference, compared without case and underscores.
_PATHS = ("filepath", "path", "absolutepath", "targetfile", "filename", "file")
_CONTENTS = ("content", "contents", "newtext", "filetext", "text", "newcontent", "codeedit")
_PATCHES = ("input", "patch", "patchtext")
_COMMANDS = ("command", "cmd", "script", "commands")
_REMARKS = ("description", "explanation", "reason", "justification", "taskprogress", "summary", "instructions")
_WRITER = re.compile(r"write|create|editor|save", re.IGNORECASE)
_SHELL = re.compile(r"bash|shell|exec|command|terminal|run", re.IGNORECASE)
_FINISHER = re.compile(
    r"attempt_?completion|task_?complete|complete_?task|finish(_task)?|submit(_and_exit)?|final_answer|done",
    re.IGNORECASE,
)
_FOLDERS = [
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"^\s*(?:[-*]\s*|\d+\.\s*)?(?:Primary )?[Ww]orking [Dd]irectory:\s*(/.*?)\s*$",
        r"<cwd>\s*(/.*?)\s*</cwd>",
        r"[Cc]urrent [Ww]orking [Dd]irectory\s*(?:is|:)?\s*\(?\s*[`'\"]?(/[^\s`'\"()]+)",
    )
]


def find_folder(text: str) -> str | None:
    """The agent's working directory, as its prompt tells it."""
    matches = (pattern.search(text) for pattern in _FOLDERS)
    return next((match[1] for match in matches if match), None)


def choose_tool(specs: list[Spec], step: Step, folder: str | None) -> tuple[str, ToolInput] | None:
    """The tool that does `step` and its input; None when no tool can."""
    if isinstance(step, RunCommand):
        return _choose_shell(specs, step.command)
    return _choose_writer(specs, step, folder) or _choose_patch(specs, step) or _choose_shell(specs, _script(step))


def choose_finisher(specs: list[Spec], summary: str) -> tuple[str, ToolInput] | None:
    """The tool by which the agent wants to be told that the work is done, if it has one."""
    for spec in specs:
        if _FINISHER.fullmatch(spec["name"]):
            schema = _schema(spec)
            filled = minimal_instance({**schema, "type": "object"})
            texts = (name for name in filled if "string" in types_of(_properties(schema)[name]))
            first = next(texts, None)
            return spec["name"], {**filled, first: summary} if first else filled
    return None


def is_finisher(name: str) -> bool:
    """Whether a tool of this name tells the agent that the work is done."""
    return _FINISHER.fullmatch(name) is not None


def fill_tool(spec: Spec) -> ToolInput:
    """The smallest input a tool takes."""
    filled = minimal_instance({**_schema(spec), "type": "object"})
    return filled if isinstance(filled, dict) else {}


def _schema(spec: Spec) -> dict[str, Any]:
    schema = spec["inputSchema"].get("json")
    return schema if isinstance(schema, dict) else {}


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def _find(properties: dict[str, Any], wanted: tuple[str, ...], kinds: set[str]) -> str | None:
    by_name = {name.replace("_", "").lower(): name for name in properties}
    names = (by_name[key] for key in wanted if key in by_name)
    return next((name for name in names if types_of(properties[name]) & kinds), None)


def _fill_rest(schema: dict[str, Any], given: ToolInput) -> ToolInput | None:
    """`given` with the other required properties; None when one of them is beyond a simple model."""
    filled = dict(given)
    for name in schema.get("required", ()):
        if name in filled:
            continue
        given_prop = _properties(schema).get(name)
        prop = given_prop if isinstance(given_prop, dict) else {}
        kinds = types_of(prop)
        if prop.get("enum"):
            filled[name] = next((word for word in ("create", "write") if word in prop["enum"]), prop["enum"][0])
        elif "null" in kinds:
            filled[name] = None
        elif kinds & {"boolean", "integer", "number"}:
            filled[name] = minimal_instance(prop)
        elif name.replace("_", "").lower() in _REMARKS:
            filled[name] = "SIMULATED step"
        else:
            return None
    return filled


def _choose_writer(specs: list[Spec], step: WriteFile, folder: str | None) -> tuple[str, ToolInput] | None:
    ranked: list[tuple[tuple[bool, int, int], str, ToolInput]] = []
    for index, spec in enumerate(specs):
        schema = _schema(spec)
        properties = _properties(schema)
        path, content = (_find(properties, names, {"string"}) for names in (_PATHS, _CONTENTS))
        if path is None or content is None:
            continue
        place = _place(step.name, folder, properties[path])
        filled = _fill_rest(schema, {path: place, content: step.content})
        if filled is not None:
            rank = (_WRITER.search(spec["name"]) is None, len(properties), index)
            ranked.append((rank, spec["name"], filled))
    if not ranked:
        return None
    _, name, filled = min(ranked, key=lambda item: item[0])
    return name, filled


def _place(name: str, folder: str | None, prop: dict[str, Any]) -> str:
    """The path of a file, absolute where that is known, unless the tool asks for a relative one."""
    description = str(prop.get("description", "")).lower()
    if folder is None or ("relative" in description and "absolute" not in description):
        return name
    return posixpath.join(folder, name)


def _choose_patch(specs: list[Spec], step: WriteFile) -> tuple[str, ToolInput] | None:
    lines = "".join(f"+{line}\n" for line in step.content.splitlines())
    patch = f"*** Begin Patch\n*** Add File: {step.name}\n{lines}*** End Patch\n"
    for spec in specs:
        field = _find(_properties(_schema(spec)), _PATCHES, {"string"})
        if "patch" in spec["name"].lower() and field:
            filled = _fill_rest(_schema(spec), {field: patch})
            if filled is not None:
                return spec["name"], filled
    return None


def _script(step: WriteFile) -> str:
    folder = posixpath.dirname(step.name)
    prefix = f"mkdir -p {shlex.quote(folder)} && " if folder else ""
    return f"{prefix}printf %s {shlex.quote(step.content)} > {shlex.quote(step.name)}"


def _choose_shell(specs: list[Spec], command: str) -> tuple[str, ToolInput] | None:
    shells = sorted(specs, key=lambda spec: _SHELL.search(spec["name"]) is None)
    for spec in shells:
        schema = _schema(spec)
        field = _find(_properties(schema), _COMMANDS, {"string", "array"})
        if field is None or "enum" in _properties(schema)[field]:
            continue
        value: str | list[str] = command
        if "string" not in types_of(_properties(schema)[field]):
            # A list is either several commands (Cline's `commands`) or the words of one (Codex's `command`).
            value = [command] if field.lower().endswith("s") else ["bash", "-lc", command]
        filled = _fill_rest(schema, {field: value})
        if filled is not None:
            return spec["name"], filled
    return None
