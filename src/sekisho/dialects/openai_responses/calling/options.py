"""Writes for an upstream what decides how the model answers: tools, sampling, reasoning, the form of the answer."""

import re
from collections.abc import Sequence
from typing import Final

from sekisho.core.chat import ChatRequest, Reasoning, ResponseFormat, Tool
from sekisho.core.model import ModelFacts
from sekisho.dialects.common.extras import leave_out_extra
from sekisho.dialects.common.names import ToolNames
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.openai_options import choose_effort, write_schema
from sekisho.dialects.common.reasoning import lower_limit, name_wish
from sekisho.dialects.common.schemas import complete_schema
from sekisho.dialects.openai_responses.names import Json

_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}
LEAST_TOKENS: Final = 16
"""OpenAI refuses a lower output limit."""
_REASONING_MODELS: Final = re.compile(r"(?:^|[/.:])(?:gpt-(?:[5-9]|\d\d)|o\d(?:-|$)|codex-)")
# fmt: off
_EXTRAS: Final = frozenset({
    "moderation", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "safety_identifier",
})
# fmt: on
_WRITTEN_ELSEWHERE: Final = ("verbosity", "store")


def reasons(model: str, facts: ModelFacts) -> bool:
    """Whether a model can be told how much to reason, and gives its reasoning in a form that can be sent back."""
    return facts.thinking == "effort_field" or _REASONING_MODELS.search(model) is not None


def write_tools(tools: Sequence[Tool], names: ToolNames, notes: Omissions) -> list[Json]:
    """The list of tools. What the client did not say is not left to the format's default, which is to be strict."""
    return [
        {
            "type": "function",
            "name": names.to_wire(tool.name),
            "description": tool.description,
            "parameters": complete_schema(tool.schema, notes),
            "strict": bool(tool.strict),
        }
        for tool in tools
    ]


def write_tool_use(chat: ChatRequest, names: ToolNames, facts: ModelFacts, notes: Omissions) -> Json:
    """Whether tools must be used, and one at a time: for requests that offer some.

    Raises:
        Unsupported: A tool must be used and the model cannot be made to.
    """
    fields: Json = {} if chat.parallel_tool_calls is None else {"parallel_tool_calls": chat.parallel_tool_calls}
    choice = chat.tool_choice
    if choice is None:
        return fields
    if choice.kind in ("any", "tool") and not facts.tool_choice:
        notes.refuse("tool_choice", "The model cannot be made to use a tool.")
    elif choice.kind != "tool" or choice.name is None:
        fields["tool_choice"] = _CHOICES[choice.kind]
    elif choice.name not in [tool.name for tool in chat.tools]:
        notes.refuse("tool_choice", "The tool that must be used is not among the tools.")
    else:
        fields["tool_choice"] = {"type": "function", "name": names.to_wire(choice.name)}
    return fields


def write_sampling(chat: ChatRequest, facts: ModelFacts, notes: Omissions, ceiling: int | None) -> Json:
    """How the next token is drawn and where the answer ends: after `ceiling` tokens at the latest.

    Raises:
        Unsupported: There are stop sequences, which the format has not.
    """
    fields: Json = {}
    for name, value in (("temperature", chat.temperature), ("top_p", chat.top_p)):
        if value is not None and facts.sampling != "none":
            fields[name] = value
        elif value not in (None, 1):  # 1 is the default, so that a model that takes none does as asked
            notes.drop(name)
    if chat.top_k is not None:
        notes.drop("top_k")
    if any(chat.stop):
        notes.refuse("stop", "OpenAI's Responses API has no stop sequences.")
    limit = lower_limit(chat.max_output_tokens, ceiling)
    if limit is not None:
        # A few tokens more than were asked for do not change what was asked.
        fields["max_output_tokens"] = max(min(limit, facts.max_output_tokens or limit), LEAST_TOKENS)
    return fields


def write_reasoning(wish: Reasoning | None, model: str, facts: ModelFacts, notes: Omissions) -> Json:
    """How much to think, and that what was thought comes in a form that can be sent back."""
    can = reasons(model, facts)
    fields: Json = {"include": ["reasoning.encrypted_content"]} if can else {}
    effort = None if wish is None else choose_effort(wish)
    if wish is None or effort is None:
        return fields
    if can:
        return fields | {"reasoning": {"effort": effort}}
    if effort != "none":
        notes.drop(name_wish(wish))
    return fields


def write_text(wanted: ResponseFormat | None, verbosity: object) -> Json:
    """The form of the answer, and how wordy it shall be."""
    text: Json = {}
    if wanted is not None and wanted.schema is None:
        text["format"] = {"type": "json_object"}
    elif wanted is not None:
        text["format"] = {"type": "json_schema", **write_schema(wanted)}
    if verbosity is not None:
        text["verbosity"] = verbosity
    return {"text": text} if text else {}


def write_extras(chat: ChatRequest, notes: Omissions) -> Json:
    """The fields of this format that the neutral form has none for; all others are left out or refused.

    Raises:
        Unsupported: A field would change what the answer is, and the answer could not be carried back.
    """
    fields: Json = {}
    for name, value in chat.extras.items():
        if name in _EXTRAS and value is not None:
            fields[name] = value
        elif name not in _WRITTEN_ELSEWHERE:
            leave_out_extra(name, value, notes)
    return fields
