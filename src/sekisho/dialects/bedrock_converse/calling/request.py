"""A conversation as the body of Converse and ConverseStream, which take the same one."""

import msgspec

from sekisho.core.chat import ChatRequest
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WireRequest, WriteOptions
from sekisho.dialects.bedrock_converse.calling.blocks import BlockWriter, Turn
from sekisho.dialects.bedrock_converse.calling.cache import limit_cache_points
from sekisho.dialects.bedrock_converse.calling.extras import review_extras
from sekisho.dialects.bedrock_converse.calling.head import Head, find_head
from sekisho.dialects.bedrock_converse.calling.known import SharedTurns, arrange_known_turns
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
from sekisho.dialects.common.digests import begin_digest
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.reasoning import ReasoningPlan, plan_reasoning
from sekisho.dialects.common.sampling import read_output_limit
from sekisho.dialects.common.schemas import JSON_TOOL
from sekisho.dialects.common.tiers import BEDROCK_TIERS, USUAL_TIERS

_encode = msgspec.json.Encoder().encode


def write_request(chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest:
    """Write a conversation for a model. `chat` is not changed.

    Raises:
        Unsupported: The model cannot carry something whose absence would change the meaning.
    """
    notes = Omissions(drop_params=options.drop_params)
    tools = offered_tools(chat, facts, notes)
    arranged, shared = arrange_known_turns(chat, facts, notes, with_tools=bool(tools))
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
    made = None if chat.known is None else chat.known.made
    head = find_head(chat.system, tool_blocks, tool_choice, facts, notes, made)
    if shared is not None and any(names.to_wire(tool) != tool for tool in shared.tools):
        shared = None
    turns = [writer.write_turn(turn) for turn in (arranged if shared is None else arranged[shared.count :])]
    if writer.marked:
        limit_cache_points([turn.content for turn in reversed(turns)], notes, head.marks_left)

    if chat.extras:
        additional |= review_extras(chat.extras, notes)
    rest: Json = {}
    if inference:
        rest["inferenceConfig"] = inference
    if output := _write_output(plan, answer_format):
        rest["outputConfig"] = output
    if additional:
        rest["additionalModelRequestFields"] = additional
    if facts.family == "claude":
        rest["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
    if metadata := write_metadata(options.metadata):
        rest["requestMetadata"] = metadata
    if chat.service_tier is not None:
        rest |= _write_tier(chat.service_tier, notes)
    body, digest = _join(head, shared, turns, rest)
    return WireRequest(
        body=body,
        digest=digest,
        tool_names=names.changed,
        json_tool=JSON_TOOL if answer_format.tool is not None else None,
        dropped=notes.fields,
    )


def _join(head: Head, shared: SharedTurns | None, turns: list[Turn], rest: Json) -> tuple[bytes, str | None]:
    """The body; and its SHA-256, where that of how it begins is known."""
    end = _encode(turns)[1:] + (b"," + _encode(rest)[1:] if rest else b"}")
    if shared is None:
        return head.text + end, None
    if turns:
        end = b"," + end
    digest = begin_digest(shared.known.made, shared.form, head.text, shared.text)
    digest.update(end)
    return b"".join((head.text, shared.text, end)), digest.hexdigest()


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
