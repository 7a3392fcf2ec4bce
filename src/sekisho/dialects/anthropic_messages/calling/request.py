"""A conversation as the body of the Messages API, without what its envelopes say in different places."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from sekisho.core.chat import ChatRequest
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WriteOptions
from sekisho.dialects.anthropic_messages.calling.blocks import BlockWriter
from sekisho.dialects.anthropic_messages.calling.cache import Json, limit_marks, mark_block
from sekisho.dialects.anthropic_messages.calling.tools import (
    AnswerFormat,
    choose_tool,
    plan_answer_format,
    write_tools,
)
from sekisho.dialects.anthropic_messages.family import NEW_VERSION, OLD_VERSION, allow_betas, choose_version
from sekisho.dialects.common.extras import leave_out_extra
from sekisho.dialects.common.names import CallIds, ToolNames
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.reasoning import ReasoningPlan, plan_reasoning
from sekisho.dialects.common.sampling import Sampling, plan_sampling, read_output_limit
from sekisho.dialects.common.schemas import JSON_TOOL
from sekisho.dialects.common.tools import offer_tools
from sekisho.dialects.common.turns import arrange_turns, is_blank

LONGEST_TOOL_NAME: Final = 128
DEFAULT_MAX_TOKENS: Final = 8192
"""The output limit, which the API demands, where neither the client nor the catalogue states one."""

_CALL_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Draft(Struct, frozen=True, kw_only=True):
    """A request that has yet to be put into its envelope: fields of the body, version, beta flags and the rest."""

    fields: Json
    version: str
    betas: list[str]
    service_tier: str | None
    tool_names: dict[str, str]
    json_tool: str | None
    dropped: tuple[str, ...]


def draft_request(chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> Draft:
    """Write a conversation for a model. `chat` is not changed.

    Raises:
        Unsupported: The model cannot carry something whose absence would change the meaning.
    """
    notes = Omissions(drop_params=options.drop_params)
    tools = offer_tools(chat, facts, notes)
    names = ToolNames((tool.name for tool in tools), LONGEST_TOOL_NAME)
    arranged = arrange_turns(chat, facts, notes, with_tools=bool(tools), ids=CallIds(_CALL_ID))
    limit = read_output_limit(chat, facts, notes)
    plan = plan_reasoning(chat.reasoning, limit, facts, arranged, notes, options.ceiling)
    form = plan_answer_format(chat.response_format, facts, notes, with_tools=bool(tools), thinking=plan.claude)
    sampling = plan_sampling(chat, facts, plan, notes)
    version = _choose_version(sampling, facts, notes)

    writer = BlockWriter(facts, names, notes)
    tool_blocks, choice = write_tools(tools, names, facts, notes), {}
    if tools:
        choice = choose_tool(chat, names, facts, notes, thinking=plan.claude)
    elif form.tool is not None:
        tool_blocks, choice = [form.tool], {"type": "tool", "name": JSON_TOOL}
    system = _write_system(chat, facts, notes)
    turns = [writer.write_turn(turn) for turn in arranged]
    limit_marks([system, tool_blocks, *(_content_of(turn) for turn in reversed(turns))], notes)
    betas, output = _review_extras(chat.extras, facts, notes)

    fields: Json = {"max_tokens": plan.max_tokens or DEFAULT_MAX_TOKENS, "messages": turns}
    fields |= _without_empty(system=system, tools=tool_blocks, tool_choice=choice, stop_sequences=sampling.stop)
    fields |= _write_thinking(plan, form, output)
    if version != NEW_VERSION:
        fields |= _write_sampling(sampling)
    return Draft(
        fields=fields,
        version=version,
        betas=betas,
        service_tier=chat.service_tier,
        tool_names=names.changed,
        json_tool=JSON_TOOL if form.tool is not None else None,
        dropped=notes.fields,
    )


def _without_empty(**members: object) -> Json:
    return {name: value for name, value in members.items() if value}


def _choose_version(sampling: Sampling, facts: ModelFacts, notes: Omissions) -> str:
    """The newest version that the model takes, unless there is a wish that only the old one has a field for."""
    wishes = _write_sampling(sampling)
    version = choose_version(OLD_VERSION if wishes else None, facts)
    if version == NEW_VERSION:
        for name in wishes:
            notes.drop(name)
    return version


def _write_sampling(sampling: Sampling) -> Json:
    values = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
    return {name: value for name, value in values.items() if value is not None}


def _write_system(chat: ChatRequest, facts: ModelFacts, notes: Omissions) -> list[Json]:
    if not facts.system:  # then `arrange_turns` has put it into the first turn
        return []
    return [
        mark_block({"type": "text", "text": text.text}, text.cache, "system", facts, notes)
        for text in chat.system
        if not is_blank(text)
    ]


def _content_of(turn: Json) -> list[Json]:
    content = turn["content"]
    assert isinstance(content, list)
    return content


def _write_thinking(plan: ReasoningPlan, form: AnswerFormat, output: Json) -> Json:
    """`thinking`, and `output_config` with what the client had in it beside."""
    output = dict(output)
    if plan.effort is not None:
        output["effort"] = plan.effort
    if form.own is not None:
        output["format"] = form.own
    return _without_empty(thinking=plan.fields.get("thinking"), output_config=output)


def _review_extras(extras: Mapping[str, object], facts: ModelFacts, notes: Omissions) -> tuple[list[str], Json]:
    """The beta flags and the rest of `output_config`, where the client was one of this format.

    Raises:
        Unsupported: Another field would change what the answer is.
    """
    betas: list[str] = []
    output: Json = {}
    for name, value in extras.items():
        if name == "anthropic_beta" and isinstance(value, list):
            betas = allow_betas((beta for beta in value if isinstance(beta, str)), facts)
        elif name == "output_config" and isinstance(value, dict):
            output = value
        else:
            leave_out_extra(name, value, notes)
    return betas, output
