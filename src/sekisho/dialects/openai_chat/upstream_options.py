"""Writes for an upstream what decides how the model answers: tools, sampling, reasoning, the form of the answer."""

from collections.abc import Sequence
from typing import Final

from sekisho.core.chat import ChatRequest, Reasoning, ResponseFormat, Tool, ToolChoice
from sekisho.core.model import ModelFacts
from sekisho.dialects.common.extras import leave_out_extra
from sekisho.dialects.common.names import ToolNames
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.openai_options import choose_effort, write_schema
from sekisho.dialects.common.reasoning import name_wish
from sekisho.dialects.common.schemas import complete_schema
from sekisho.dialects.openai_chat import vendor
from sekisho.dialects.openai_chat.upstream_messages import Json

_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}
# What every server of the format knows, and what only OpenAI does.
_COMMON_EXTRAS: Final = frozenset({"seed", "logit_bias", "presence_penalty", "frequency_penalty"})
# fmt: off
_OPENAI_EXTRAS: Final = frozenset({
    "moderation", "prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
    "safety_identifier", "store", "verbosity", "web_search_options",
})
# fmt: on


def write_tools(tools: Sequence[Tool], names: ToolNames, notes: Omissions) -> list[Json]:
    """The list of tools. Raises Unsupported for a schema that is no object."""
    return [{"type": "function", "function": _write_function(tool, names, notes)} for tool in tools]


def _write_function(tool: Tool, names: ToolNames, notes: Omissions) -> Json:
    function: Json = {"name": names.to_wire(tool.name), "parameters": complete_schema(tool.schema, notes)}
    if tool.description:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return function


def write_tool_use(chat: ChatRequest, names: ToolNames, facts: ModelFacts, model: str, notes: Omissions) -> Json:
    """Whether tools must be used, and one at a time: for requests that offer some.

    Raises:
        Unsupported: A tool must be used and the model cannot be made to.
    """
    fields: Json = {}
    choice = chat.tool_choice
    if choice is not None and (written := _write_choice(choice, chat, names, facts, notes)) is not None:
        fields["tool_choice"] = written
    if chat.parallel_tool_calls is False:  # the default is true
        if vendor.calls_in_sequence(model):
            notes.drop("parallel_tool_calls")
        else:
            fields["parallel_tool_calls"] = False
    return fields


def _write_choice(
    choice: ToolChoice, chat: ChatRequest, names: ToolNames, facts: ModelFacts, notes: Omissions
) -> object:
    if choice.kind in ("any", "tool") and not facts.tool_choice:
        notes.refuse("tool_choice", "The model cannot be made to use a tool.")
        return None
    if choice.kind != "tool" or choice.name is None:
        return _CHOICES[choice.kind]
    if choice.name not in [tool.name for tool in chat.tools]:
        notes.refuse("tool_choice", "The tool that must be used is not among the tools.")
        return None
    return {"type": "function", "function": {"name": names.to_wire(choice.name)}}


def write_sampling(chat: ChatRequest, facts: ModelFacts, notes: Omissions, *, own: bool) -> Json:
    """How the next token is drawn and where the answer ends.

    Raises:
        Unsupported: There are stop sequences, and the model takes none or not as many.
    """
    fields: Json = {}
    if chat.temperature is not None and _takes(chat.temperature, "temperature", facts, notes):
        fields["temperature"] = chat.temperature
    if chat.top_p is not None and _takes(chat.top_p, "top_p", facts, notes):
        fields["top_p"] = chat.top_p
    if chat.top_k is not None:
        if own:
            notes.drop("top_k")
        else:
            fields["top_k"] = chat.top_k
    if stop := _limit_stop([sequence for sequence in chat.stop if sequence], facts, notes, own=own):
        fields["stop"] = stop
    return fields


def _takes(value: float, field: str, facts: ModelFacts, notes: Omissions) -> bool:
    if facts.sampling != "none":
        return True
    if value != 1:  # 1 is the default, so that a model that takes none does as asked
        notes.drop(field)
    return False


def _limit_stop(stop: list[str], facts: ModelFacts, notes: Omissions, *, own: bool) -> list[str]:
    if stop and not facts.stop_sequences:
        notes.refuse("stop", "The model takes no stop sequences.")
        return []
    if own and len(stop) > vendor.MOST_STOPS:
        notes.refuse("stop", f"OpenAI's models take at most {vendor.MOST_STOPS} stop sequences.")
        return stop[: vendor.MOST_STOPS]
    return stop


def write_reasoning(wish: Reasoning | None, model: str, facts: ModelFacts, notes: Omissions) -> Json:
    """How much to think, as `reasoning_effort`."""
    if wish is None:
        return {}
    effort = choose_effort(wish)
    if effort is None:
        return {}
    if vendor.takes_effort(model, facts):
        return {"reasoning_effort": vendor.nearest_effort(effort, model, facts)}
    if effort != "none":
        notes.drop(name_wish(wish))
    return {}


def write_response_format(wanted: ResponseFormat | None) -> Json:
    """JSON wanted as the answer."""
    if wanted is None:
        return {}
    if wanted.schema is None:
        return {"response_format": {"type": "json_object"}}
    return {"response_format": {"type": "json_schema", "json_schema": write_schema(wanted)}}


def write_extras(chat: ChatRequest, notes: Omissions, *, own: bool) -> Json:
    """The fields of this format that the neutral form has none for; all others are left out or refused.

    Raises:
        Unsupported: A field would change what the answer is, and the answer could not be carried back.
    """
    known = _COMMON_EXTRAS | _OPENAI_EXTRAS if own else _COMMON_EXTRAS
    fields: Json = {}
    for name, value in chat.extras.items():
        if name in known and value is not None:
            fields[name] = value
        else:
            leave_out_extra(name, value, notes)
    return fields
