"""Requests of Converse's own clients, passed on with no more edits than Converse demands."""

from collections.abc import Callable, Mapping, MutableMapping
from typing import TypeVar

import msgspec
from msgspec import Raw

from sekisho.core.chat import ClientCall
from sekisho.core.errors import InvalidRequest
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WireRequest, WriteOptions
from sekisho.dialects.common.bedrock_metadata import MAX_PAIRS, write_metadata
from sekisho.dialects.common.members import read_members, write_members
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.wishes import is_gateway_field

_ADDITIONAL = "additionalModelRequestFields"
_BETAS = "anthropic_beta"
_METADATA = "requestMetadata"
_CACHE_POINT = b'"cachePoint"'

_T = TypeVar("_T")

_decode_pairs = msgspec.json.Decoder(dict[str, str] | None).decode
_decode_betas = msgspec.json.Decoder(list[str] | None).decode
_decode_additional = msgspec.json.Decoder(dict[str, Raw] | None).decode
_encode = msgspec.json.Encoder().encode


def pass_request(call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest | None:
    """Pass on the body of a Converse client. What is edited: the gateway's own fields, betas, and the metadata.

    None when it has cache points and the model is known not to take any.

    Raises:
        InvalidRequest: One of the edited fields is not what Converse says it is.
    """
    # Bedrock would say that access is denied, as if the deployment were at fault.
    if facts.family != "unknown" and not facts.cache and _CACHE_POINT in call.body:
        return None
    members = read_members(call.body)
    notes = Omissions(drop_params=options.drop_params)
    _remove_gateway_fields(members)
    _filter_betas(members, facts, notes)
    _add_metadata(members, options.metadata, notes)
    return WireRequest(body=write_members(members), dropped=notes.fields, native=True)


def pass_count_request(call: ClientCall) -> WireRequest:
    """Pass on the body of a CountTokens client, without the gateway's own fields."""
    members = read_members(call.body)
    _remove_gateway_fields(members)
    return WireRequest(body=write_members(members), native=True)


def _remove_gateway_fields(members: MutableMapping[str, Raw]) -> None:
    # Converse's own field is `requestMetadata`: one named `metadata` is LiteLLM's.
    for name in [name for name in members if is_gateway_field(name) or name == "metadata"]:
        del members[name]


def _filter_betas(members: MutableMapping[str, Raw], facts: ModelFacts, notes: Omissions) -> None:
    """Take out the betas that the upstream would refuse the whole request for."""
    if facts.betas is None or _ADDITIONAL not in members:
        return
    additional = _read(members, _ADDITIONAL, _decode_additional)
    if not additional or _BETAS not in additional:
        return
    wanted = _read(additional, _BETAS, _decode_betas) or []
    allowed = [beta for beta in wanted if beta in facts.betas]
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
    theirs = _read(members, _METADATA, _decode_pairs)
    kept = [(name, value) for name, value in (theirs or {}).items() if name not in added]
    room = MAX_PAIRS - len(added)
    if len(kept) > room:
        notes.drop(_METADATA)
    members[_METADATA] = Raw(_encode(dict(kept[:room]) | added))


def _read(members: Mapping[str, Raw], name: str, decode: Callable[[bytes], _T]) -> _T | None:
    """A member's value; None when it is not there."""
    if name not in members:
        return None
    try:
        return decode(bytes(members[name]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"`{name}` is not what Converse takes: {error}.", param=name) from error
