"""What a request says beside its conversation and tools: limits, sampling, reasoning, the form of the answer."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from sekisho.core.chat import ChatRequest, KnownTools, Message, Tool
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WriteOptions
from sekisho.dialects.bedrock_converse.calling.extras import review_extras
from sekisho.dialects.bedrock_converse.calling.sampling import write_inference
from sekisho.dialects.bedrock_converse.calling.tools import AnswerFormat, choose_tool, plan_answer_format
from sekisho.dialects.bedrock_converse.forms import Json
from sekisho.dialects.common.names import ToolNames
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.reasoning import ReasoningPlan, plan_reasoning
from sekisho.dialects.common.sampling import read_output_limit
from sekisho.dialects.common.schemas import JSON_TOOL
from sekisho.dialects.common.tiers import BEDROCK_TIERS, USUAL_TIERS

_MOST_KNOWN: Final = 64
_encode = msgspec.json.Encoder().encode


class Settings(Struct, frozen=True):
    """Settings as they are written.

    text: the members, each after a comma. tool_choice: whether a tool must be used; empty where nothing is said of
    that. json_tool: the tool that stands in for a JSON answer. dropped: the fields that are left out.
    """

    text: bytes
    tool_choice: Json
    json_tool: Json | None
    dropped: tuple[str, ...]


class _Known(Struct, frozen=True):
    """Settings, and what they are made from beside the request's own."""

    facts: ModelFacts
    tools: Sequence[Tool]
    settings: Settings


def find_settings(
    chat: ChatRequest,
    facts: ModelFacts,
    options: WriteOptions,
    tools: Sequence[Tool],
    names: ToolNames,
    turns: list[Message],
) -> Settings:
    """The settings, as they were written before where they were.

    Args:
        chat: The request.
        facts: What the model can do.
        options: How the request is to be written.
        tools: Those that it will offer.
        names: Their names on the wire.
        turns: As `arrange_turns` left them: what was reasoned in them may forbid that more is.

    Raises:
        Unsupported: The model cannot carry something whose absence would change the meaning.
    """
    made = chat.made
    shared = not tools or type(tools) is KnownTools
    if made is None or not shared or (chat.reasoning is not None and facts.thinking in ("budget", "both")):
        return _write_settings(chat, facts, options, tools, names, turns)
    form = (find_settings, id(facts), id(tools) if tools else 0, options.ceiling, options.drop_params)
    known: _Known | None = made.get(form)
    if known is None or known.facts is not facts or (tools and known.tools is not tools):
        known = _Known(facts, tools, _write_settings(chat, facts, options, tools, names, turns))
        if len(made) >= _MOST_KNOWN:
            made.clear()
        made[form] = known
    return known.settings


def _write_settings(
    chat: ChatRequest,
    facts: ModelFacts,
    options: WriteOptions,
    tools: Sequence[Tool],
    names: ToolNames,
    turns: list[Message],
) -> Settings:
    notes = Omissions(drop_params=options.drop_params)
    limit = read_output_limit(chat, facts, notes)
    plan = plan_reasoning(chat.reasoning, limit, facts, turns, notes, options.ceiling)
    answer_format = plan_answer_format(chat.response_format, facts, notes, with_tools=bool(tools), thinking=plan.claude)
    inference, additional = write_inference(chat, facts, plan, notes)
    additional |= plan.fields
    tool_choice: Json = {}
    if tools:
        tool_choice, for_claude = choose_tool(chat, names, facts, notes, thinking=plan.claude)
        additional |= for_claude
    elif answer_format.tool is not None:
        tool_choice = {"tool": {"name": JSON_TOOL}}
    additional |= review_extras(chat.extras, notes)
    members: Json = {}  # Converse refuses most members that are empty
    if inference:
        members["inferenceConfig"] = inference
    if output := _write_output(plan, answer_format):
        members["outputConfig"] = output
    if additional:
        members["additionalModelRequestFields"] = additional
    if facts.family == "claude":
        members["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
    if chat.service_tier is not None:
        members |= _write_tier(chat.service_tier, notes)
    text = b"," + _encode(members)[1:-1] if members else b""
    return Settings(text, tool_choice, answer_format.tool, notes.fields)


def _write_output(plan: ReasoningPlan, answer_format: AnswerFormat) -> Json:
    output: Json = {}
    if answer_format.text_format is not None:
        output["textFormat"] = answer_format.text_format
    if plan.effort is not None:
        output["effort"] = plan.effort
    return output


def _write_tier(tier: str, notes: Omissions) -> Json:
    if tier in BEDROCK_TIERS:
        return {"serviceTier": {"type": tier}}
    if tier not in USUAL_TIERS:
        notes.drop("service_tier")
    return {}
