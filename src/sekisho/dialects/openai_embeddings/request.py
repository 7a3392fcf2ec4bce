"""Reads a request for embeddings: its envelope, and its texts."""

from collections.abc import Mapping
from functools import partial
from typing import Final, Literal

from msgspec import Raw

from sekisho.core.chat import ClientCall, EmbeddingRequest
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.core.wire import Inbound
from sekisho.dialects.common.fields import (
    read_choice,
    read_integer,
    read_name,
    read_text,
    refuse_deep_nesting,
    wrong_type,
)
from sekisho.dialects.common.members import MemberReader, decode_members
from sekisho.dialects.common.openai_envelope import EnvelopeFields, read_body
from sekisho.dialects.common.wishes import is_gateway_field, read_optional, read_wishes

Encoding = Literal["float", "base64"]

FAMILY = "openai_embeddings"
_ENCODINGS: Final[tuple[Encoding, ...]] = ("float", "base64")
# fmt: off
_READ_FIELDS: Final = frozenset({
    "model", "input", "dimensions", "input_type", "encoding_format", "user", "metadata", "stream", "stream_options",
})
# fmt: on


class _Envelope(EnvelopeFields):
    encoding_format: object = None


_envelope: Final = MemberReader(_Envelope)


def read_call(inbound: Inbound) -> ClientCall:
    """Reads the envelope of a request. Raises InvalidRequest naming the field."""
    body, members = read_body(inbound.body)
    envelope = _envelope.read(members, body)
    read_encoding(members, body)
    return ClientCall(
        model=inbound.model or read_optional(envelope.model, "model", read_text) or None,
        body=body,
        members=members,
        family=FAMILY,
        path=inbound.endpoint.path,
        read=partial(read_texts, members),
        end_user=read_optional(envelope.user, "user", read_text) or None,
        **read_wishes(members, body, envelope.model),
    )


def read_texts(members: Mapping[str, Raw]) -> EmbeddingRequest:
    """Reads a whole body. `input_type` is no field of OpenAI's, but LiteLLM's clients send it to models that have it.

    Raises:
        InvalidRequest: A field is missing or of the wrong type.
        Unsupported: The input is given in tokens, which only upstreams that speak the same format take.
    """
    fields = decode_members(members)
    extras = {
        name: value
        for name, value in fields.items()
        if value is not None and name not in _READ_FIELDS and not is_gateway_field(name)
    }
    refuse_deep_nesting(extras, "request_body")
    return EmbeddingRequest(
        inputs=_read_inputs(fields.get("input")),
        dimensions=read_optional(fields.get("dimensions"), "dimensions", _read_positive),
        input_type=read_optional(fields.get("input_type"), "input_type", read_name),
        extras=extras,
    )


def read_encoding(members: Mapping[str, Raw], body: bytes) -> Encoding:
    """How the client wants its vectors: as numbers, or as base64 of them, which OpenAI's SDK asks for unasked."""
    value = _envelope.read(members, body).encoding_format
    return "float" if value is None else read_choice(value, "encoding_format", _ENCODINGS)


def _read_inputs(value: object) -> list[str]:
    if isinstance(value, str):
        return [read_name(value, "input")]
    if not isinstance(value, list):
        raise wrong_type(value, "input", "a string or an array of strings")
    if not value:
        raise InvalidRequest("`input` is empty: send at least one text.", param="input")
    if all(isinstance(item, int | list) for item in value):
        raise Unsupported("`input`: the model takes texts, not tokens.", param="input")
    return [read_name(item, f"input[{index}]") for index, item in enumerate(value)]


def _read_positive(value: object, path: str) -> int:
    return read_integer(value, path, minimum=1)
