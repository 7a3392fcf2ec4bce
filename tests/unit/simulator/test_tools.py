"""Tools of real agents: Cline's as recorded, the others by their published schemas."""

import json
from pathlib import Path
from typing import Any

import pytest

from sekisho.simulator.tasks import RunCommand, WriteFile
from sekisho.simulator.tools import choose_finisher, choose_tool, fill_tool, find_folder

TEXT = {"type": "string"}
CASES = Path(__file__).parents[2] / "cases" / "simulator"
CLINE = json.loads((CASES / "cline-3.0.65-tools.json").read_text())
HELLO = WriteFile("hello.txt", "hi\nyou\n")
LIST = RunCommand("ls -la")


def spec(name: str, required: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": required.split()}
    return {"name": name, "inputSchema": {"json": schema}}


READ = spec("Read", "file_path", file_path=TEXT)
EDIT = spec("Edit", "file_path old_string new_string", file_path=TEXT, old_string=TEXT, new_string=TEXT, content=TEXT)
CLAUDE_CODE = [
    READ,
    EDIT,
    spec("Bash", "command", command=TEXT, description=TEXT, timeout={"type": "number"}),
    spec("Write", "file_path content", file_path={**TEXT, "description": "The absolute path"}, content=TEXT),
]
CODEX = [
    spec("update_plan", "plan", plan={"type": "array"}),
    spec("shell", "command", command={"type": "array", "items": TEXT}, workdir=TEXT),
]
CODEX_EXEC = [spec("exec_command", "cmd", cmd=TEXT, yield_time_ms={"type": "number"})]
EDITOR = [
    spec(
        "str_replace_based_edit_tool",
        "command path file_text",
        command={"enum": ["view", "create"]},
        path=TEXT,
        file_text=TEXT,
    )
]
PATCH = [spec("apply_patch", "input", input=TEXT), spec("run", "commands", commands={"type": "array", "items": TEXT})]
CLINE_2 = [
    spec("execute_command", "command requires_approval", command=TEXT, requires_approval={"type": "boolean"}),
    spec("write_to_file", "path content", path={**TEXT, "description": "relative to the current folder"}, content=TEXT),
    spec("attempt_completion", "result", result=TEXT, command=TEXT),
]
SCRIPT = "printf %s 'hi\nyou\n' > hello.txt"


@pytest.mark.parametrize(
    ("specs", "name", "tool_input"),
    [
        (CLINE, "editor", {"path": "/w/hello.txt", "new_text": "hi\nyou\n"}),
        (CLAUDE_CODE, "Write", {"file_path": "/w/hello.txt", "content": "hi\nyou\n"}),
        (CODEX, "shell", {"command": ["bash", "-lc", SCRIPT]}),
        (CODEX_EXEC, "exec_command", {"cmd": SCRIPT}),
        (EDITOR, EDITOR[0]["name"], {"command": "create", "path": "/w/hello.txt", "file_text": "hi\nyou\n"}),
        (PATCH, "apply_patch", {"input": "*** Begin Patch\n*** Add File: hello.txt\n+hi\n+you\n*** End Patch\n"}),
        (CLINE_2, "write_to_file", {"path": "hello.txt", "content": "hi\nyou\n"}),
    ],
)
def test_a_file_is_written_with_the_agents_own_tool(specs: list[Any], name: str, tool_input: dict[str, Any]) -> None:
    assert choose_tool(specs, HELLO, "/w") == (name, tool_input)


@pytest.mark.parametrize(
    ("specs", "name", "tool_input"),
    [
        (CLINE, "run_commands", {"commands": ["ls -la"]}),
        (CLAUDE_CODE, "Bash", {"command": "ls -la"}),
        (CODEX, "shell", {"command": ["bash", "-lc", "ls -la"]}),
        (CODEX_EXEC, "exec_command", {"cmd": "ls -la"}),
        (PATCH, "run", {"commands": ["ls -la"]}),
        (CLINE_2, "execute_command", {"command": "ls -la", "requires_approval": False}),
    ],
)
def test_a_command_is_run_with_the_agents_own_tool(specs: list[Any], name: str, tool_input: dict[str, Any]) -> None:
    assert choose_tool(specs, LIST, "/w") == (name, tool_input)


def test_no_tool_is_forced_into_what_it_is_not_made_for() -> None:
    assert choose_tool([READ, EDIT], HELLO, "/w") is None
    assert choose_tool(EDITOR, LIST, "/w") is None


def test_a_shell_makes_the_folders_it_needs_and_quotes() -> None:
    call = choose_tool(CODEX_EXEC, WriteFile("a b/c.txt", "it's"), None)
    assert call == ("exec_command", {"cmd": "mkdir -p 'a b' && printf %s 'it'\"'\"'s' > 'a b/c.txt'"})


def test_the_finishing_tool_gets_the_summary() -> None:
    assert choose_finisher(CLINE_2, "all done") == ("attempt_completion", {"result": "all done"})
    assert choose_finisher(CLINE, "all done") is None


def test_every_tool_of_cline_can_be_filled() -> None:
    for tool in CLINE:
        filled = fill_tool(tool)
        assert set(filled) == set(tool["inputSchema"]["json"].get("required", []))


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("<env>\n3. IDE: Terminal\n4. Working Directory: /home/a b/work\n</env>", "/home/a b/work"),
        ("Environment\n - Primary working directory: /srv/x\n - Platform", "/srv/x"),
        ("<environment_context><cwd>/srv/y</cwd></environment_context>", "/srv/y"),
        ("The current working directory is `/srv/z`.", "/srv/z"),
        ("no folder here", None),
    ],
)
def test_the_working_directory_is_found(text: str, folder: str | None) -> None:
    assert find_folder(text) == folder
