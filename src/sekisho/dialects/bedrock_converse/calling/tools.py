"""Tools, whether they must be used, and the tool that stands in for a JSON answer."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import ChatRequest, KnownTools, ResponseFormat, Tool, ToolChoice
from sekisho.core.model import ModelFacts
from sekisho.dialects.bedrock_converse.calling.cache import write_cache_point
from sekisho.dialects.bedrock_converse.forms import Json
from sekisho.dialects.common.names import ToolNames
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.schemas import (
    JSON_TOOL,
    JSON_TOOL_DESCRIPTION,
    can_force_json_tool,
    complete_schema,
)
from sekisho.dialects.common.tools import offer_tools, settle_choice

_encode = msgspec.json.Encoder().encode


class AnswerFormat(Struct, frozen=True):
    """How a JSON answer is had: by the model's own means, or by a tool it must call; neither when none is wanted."""

    text_format: Json | None = None
    tool: Json | None = None


def offered_tools(chat: ChatRequest, facts: ModelFacts, notes: Omissions) -> Sequence[Tool]:
    """The tools that the request will carry. Converse cannot say that none may be used: then it gets none.

    Raises:
        Unsupported: The model takes no tools.
    """
    if chat.tool_choice is not None and chat.tool_choice.kind == "none":
        return []
    return offer_tools(chat, facts, notes)


def write_tools(tools: Sequence[Tool], facts: ModelFacts, notes: Omissions) -> tuple[ToolNames, list[Json]]:
    """Their names on the wire, and the list of tools, cache points among them, which is not to be changed.

    Raises:
        Unsupported: A schema is no object.
    """
    if type(tools) is not KnownTools:
        names = ToolNames(tool.name for tool in tools)
        return names, _write_blocks(tools, names, facts, notes)
    form = (write_tools, facts.json_schema, facts.cache, facts.cache_ttl_1h)
    if form not in tools.made:
        names, left_out = ToolNames(tool.name for tool in tools), notes.begin_anew()
        blocks = _write_blocks(tools, names, facts, left_out)
        if left_out.fields:  # to be told with every request
            for field in left_out.fields:
                notes.drop(field)
            return names, blocks
        tools.made[form] = names, [{kind: Raw(_encode(block[kind])) for kind in block} for block in blocks]
    names, blocks = tools.made[form]
    return names.copy(), blocks


def _write_blocks(tools: Sequence[Tool], names: ToolNames, facts: ModelFacts, notes: Omissions) -> list[Json]:
    blocks: list[Json] = []
    for tool in tools:
        spec: Json = {"name": names.to_wire(tool.name), "inputSchema": {"json": complete_schema(tool.schema, notes)}}
        if tool.description and not tool.description.isspace():
            spec["description"] = tool.description
        if tool.strict:
            if facts.json_schema:
                spec["strict"] = True
            else:
                notes.drop("strict")
        blocks.append({"toolSpec": spec})
        blocks += write_cache_point(tool.cache, "tools", facts, notes)
    return blocks


def choose_tool(
    chat: ChatRequest, names: ToolNames, facts: ModelFacts, notes: Omissions, *, thinking: bool
) -> tuple[Json, Json]:
    """Whether a tool must be used: `toolChoice`, and additional fields for Claude; either may be empty.

    Raises:
        Unsupported: A tool must be used and the model cannot be made to.
    """
    choice = settle_choice(chat, facts, notes, thinking=thinking)
    if chat.parallel_tool_calls is False:
        if facts.family == "claude":
            return {}, {"tool_choice": _forbid_parallel(choice, names)}
        notes.drop("parallel_tool_calls")
    if chat.tool_choice is None or not facts.tool_choice:
        return {}, {}
    return {choice.kind: _name_choice(choice, names)}, {}


def _forbid_parallel(choice: ToolChoice, names: ToolNames) -> Json:
    """Claude's own form of the choice, which stands in place of Converse's and can say more."""
    return {"type": choice.kind, "disable_parallel_tool_use": True} | _name_choice(choice, names)


def _name_choice(choice: ToolChoice, names: ToolNames) -> Json:
    return {"name": names.to_wire(choice.name)} if choice.kind == "tool" and choice.name is not None else {}


def plan_answer_format(
    wanted: ResponseFormat | None, facts: ModelFacts, notes: Omissions, *, with_tools: bool, thinking: bool
) -> AnswerFormat:
    """Decide how a JSON answer is had.

    Raises:
        Unsupported: Only a stand-in tool could give it, and the model cannot be made to use that one.
    """
    if wanted is None:
        return AnswerFormat()
    if wanted.schema is not None and bytes(wanted.schema).strip() and facts.json_schema:
        return AnswerFormat(text_format=_write_text_format(wanted, wanted.schema))
    if not can_force_json_tool(facts, notes, with_tools=with_tools, thinking=thinking):
        return AnswerFormat()
    description = wanted.description if wanted.description and not wanted.description.isspace() else None
    spec: Json = {
        "name": JSON_TOOL,
        "description": description or JSON_TOOL_DESCRIPTION,
        "inputSchema": {"json": complete_schema(wanted.schema or Raw(), notes, field="response_format")},
    }
    return AnswerFormat(tool={"toolSpec": spec})


def _write_text_format(wanted: ResponseFormat, schema: Raw) -> Json:
    definition: Json = {"schema": bytes(schema).decode(), "name": wanted.name}
    if wanted.description:
        definition["description"] = wanted.description
    return {"type": "json_schema", "structure": {"jsonSchema": definition}}
