"""Tools, whether they must be used, and the tool that stands in for a JSON answer."""

from collections.abc import Sequence

from msgspec import Raw, Struct

from sekisho.core.chat import ChatRequest, ResponseFormat, Tool
from sekisho.core.model import ModelFacts
from sekisho.dialects.anthropic_messages.calling.cache import Json, mark_block
from sekisho.dialects.common.names import ToolNames
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.schemas import (
    JSON_TOOL,
    JSON_TOOL_DESCRIPTION,
    can_force_json_tool,
    complete_schema,
)
from sekisho.dialects.common.tools import settle_choice


class AnswerFormat(Struct, frozen=True):
    """How a JSON answer is had: by the model's own means, or by a tool it must call; neither when none is wanted."""

    own: Json | None = None
    tool: Json | None = None


def write_tools(tools: Sequence[Tool], names: ToolNames, facts: ModelFacts, notes: Omissions) -> list[Json]:
    """The list of tools. Raises Unsupported for a schema that is no object."""
    return [mark_block(_write_tool(tool, names, facts, notes), tool.cache, "tools", facts, notes) for tool in tools]


def _write_tool(tool: Tool, names: ToolNames, facts: ModelFacts, notes: Omissions) -> Json:
    block: Json = {"name": names.to_wire(tool.name), "input_schema": complete_schema(tool.schema, notes)}
    if tool.description and not tool.description.isspace():
        block["description"] = tool.description
    if tool.strict:
        if facts.json_schema:
            block["strict"] = True
        else:
            notes.drop("strict")
    return block


def choose_tool(chat: ChatRequest, names: ToolNames, facts: ModelFacts, notes: Omissions, *, thinking: bool) -> Json:
    """Whether a tool must be used; empty when nothing is said about it.

    Raises:
        Unsupported: A tool must be used and the model cannot be made to.
    """
    choice = settle_choice(chat, facts, notes, thinking=thinking)
    written: Json = {"type": choice.kind}
    if choice.kind == "tool" and choice.name is not None:
        written["name"] = names.to_wire(choice.name)
    if chat.parallel_tool_calls is False and choice.kind != "none":
        written["disable_parallel_tool_use"] = True
    elif chat.tool_choice is None:
        return {}
    return written


def plan_answer_format(
    wanted: ResponseFormat | None, facts: ModelFacts, notes: Omissions, *, with_tools: bool, thinking: bool
) -> AnswerFormat:
    """Decide how a JSON answer is had. Raises Unsupported if the model cannot be made to give one."""
    if wanted is None:
        return AnswerFormat()
    if wanted.schema is not None and bytes(wanted.schema).strip() and facts.json_schema:
        return AnswerFormat(own={"type": "json_schema", "schema": wanted.schema})
    if not can_force_json_tool(facts, notes, with_tools=with_tools, thinking=thinking):
        return AnswerFormat()
    described = wanted.description if wanted.description and not wanted.description.isspace() else None
    schema = complete_schema(wanted.schema or Raw(), notes, field="response_format")
    tool: Json = {"name": JSON_TOOL, "description": described or JSON_TOOL_DESCRIPTION, "input_schema": schema}
    return AnswerFormat(tool=tool)
