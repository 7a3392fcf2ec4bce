"""Reads of a Responses request what concerns the gateway. The conversation is read only when it is needed."""

from functools import partial

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import ClientCall, Opening
from sekisho.core.wire import Inbound
from sekisho.dialects.common.fields import decode_body, read_flag, read_object, read_text
from sekisho.dialects.common.members import read_members, write_members
from sekisho.dialects.common.wishes import WishFields, read_optional, read_wishes
from sekisho.dialects.openai_responses.names import COMPACT, COUNT, FAMILY, TRIGGER
from sekisho.dialects.openai_responses.serving.request import read_chat, read_positive


class Item(Struct):
    """What of an item of `input` tells how the conversation begins, and what it refers to."""

    type: object = None
    id: object = None
    role: object = None
    content: Raw = Raw(b"null")


class _Envelope(WishFields):
    model: object = None
    input: str | list[Item] | None = None
    instructions: object = None
    max_output_tokens: object = None
    stream: object = None
    user: object = None
    safety_identifier: object = None
    prompt_cache_key: object = None
    previous_response_id: object = None
    store: object = None
    extra_body: object = None


class _Part(Struct):
    text: object = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_content = msgspec.json.Decoder(str | list[_Part] | None).decode


def read_call(inbound: Inbound) -> ClientCall:
    """Reads the envelope of a request. Raises InvalidRequest naming the field.

    Fields that a client wrapped in `extra_body` count as if it had sent them beside the others, which win.
    """
    body, path = inbound.body, inbound.endpoint.path
    envelope = _read_envelope(body)
    if envelope.extra_body is not None:
        read_object(envelope.extra_body, "extra_body")
        members = read_members(body)
        body = write_members(read_members(bytes(members.pop("extra_body"))) | members)
        envelope = _read_envelope(body)
    wishes = read_wishes(envelope)
    wishes["session_id"] = wishes["session_id"] or _read_optional_text(envelope, "prompt_cache_key")
    stores = read_optional(envelope.store, "store", read_flag)
    call = ClientCall(
        model=inbound.model or _read_optional_text(envelope, "model"),
        body=body,
        family=FAMILY,
        path=path,
        read=partial(read_chat, body, path),
        max_output_tokens=read_optional(envelope.max_output_tokens, "max_output_tokens", read_positive),
        stream=not path.endswith((COMPACT, COUNT)) and bool(read_optional(envelope.stream, "stream", read_flag)),
        include_usage=True,
        end_user=_read_optional_text(envelope, "user") or _read_optional_text(envelope, "safety_identifier"),
        continues=_read_optional_text(envelope, "previous_response_id"),
        stores=stores is not False and not path.endswith((COMPACT, COUNT)),
        **wishes,
    )
    bind_body(call, body, envelope)
    return call


def bind_body(call: ClientCall, body: bytes, envelope: _Envelope | None = None) -> None:
    """Makes `body` the call's own, and what is read of it."""
    envelope = envelope or _read_envelope(body)
    call.body = body
    call.read = partial(read_chat, body, call.path)
    call.known = None
    call.opening = _read_opening(envelope)


def is_compacting(call: ClientCall) -> bool:
    """Whether the call asks for its conversation to be compacted, by its path or, as Codex does, by its last item."""
    if call.path.endswith(COMPACT):
        return True
    if TRIGGER.encode() not in call.body:
        return False
    items = read_items(call.body)
    return bool(items) and items[-1].type == TRIGGER


def read_items(body: bytes) -> list[Item]:
    """The items of `input`, as far as they can be read."""
    items = _read_envelope(body).input
    return items if isinstance(items, list) else []


def _read_envelope(body: bytes) -> _Envelope:
    try:
        return _decode_envelope(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fields = decode_body(body)
    # It is JSON, so what did not fit is the input: reading the conversation will tell where.
    fields.pop("input", None)
    return msgspec.convert(fields, _Envelope)


def _read_optional_text(envelope: _Envelope, name: str) -> str | None:
    return read_optional(getattr(envelope, name), name, read_text) or None


def _read_opening(envelope: _Envelope) -> Opening:
    """The instructions and the texts of all system messages before the first user message, and that one's."""
    system = [envelope.instructions] if isinstance(envelope.instructions, str) else []
    if isinstance(envelope.input, str):
        return Opening("\n".join(system), envelope.input)
    for item in envelope.input or ():
        if item.role in ("system", "developer"):
            system.append(_read_texts(item.content))
        elif item.role == "user":
            return Opening("\n".join(system), _read_texts(item.content))
    return Opening("\n".join(system))


def _read_texts(content: Raw) -> str:
    """The text in the content of a message; empty when it is not as it should be, which is for `read_chat` to say."""
    try:
        decoded = _decode_content(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    if isinstance(decoded, str):
        return decoded
    return "\n".join(part.text for part in decoded or () if isinstance(part.text, str) and part.text)
