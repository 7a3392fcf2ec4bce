"""Reads of a Responses request what concerns the gateway. The conversation is read only when it is needed."""

from functools import partial

from sekisho.core.chat import ClientCall, Opening
from sekisho.core.wire import Inbound
from sekisho.dialects.common.fields import read_flag, read_text
from sekisho.dialects.common.openai_envelope import EnvelopeFields, Turn, decode_envelope, read_envelope, read_opening
from sekisho.dialects.common.wishes import read_optional, read_wishes
from sekisho.dialects.openai_responses.names import COMPACT, COUNT, FAMILY, TRIGGER
from sekisho.dialects.openai_responses.serving.request import read_chat, read_positive


class Item(Turn):
    """What of an item of `input` tells how the conversation begins, and what it refers to."""

    type: object = None
    id: object = None


class _Envelope(EnvelopeFields):
    input: str | list[Item] | None = None
    instructions: object = None
    max_output_tokens: object = None
    safety_identifier: object = None
    prompt_cache_key: object = None
    previous_response_id: object = None
    store: object = None


def read_call(inbound: Inbound) -> ClientCall:
    """Reads the envelope of a request. Raises InvalidRequest naming the field.

    Fields that a client wrapped in `extra_body` count as if it had sent them beside the others, which win.
    """
    path = inbound.endpoint.path
    envelope, body = read_envelope(inbound.body, _Envelope, loose="input")
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
    envelope = envelope or decode_envelope(body, _Envelope, "input")
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
    items = decode_envelope(body, _Envelope, "input").input
    return items if isinstance(items, list) else []


def _read_optional_text(envelope: _Envelope, name: str) -> str | None:
    return read_optional(getattr(envelope, name), name, read_text) or None


def _read_opening(envelope: _Envelope) -> Opening:
    """The instructions and the texts of all system messages before the first user message, and that one's."""
    system = [envelope.instructions] if isinstance(envelope.instructions, str) else []
    if isinstance(envelope.input, str):
        return Opening("\n".join(system), envelope.input)
    return read_opening(envelope.input or (), system)
