"""Parts of messages that several of OpenAI's APIs have, brought into the form of a prompt's blocks."""

import base64
import re
from typing import Any

import msgspec

from sekisho.simulator.wires.openai.errors import refuse
from sekisho.simulator.wires.openai.rules import check_image

Blocks = list[dict[str, Any]]

_FILE = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,", re.IGNORECASE)
_FREE_SCHEMA = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


def read_image(url: Any, param: str) -> dict[str, Any]:
    """An image block. Raises Refusal."""
    check_image(url, param)
    return {"image": {"source": {"url": url}}}


def read_file(file: dict[str, Any], param: str) -> dict[str, Any]:
    """A document block from `file_data`, `file_id` or `file_url`. Raises Refusal."""
    data = file.get("file_data")
    if data is None:
        if not (file.get("file_id") or file.get("file_url")):
            raise refuse(f"Missing one of 'file_data', 'file_id' in '{param}'.", param, "missing_required_parameter")
        return {"document": {"source": {"url": file.get("file_id") or file.get("file_url")}}}
    match = _FILE.match(data) if isinstance(data, str) else None
    if match is None:
        raise refuse(
            "Invalid file data: expected a base64-encoded data URL with a MIME type (e.g."
            " 'data:application/pdf;base64,…').",
            f"{param}.file_data",
            "invalid_value",
        )
    try:
        base64.b64decode(data[match.end() :], validate=True)
    except ValueError:
        raise refuse("Invalid file data: not valid base64.", f"{param}.file_data", "invalid_value") from None
    return {"document": {"name": file.get("filename") or "", "source": {"bytes": data[match.end() :]}}}


def function_spec(name: str, description: str | None, schema: dict[str, Any] | None) -> dict[str, Any]:
    """A tool with a JSON schema, as a prompt has it."""
    described = {"description": description} if description else {}
    return {"toolSpec": {"name": name, **described, "inputSchema": {"json": schema or {"type": "object"}}}}


def free_spec(name: str, description: str | None) -> dict[str, Any]:
    """A tool that takes free text, as a prompt has it."""
    return function_spec(name, description, _FREE_SCHEMA)


def tool_use(call_id: str, name: str, raw: str) -> dict[str, Any]:
    """A tool call of an earlier turn; its arguments may be free text."""
    try:
        tool_input = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        tool_input = raw
    return {"toolUse": {"toolUseId": call_id, "name": name, "input": tool_input}}


def tool_result(call_id: str, content: Blocks) -> dict[str, Any]:
    """What a tool answered."""
    return {"toolResult": {"toolUseId": call_id, "content": content}}


class Turns:
    """Messages put together as turns of a prompt: one after another of the same role become one.

    Instructions before the first turn are the prompt's system text; those after it stand between the turns.
    """

    def __init__(self) -> None:
        self.system: Blocks = []
        self.messages: list[dict[str, Any]] = []

    def add(self, role: str, blocks: Blocks) -> None:
        """Adds what a message of a role says."""
        if role in ("system", "developer"):
            if self.messages:
                self.messages.append({"role": "system", "content": blocks})
            else:
                self.system.extend(blocks)
        elif self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"].extend(blocks)
        else:
            self.messages.append({"role": role, "content": [*blocks]})
