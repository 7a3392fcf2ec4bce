"""A conversation as the body of Converse and ConverseStream, which take the same one."""

import msgspec

from sekisho.core.chat import ChatRequest
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WireRequest, WriteOptions
from sekisho.dialects.bedrock_converse.calling.blocks import BlockWriter
from sekisho.dialects.bedrock_converse.calling.cache import limit_cache_points, write_cache_point
from sekisho.dialects.bedrock_converse.calling.extras import review_extras
from sekisho.dialects.bedrock_converse.calling.known import arrange_known_turns
from sekisho.dialects.bedrock_converse.calling.sampling import write_inference
from sekisho.dialects.bedrock_converse.calling.tools import (
    AnswerFormat,
    choose_tool,
    offered_tools,
    plan_answer_format,
    write_tools,
)
from sekisho.dialects.bedrock_converse.forms import Json
from sekisho.dialects.common.bedrock_metadata import write_metadata
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.reasoning import ReasoningPlan, plan_reasoning
from sekisho.dialects.common.sampling import read_output_limit
from sekisho.dialects.common.schemas import JSON_TOOL
from sekisho.dialects.common.tiers import BEDROCK_TIERS, USUAL_TIERS
from sekisho.dialects.common.turns import is_blank

_encode = msgspec.json.Encoder().encode


def write_request(chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest:
    """Write a conversation for a model. `chat` is not changed.

    Raises:
        Unsupported: The model cannot carry something whose absence would change the meaning.
    """
    notes = Omissions(drop_params=options.drop_params)
    tools = offered_tools(chat, facts, notes)
    arranged, written = arrange_known_turns(chat, facts, notes, with_tools=bool(tools))
    limit = read_output_limit(chat, facts, notes)
    plan = plan_reasoning(chat.reasoning, limit, facts, arranged, notes, options.ceiling)
    answer_format = plan_answer_format(chat.response_format, facts, notes, with_tools=bool(tools), thinking=plan.claude)
    inference, additional = write_inference(chat, facts, plan, notes)
    additional |= plan.fields

    names, tool_blocks = write_tools(tools, facts, notes)
    writer = BlockWriter(facts, names, notes)
    tool_choice: Json = {}
    if tools:
        tool_choice, for_claude = choose_tool(chat, names, facts, notes, thinking=plan.claude)
        additional |= for_claude
    elif answer_format.tool is not None:
        tool_blocks, tool_choice = [answer_format.tool], {"tool": {"name": JSON_TOOL}}
    system = _write_system(chat, facts, notes)
    known = written.blocks if all(names.to_wire(tool) == tool for tool in written.tools) else []
    turns = [writer.write_turn(turn) for turn in arranged[len(known) :]]
    limit_cache_points([system, tool_blocks, *(turn.content for turn in reversed(turns) if writer.marked)], notes)

    additional |= review_extras(chat.extras, notes)
    output = _write_output(plan, answer_format)
    body: Json = {"messages": [*known, *turns]}  # Converse refuses most members that are empty
    if system:
        body["system"] = system
    if inference:
        body["inferenceConfig"] = inference
    if tool_blocks:
        body["toolConfig"] = {"tools": tool_blocks} | ({"toolChoice": tool_choice} if tool_choice else {})
    if output:
        body["outputConfig"] = output
    if additional:
        body["additionalModelRequestFields"] = additional
    if facts.family == "claude":
        body["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
    if metadata := write_metadata(options.metadata):
        body["requestMetadata"] = metadata
    if chat.service_tier is not None:
        body |= _write_tier(chat.service_tier, notes)
    return WireRequest(
        body=_encode(body),
        tool_names=names.changed,
        json_tool=JSON_TOOL if answer_format.tool is not None else None,
        dropped=notes.fields,
    )


def _write_system(chat: ChatRequest, facts: ModelFacts, notes: Omissions) -> list[Json]:
    blocks: list[Json] = []
    if facts.system:  # otherwise `arrange_turns` has put it into the first turn
        for text in chat.system:
            if not is_blank(text):
                blocks.append({"text": text.text})
                blocks += write_cache_point(text.cache, "system", facts, notes)
    return blocks


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
