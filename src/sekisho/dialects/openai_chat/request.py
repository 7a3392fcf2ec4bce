"""Reads the conversation of a Chat Completions request: OpenAI's fields, and those that LiteLLM's clients add.

Each field of the body has one of three fates: it is read into the neutral form, it concerns only the gateway and ends
here, or it goes to `ChatRequest.extras` unless it has its neutral default.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Raw

from sekisho.core.chat import ChatRequest
from sekisho.dialects.common.fields import (
    read_flag,
    read_name,
    read_names,
    read_object,
    read_text,
    refuse_deep_nesting,
)
from sekisho.dialects.common.members import decode_members
from sekisho.dialects.common.openai_fields import (
    EXTRAS,
    Extras,
    read_count,
    read_positive,
    read_share,
    read_stop,
    read_temperature,
)
from sekisho.dialects.common.wishes import is_gateway_field, read_optional
from sekisho.dialects.openai_chat.messages import read_messages
from sekisho.dialects.openai_chat.options import read_reasoning, read_response_format, read_tool_choice, read_tools

_Fields = dict[str, object]

# fmt: off
_READ_FIELDS: Final = frozenset({
    "model", "messages", "tools", "functions", "tool_choice", "function_call", "parallel_tool_calls", "stop",
    "temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "response_format", "reasoning_effort",
    "service_tier", "stream", "stream_options", "user", "metadata",
})
# fmt: on
_TOOL_FIELDS: Final = ("tools", "functions")
# Fields of which only some members are read; the others are extras under the field's name.
_PARTLY_READ: Final = {
    "thinking": frozenset({"type", "budget_tokens"}),
    "reasoning": frozenset({"effort"}),
    "output_config": frozenset({"effort"}),
}
# Known fields without a neutral form: how to check them, and the value that asks for nothing.
_EXTRAS: Final[Extras] = {
    **EXTRAS,
    "logprobs": (read_flag, False),
    "top_logprobs": (read_count, 0),
    "prediction": (read_object, None),
    "modalities": (read_names, ["text"]),
    "audio": (read_object, None),
    "web_search_options": (read_object, None),
    "verbosity": (read_text, "medium"),
    "store": (read_flag, False),
    "prompt_cache_key": (read_text, None),
    "safety_identifier": (read_text, None),
}


def read_chat(members: Mapping[str, Raw]) -> ChatRequest:
    """Reads a whole body. Raises InvalidRequest, or Unsupported, naming the field in `param`."""
    fields = decode_members({name: raw for name, raw in members.items() if name not in _TOOL_FIELDS})
    system, messages = read_messages(fields.get("messages"))
    return ChatRequest(
        system=system,
        messages=messages,
        tools=read_tools(members),
        tool_choice=read_tool_choice(fields),
        parallel_tool_calls=read_optional(fields.get("parallel_tool_calls"), "parallel_tool_calls", read_flag),
        max_output_tokens=read_output_limit(fields.get("max_tokens"), fields.get("max_completion_tokens")),
        temperature=read_optional(fields.get("temperature"), "temperature", read_temperature),
        top_p=read_optional(fields.get("top_p"), "top_p", read_share),
        top_k=read_optional(fields.get("top_k"), "top_k", read_count),
        stop=read_optional(fields.get("stop"), "stop", read_stop) or [],
        reasoning=read_reasoning(fields),
        response_format=read_response_format(fields),
        service_tier=read_optional(fields.get("service_tier"), "service_tier", read_name),
        extras=_read_extras(fields),
    )


def read_output_limit(old: object, new: object) -> int | None:
    """The most tokens to answer with, from `max_tokens` and its later name `max_completion_tokens`, which wins."""
    limit = read_optional(old, "max_tokens", read_positive)
    later = read_optional(new, "max_completion_tokens", read_positive)
    return limit if later is None else later


def _read_extras(fields: _Fields) -> _Fields:
    extras: _Fields = {}
    for name, value in fields.items():
        if value is None or name in _READ_FIELDS or is_gateway_field(name):
            continue
        if name in _PARTLY_READ:
            rest = {key: item for key, item in read_object(value, name).items() if key not in _PARTLY_READ[name]}
            if rest:
                extras[name] = rest
        elif name in _EXTRAS:
            check, neutral = _EXTRAS[name]
            if check(value, name) != neutral:
                extras[name] = value
        else:
            extras[name] = value
    refuse_deep_nesting(extras, "request_body")
    return extras
