"""Reads the conversation of a Chat Completions request: OpenAI's fields, and those that LiteLLM's clients add.

Each field of the body has one of three fates: it is read into the neutral form, it concerns only the gateway and ends
here, or it goes to `ChatRequest.extras` unless it has its neutral default.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from sekisho.core.beginnings import Beginning
from sekisho.core.chat import ChatRequest, KnownTurns, Message, Text, Tool
from sekisho.dialects.common.fields import (
    decode_body,
    read_flag,
    read_name,
    read_names,
    read_object,
    read_text,
    refuse_deep_nesting,
)
from sekisho.dialects.common.known_turns import read_known_turns
from sekisho.dialects.common.members import decode_members, write_members
from sekisho.dialects.common.memo import Memo
from sekisho.dialects.common.openai_fields import (
    EXTRAS,
    Extras,
    read_count,
    read_positive,
    read_share,
    read_stop,
    read_temperature,
)
from sekisho.dialects.common.wishes import is_gateway_field
from sekisho.dialects.openai_chat.messages import read_messages
from sekisho.dialects.openai_chat.options import read_reasoning, read_response_format, read_tool_choice, read_tools
from sekisho.dialects.openai_chat.plain import read_plain_messages, read_plain_tools

_Fields = dict[str, object]

# Read by themselves, with the envelope or by the gateway alone.
# fmt: off
_APART: Final = frozenset({
    "messages", "tools", "functions", "model", "stream", "stream_options", "user", "metadata",
})
# fmt: on
_LIMITS: Final = ("max_tokens", "max_completion_tokens")
# Fields that the neutral form has under the same name.
_PLAIN: Final[Mapping[str, Callable[[object, str], object]]] = {
    "parallel_tool_calls": read_flag,
    "temperature": read_temperature,
    "top_p": read_share,
    "top_k": read_count,
    "stop": read_stop,
    "service_tier": read_name,
}
_READ_FIELDS: Final = frozenset({*_PLAIN, "tool_choice", "function_call", "response_format", "reasoning_effort"})
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


_tools: Final = Memo(read_plain_tools)


def read_chat(members: Mapping[str, Raw], beginning: Beginning | None = None) -> ChatRequest:
    """Reads a whole body. Raises InvalidRequest, or Unsupported, naming the field in `param`."""
    said = {name: raw for name, raw in members.items() if name not in _APART and bytes(raw) != b"null"}
    settings = _settings.find(write_members(said))
    assert settings is not None
    system, messages, known = _read_conversation(members, beginning)
    tools = _read_tools(members, beginning)
    return replace(settings, system=system, messages=messages, known=known, tools=tools)


def _read_settings(members: bytes) -> ChatRequest:
    """A request that says what `members` say, and has no conversation yet."""
    fields = decode_body(members)
    limit = read_output_limit(*map(fields.pop, _LIMITS, (None, None)))
    chat = ChatRequest(system=[], messages=[], max_output_tokens=limit, made={})
    if fields:
        _read_rest(fields, chat)
    return chat


_settings: Final = Memo(_read_settings)


def _read_tools(members: Mapping[str, Raw], beginning: Beginning | None) -> Sequence[Tool]:
    tools = members.get("tools")
    if tools is None and "functions" not in members:
        return []
    known = _tools.find_raw(tools, beginning) if tools is not None and "functions" not in members else None
    return read_tools(members) if known is None else known


def _read_conversation(
    members: Mapping[str, Raw], beginning: Beginning | None
) -> tuple[list[Text], list[Message], KnownTurns | None]:
    messages = members.get("messages", Raw(b"null"))
    if beginning is not None and (known := read_known_turns(messages, beginning, read_plain_messages)) is not None:
        return known
    if (plain := read_plain_messages(messages)) is not None:
        return *plain, None
    return *read_messages(decode_members({"messages": messages})["messages"]), None


def _read_rest(fields: _Fields, chat: ChatRequest) -> None:
    """Reads what many requests do not say at all."""
    for name, read in _PLAIN.items():
        if name in fields:
            setattr(chat, name, read(fields[name], name))
    chat.tool_choice = read_tool_choice(fields)
    chat.reasoning = read_reasoning(fields)
    chat.response_format = read_response_format(fields)
    chat.extras = _read_extras(fields)


def read_output_limit(old: object, new: object) -> int | None:
    """The most tokens to answer with, from `max_tokens` and its later name `max_completion_tokens`, which wins."""
    limit = None if old is None else read_positive(old, "max_tokens")
    return limit if new is None else read_positive(new, "max_completion_tokens")


def _read_extras(fields: _Fields) -> _Fields:
    extras: _Fields = {}
    for name, value in fields.items():
        if name in _READ_FIELDS or is_gateway_field(name):
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
