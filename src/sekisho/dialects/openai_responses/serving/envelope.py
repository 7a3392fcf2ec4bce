"""Reads of a Responses request what concerns the gateway. The conversation is read only when it is needed."""

from collections.abc import Mapping
from functools import partial
from typing import Final

import msgspec
from msgspec import Raw, Struct

from sekisho.core.beginnings import Beginning
from sekisho.core.chat import ClientCall, Opening
from sekisho.core.wire import Inbound
from sekisho.dialects.common.fields import read_flag, read_text
from sekisho.dialects.common.members import MemberReader, decode_members
from sekisho.dialects.common.openai_envelope import EnvelopeFields, read_conversation, read_opening
from sekisho.dialects.common.wishes import read_optional, read_wishes
from sekisho.dialects.openai_responses.names import COMPACT, COUNT, FAMILY, TRIGGER
from sekisho.dialects.openai_responses.serving.request import read_chat, read_positive


class Item(Struct):
    """What of an item of `input` tells what it refers to."""

    role: object = None
    type: object = None
    id: object = None


class _Envelope(EnvelopeFields):
    instructions: object = None
    max_output_tokens: object = None
    safety_identifier: object = None
    prompt_cache_key: object = None
    previous_response_id: object = None
    store: object = None


_envelope: Final = MemberReader(_Envelope)
_decode_items = msgspec.json.Decoder(list[Item]).decode


def read_call(inbound: Inbound) -> ClientCall:
    """Reads the envelope of a request. Raises InvalidRequest naming the field.

    Fields that a client wrapped in `extra_body` count as if it had sent them beside the others, which win.
    """
    path = inbound.endpoint.path
    body, members, known = read_conversation(inbound.body, "input")
    envelope = _envelope.read(members, body)
    wishes = read_wishes(members, body, envelope.model)
    wishes["session_id"] = wishes.get("session_id") or _read_optional_text(envelope, "prompt_cache_key")
    stores = read_optional(envelope.store, "store", read_flag)
    return ClientCall(
        model=inbound.model or _read_optional_text(envelope, "model"),
        body=body,
        members=members,
        beginning=known,
        family=FAMILY,
        path=path,
        read=partial(read_chat, members, path, known),
        opening=_read_opening(members, envelope.instructions, known),
        max_output_tokens=read_optional(envelope.max_output_tokens, "max_output_tokens", read_positive),
        stream=not path.endswith((COMPACT, COUNT)) and bool(read_optional(envelope.stream, "stream", read_flag)),
        include_usage=True,
        end_user=_read_optional_text(envelope, "user") or _read_optional_text(envelope, "safety_identifier"),
        continues=_read_optional_text(envelope, "previous_response_id"),
        stores=stores is not False and not path.endswith((COMPACT, COUNT)),
        **wishes,
    )


def bind_body(call: ClientCall, body: bytes) -> None:
    """Makes `body` the call's own, and what is read of it."""
    call.body, call.members, call.beginning = read_conversation(body, "input")
    call.read = partial(read_chat, call.members, call.path, call.beginning)
    call.known = None
    call.opening = _read_opening(call.members, _envelope.read(call.members, body).instructions, call.beginning)


def is_compacting(call: ClientCall) -> bool:
    """Whether the call asks for its conversation to be compacted, by its path or, as Codex does, by its last item."""
    if call.path.endswith(COMPACT):
        return True
    if not call.mentions(TRIGGER.encode()):
        return False
    items = read_items(call)
    return bool(items) and items[-1].type == TRIGGER


def read_items(call: ClientCall) -> list[Item]:
    """The items of `input`; none where they cannot be read."""
    try:
        return _decode_items(call.members.get("input", b"[]"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []


def _read_optional_text(envelope: _Envelope, name: str) -> str | None:
    return read_optional(getattr(envelope, name), name, read_text) or None


def _read_opening(members: Mapping[str, Raw], instructions: object, known: Beginning | None) -> Opening:
    """The instructions and the texts of all system messages before the first user message, and that one's."""
    system = [instructions] if isinstance(instructions, str) else []
    given = members.get("input")
    if given is not None and bytes(memoryview(given)[:1]) == b'"':
        return Opening("\n".join(system), str(decode_members({"input": given})["input"]))
    return read_opening(given, system, known)
