"""Requests of Converse's own clients, passed on with no more edits than Converse demands."""

import re
from collections.abc import Mapping, MutableMapping
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import ClientCall
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WireRequest, WriteOptions
from sekisho.dialects.bedrock_converse.calling.ceiling import limit_output, read_member
from sekisho.dialects.bedrock_converse.forms import allow_betas
from sekisho.dialects.common.bedrock_metadata import MAX_PAIRS, write_metadata
from sekisho.dialects.common.beginnings import look_through
from sekisho.dialects.common.digests import digest_passed
from sekisho.dialects.common.members import write_members
from sekisho.dialects.common.names import is_allowed_name
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.sealed import has_sealed_signature
from sekisho.dialects.common.wishes import leave_out_gateway_fields

_ADDITIONAL = "additionalModelRequestFields"
_BETAS = "anthropic_beta"
_METADATA = "requestMetadata"
_CACHE_POINT = b'"cachePoint"'
_EMPTY_CONTENT = re.compile(rb'"content"\s*:\s*\[\s*\]')

_T = TypeVar("_T")


class _Spec(Struct):
    name: str = ""


class _Tool(Struct, rename="camel"):
    tool_spec: _Spec | None = None


class _Tools(Struct):
    tools: list[_Tool] = []


class _Result(Struct):
    content: list[Raw] | None = None


class _Block(Struct, rename="camel"):
    tool_result: _Result | None = None


class _Turn(Struct):
    content: list[_Block] = []


_decode_pairs = msgspec.json.Decoder(dict[str, str] | None).decode
_decode_betas = msgspec.json.Decoder(list[str] | None).decode
_decode_additional = msgspec.json.Decoder(dict[str, Raw] | None).decode
_decode_turns = msgspec.json.Decoder(list[_Turn]).decode
_decode_tools = msgspec.json.Decoder(_Tools | None).decode
_encode = msgspec.json.Encoder().encode


def pass_request(call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest | None:
    """Pass on the body of a Converse client.

    What is edited: the gateway's own fields, betas, the metadata, and what a ceiling on the output demands.

    None when it has to be translated: there are cache points and the model is known not to take any, or tool names or
    results without content, which Converse refuses, or reasoning of another vendor's.

    Raises:
        InvalidRequest: One of the edited fields is not what Converse says it is.
    """
    # Bedrock would say that access is denied, as if the deployment were at fault.
    if facts.family != "unknown" and not facts.cache and call.mentions(_CACHE_POINT):
        return None
    members = _leave_out_gateway_fields(call.members)
    if has_sealed_signature(call) or not _takes_tool_names(members.get("toolConfig")):
        return None
    if look_through(members.get("messages", Raw(b"[]")), call.beginning, _has_empty_result):
        return None
    notes = Omissions(drop_params=options.drop_params)
    _filter_betas(members, facts, notes)
    _add_metadata(members, options.metadata, notes)
    if options.ceiling is not None:
        limit_output(members, options.ceiling, notes)
    body = write_members(members)
    return WireRequest(body=body, digest=digest_passed(call, members, body), dropped=notes.fields, native=True)


def _takes_tool_names(config: Raw | None) -> bool:
    try:
        told = _decode_tools(config or b"null")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return True  # Converse will say what is wrong with it
    return all(is_allowed_name(tool.tool_spec.name) for tool in (told or _Tools()).tools if tool.tool_spec)


def _has_empty_result(messages: bytes) -> bool:
    if _EMPTY_CONTENT.search(messages) is None:
        return False
    try:
        turns = _decode_turns(messages)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False  # Converse will say what is wrong with it
    results = [block.tool_result for turn in turns for block in turn.content]
    return any(result is not None and result.content == [] for result in results)


def pass_count_request(call: ClientCall) -> WireRequest:
    """Pass on the body of a CountTokens client, without the gateway's own fields."""
    return WireRequest(body=write_members(_leave_out_gateway_fields(call.members)), native=True)


def _leave_out_gateway_fields(given: Mapping[str, Raw]) -> dict[str, Raw]:
    members = leave_out_gateway_fields(given)
    members.pop("metadata", None)  # Converse's own field is `requestMetadata`: one of this name is LiteLLM's
    return members


def _filter_betas(members: MutableMapping[str, Raw], facts: ModelFacts, notes: Omissions) -> None:
    """Take out the betas that the upstream would refuse the whole request for."""
    if _ADDITIONAL not in members:
        return
    additional = read_member(members, _ADDITIONAL, _decode_additional)
    if not additional or _BETAS not in additional:
        return
    wanted = read_member(additional, _BETAS, _decode_betas) or []
    allowed = allow_betas(wanted, facts)
    if allowed == wanted:
        return
    notes.drop(_BETAS)
    if allowed:
        additional[_BETAS] = Raw(_encode(allowed))
    else:
        del additional[_BETAS]
    if additional:
        members[_ADDITIONAL] = Raw(_encode(additional))
    else:
        del members[_ADDITIONAL]


def _add_metadata(members: MutableMapping[str, Raw], ours: Mapping[str, str], notes: Omissions) -> None:
    """Add the gateway's pairs to the client's. Ours go before where both have a name, or there are too many."""
    added = write_metadata(ours)
    if not added:
        return
    theirs = read_member(members, _METADATA, _decode_pairs)
    kept = [(name, value) for name, value in (theirs or {}).items() if name not in added]
    room = MAX_PAIRS - len(added)
    if len(kept) > room:
        notes.drop(_METADATA)
    members[_METADATA] = Raw(_encode(dict(kept[:room]) | added))
