"""A conversation as the body of a Responses request: translated, or passed on as it came.

Nothing is ever stored upstream: what one key of ours had kept there, any other could read.
"""

import re
from collections.abc import MutableMapping
from typing import Final

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WireRequest, WriteOptions
from sekisho.dialects.common.members import read_members, write_members
from sekisho.dialects.common.names import ToolNames, is_allowed_name
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.openai_envelope import limit_output
from sekisho.dialects.common.openai_options import write_tier
from sekisho.dialects.common.tools import offer_tools
from sekisho.dialects.common.wishes import leave_out_gateway_fields
from sekisho.dialects.openai_responses.calling.items import join_system, write_items
from sekisho.dialects.openai_responses.calling.options import (
    LEAST_TOKENS,
    reasons,
    write_extras,
    write_reasoning,
    write_sampling,
    write_text,
    write_tool_use,
    write_tools,
)
from sekisho.dialects.openai_responses.names import FAMILY, Json
from sekisho.dialects.openai_responses.serving.envelope import is_compacting
from sekisho.dialects.openai_responses.serving.options import ENCRYPTED, refuse_kept_state

# What only we can read: our seals of reasoning and of summaries.
_OUR_SEAL: Final = re.compile(rb'"encrypted_content"\s*:\s*"sekisho1\.')
_LIMIT: Final = "max_output_tokens"
_KEPT_STATE: Final = ("conversation", "prompt", "background", "previous_response_id")
# fmt: off
_COUNTED: Final = frozenset({
    "model", "input", "instructions", "parallel_tool_calls", "personality", "reasoning", "text", "tool_choice", "tools",
    "truncation",
})
# fmt: on

_NAMED_TOOLS: Final = ("function", "custom")


class _Tool(Struct):
    type: str = ""
    name: str = ""


_decode_tools = msgspec.json.Decoder(list[_Tool] | None).decode
_encode = msgspec.json.Encoder().encode


def write_request(chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest:
    """Write a conversation for a model. `chat` is not changed.

    Raises:
        Unsupported: The model cannot carry something whose absence would change the meaning.
    """
    notes = Omissions(drop_params=options.drop_params)
    tools = offer_tools(chat, facts, notes)
    names = ToolNames(tool.name for tool in tools)
    body: Json = {"model": options.model, "store": False}
    if facts.system and (system := join_system(chat)):
        body["instructions"] = system
    body["input"] = write_items(chat, facts, names, notes)
    if tools:
        body["tools"] = write_tools(tools, names, notes)
        body |= write_tool_use(chat, names, facts, notes)
    body |= write_sampling(chat, facts, notes, options.ceiling)
    body |= write_reasoning(chat.reasoning, options.model, facts, notes)
    body |= write_text(chat.response_format, chat.extras.get("verbosity"))
    body |= write_tier(chat.service_tier, notes, own=True)
    body |= write_extras(chat, notes)
    if options.stream:
        body["stream"] = True
    return WireRequest(body=_encode(body), tool_names=names.changed, dropped=notes.fields)


def pass_request(call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest | None:
    """Passes on a body of this format. Every member that is not edited keeps its bytes, known or not.

    Edited are: the model; what concerns the gateway alone; `store`, which is always false; and `include`, where a
    client that counts on the server to keep its reasoning would else get none that it can send back.

    None when only we can read something in it, when tools have names that OpenAI refuses, or when it asks for a
    compaction, which any model of ours must be able to read later.

    Raises:
        InvalidRequest: It goes on from what OpenAI has kept.
    """
    if _OUR_SEAL.search(call.body) is not None or is_compacting(call):
        return None
    members = _read_passed(call)
    if not _takes_tool_names(members.get("tools")):
        return None
    counts_on_server = members.get("store", Raw(b"null")) != Raw(b"false")
    members |= {"model": options.model, "store": False}
    if counts_on_server and reasons(options.model, facts):
        members["include"] = _include_reasoning(members.get("include"))
    if options.ceiling is not None:
        limit_output(members, (_LIMIT,), _LIMIT, max(options.ceiling, LEAST_TOKENS))
    return WireRequest(body=write_members(members), native=True)


def write_count_request(call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest:
    """The question for the tokens of a call, with those of its members that count. Raises Unsupported."""
    if call.family == FAMILY and _OUR_SEAL.search(call.body) is None:
        wire, members = WireRequest(body=b""), _read_passed(call)
    else:
        wire = write_request(call.chat, facts, options)
        members = dict(read_members(wire.body))
    counted = {name: value for name, value in members.items() if name in _COUNTED}
    return WireRequest(body=write_members(counted | {"model": options.model}), dropped=wire.dropped)


def _takes_tool_names(tools: Raw | object) -> bool:
    try:
        told = _decode_tools(tools) if isinstance(tools, Raw) else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return True  # the upstream will say what is wrong with it
    return all(is_allowed_name(tool.name) for tool in told or () if tool.type in _NAMED_TOOLS)


def _read_passed(call: ClientCall) -> dict[str, Raw | object]:
    """The members of a client's body, without what concerns the gateway alone. Raises InvalidRequest."""
    given = call.members
    refuse_kept_state({name: msgspec.json.decode(given[name]) for name in _KEPT_STATE if name in given})
    members: dict[str, Raw | object] = {**leave_out_gateway_fields(given)}
    _clean_metadata(members, call.metadata)
    return members


def _clean_metadata(members: MutableMapping[str, Raw | object], metadata: Json) -> None:
    """Takes out the metadata that are for gateways (tags): OpenAI takes nothing but texts."""
    kept = {name: value for name, value in metadata.items() if isinstance(value, str)}
    if len(kept) == len(metadata):
        return
    members.pop("metadata", None)
    if kept:
        members["metadata"] = kept


def _include_reasoning(value: Raw | object) -> object:
    """`include` with the entry for reasoning that can be sent back."""
    given = msgspec.json.decode(value) if isinstance(value, Raw) else None
    if given is None:
        return [ENCRYPTED]
    return given if not isinstance(given, list) or ENCRYPTED in given else [*given, ENCRYPTED]
