"""A conversation as the body of a Chat Completions request: translated, or passed on as it came."""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WireRequest, WriteOptions
from sekisho.dialects.common.members import write_members
from sekisho.dialects.common.names import ToolNames, is_allowed_name
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.openai_envelope import edit_members, limit_output
from sekisho.dialects.common.openai_options import write_tier
from sekisho.dialects.common.reasoning import lower_limit
from sekisho.dialects.common.search import mentions
from sekisho.dialects.common.tools import offer_tools
from sekisho.dialects.openai_chat import vendor
from sekisho.dialects.openai_chat.upstream_messages import Json, write_messages
from sekisho.dialects.openai_chat.upstream_options import (
    write_extras,
    write_reasoning,
    write_response_format,
    write_sampling,
    write_tool_use,
    write_tools,
)

_NEW_LIMIT: Final = "max_completion_tokens"
_OLD_LIMIT: Final = "max_tokens"
# Fields of other vendors that clients send to any model, and parts of messages that OpenAI refuses.
_FOREIGN_FIELDS: Final = frozenset({"output_config", "reasoning", "thinking", "top_k"})
_FOREIGN_MEMBERS: Final = {
    name: b'"%b"' % name.encode()
    for name in ("cache_control", "provider_specific_fields", "reasoning", "reasoning_content", "thinking_blocks")
}


class _Function(Struct):
    name: str


class _Tool(Struct):
    function: _Function | None = None


_decode_tools = msgspec.json.Decoder(list[_Tool] | None).decode
_encode = msgspec.json.Encoder().encode
_decode_items = msgspec.json.Decoder(list[Raw]).decode


def write_request(chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest:
    """Write a conversation for a model. `chat` is not changed.

    Raises:
        Unsupported: The model cannot carry something whose absence would change the meaning.
    """
    own = vendor.is_openai(options.model, facts)
    notes = Omissions(drop_params=options.drop_params)
    tools = offer_tools(chat, facts, notes)
    names = ToolNames(tool.name for tool in tools)
    body: Json = {"model": options.model}
    body["messages"] = write_messages(chat, facts, names, notes, own=own)
    if tools:
        body["tools"] = write_tools(tools, names, notes)
        body |= write_tool_use(chat, names, facts, options.model, notes)
    limit = lower_limit(chat.max_output_tokens, options.ceiling)
    if limit is not None:
        limit_field = _NEW_LIMIT if vendor.takes_new_limit(options.model, facts) else _OLD_LIMIT
        body[limit_field] = min(limit, facts.max_output_tokens or limit)
    body |= write_sampling(chat, facts, notes, own=own)
    body |= write_reasoning(chat.reasoning, options.model, facts, notes)
    body |= write_response_format(chat.response_format)
    body |= write_tier(chat.service_tier, notes, own=own)
    body |= write_extras(chat, notes, own=own)
    if options.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return WireRequest(body=_encode(body), tool_names=names.changed, dropped=notes.fields)


def pass_request(call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest | None:
    """Passes on a body of this format. Every member that is not edited keeps its bytes, known or not.

    Beside what is edited in all of OpenAI's formats, its own models get the output limit under the name that they
    demand, and what clients of other vendors put into messages and OpenAI refuses is taken out. None when tools have
    names that OpenAI refuses.
    """
    members = edit_members(call, options)
    dropped: tuple[str, ...] = ()
    if vendor.is_openai(options.model, facts):
        if not _takes_tool_names(members.get("tools")):
            return None
        dropped = _suit_openai(members, facts, options)
    if options.ceiling is not None:
        name = _NEW_LIMIT if vendor.takes_new_limit(options.model, facts) else _OLD_LIMIT
        limit_output(members, (_NEW_LIMIT, _OLD_LIMIT), name, options.ceiling // call.answers)
    return WireRequest(body=write_members(members), native=True, dropped=dropped)


def _takes_tool_names(tools: Raw | object) -> bool:
    try:
        told = _decode_tools(tools) if isinstance(tools, Raw) else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return True  # the upstream will say what is wrong with it
    return all(is_allowed_name(tool.function.name) for tool in told or () if tool.function is not None)


def _suit_openai(members: dict[str, Raw | object], facts: ModelFacts, options: WriteOptions) -> tuple[str, ...]:
    """Edits what OpenAI would refuse. Returns the names of fields left out."""
    dropped: list[str] = []
    limit = members.get(_OLD_LIMIT)
    if limit is not None and vendor.takes_new_limit(options.model, facts):
        members.setdefault(_NEW_LIMIT, limit)
        del members[_OLD_LIMIT]
    if options.drop_params:
        dropped += [name for name in members if name in _FOREIGN_FIELDS]
    for name in dropped:
        del members[name]
    if any([_clean_items(members, "messages", _clean_message), _clean_items(members, "tools", _clean_tool)]):
        dropped.append("cache_control")
    return tuple(dropped)


def _clean_items(members: dict[str, Raw | object], name: str, clean: Callable[[Json], Json]) -> bool:
    """Cleans those items of an array that have foreign members. Returns whether cache marks were among them."""
    value = members.get(name)
    if not isinstance(value, Raw) or not any(mentions(value, member) for member in _FOREIGN_MEMBERS.values()):
        return False
    try:
        items = _decode_items(value)
    except msgspec.ValidationError:
        return False  # the upstream will say what is wrong with it
    members[name] = [_clean_item(item, clean) for item in items]
    return mentions(value, _FOREIGN_MEMBERS["cache_control"])


def _clean_item(item: Raw, clean: Callable[[Json], Json]) -> Raw | Json:
    if not any(member in bytes(item) for member in _FOREIGN_MEMBERS.values()):
        return item
    value = msgspec.json.decode(item)
    return clean(value) if isinstance(value, dict) else item


def _clean_message(message: Json) -> Json:
    """A message without foreign members on itself, its parts and its tool calls."""
    cleaned = _clean(message)
    for name in ("content", "tool_calls"):
        inner = cleaned.get(name)
        if isinstance(inner, list):
            cleaned[name] = [_clean(part) if isinstance(part, dict) else part for part in inner]
    return cleaned


def _clean_tool(tool: Json) -> Json:
    """A tool without marks on itself and its function; the schema is left alone."""
    cleaned = _clean(tool)
    function = cleaned.get("function")
    if isinstance(function, dict):
        cleaned["function"] = _clean(function)
    return cleaned


def _clean(value: Json) -> Json:
    return {name: inner for name, inner in value.items() if name not in _FOREIGN_MEMBERS}
