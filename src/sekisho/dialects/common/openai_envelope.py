"""What the bodies of OpenAI's formats have in common around the question: read for us, edited for upstreams."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from sekisho.core.chat import ClientCall, Opening
from sekisho.core.wire import WriteOptions
from sekisho.dialects.common.fields import decode_body, read_flag, read_object
from sekisho.dialects.common.members import read_members, write_members
from sekisho.dialects.common.wishes import WishFields, is_gateway_field, read_optional


class EnvelopeFields(WishFields):
    """The members of a body that all of them have; dialects add their own."""

    model: object = None
    stream: object = None
    stream_options: object = None
    user: object = None
    extra_body: object = None


class Turn(Struct):
    """A message of a conversation, as far as attribution looks at it."""

    role: object = None
    content: Raw = Raw(b"null")


class _Part(Struct):
    text: object = None


_decode_content = msgspec.json.Decoder(str | list[_Part] | None).decode
_Envelope = TypeVar("_Envelope", bound=EnvelopeFields)


def read_envelope(body: bytes, kind: type[_Envelope], *, loose: str = "") -> tuple[_Envelope, bytes]:
    """The envelope of a request and its body, in which fields wrapped in `extra_body` stand beside the others.

    Those that stood there already win. `loose` names a member whose type `kind` states and the client may get wrong:
    it is left out then, for the reader of the whole body to say what is wrong with it.

    Raises:
        InvalidRequest: The body is no JSON object.
    """
    envelope = decode_envelope(body, kind, loose)
    if envelope.extra_body is None:
        return envelope, body
    read_object(envelope.extra_body, "extra_body")
    members = read_members(body)
    wrapped = read_members(bytes(members.pop("extra_body")))
    wrapped.pop("extra_body", None)
    body = write_members(wrapped | members)
    return decode_envelope(body, kind, loose), body


def decode_envelope(body: bytes, kind: type[_Envelope], loose: str) -> _Envelope:
    """The envelope as `read_envelope` has it, of a body in which nothing is wrapped."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        fields = decode_body(body)
    fields.pop(loose, None)
    return msgspec.convert(fields, kind)


def read_answers(value: object) -> int:
    """How many of something are asked for, at least one. What is wrong with a value is for the upstream to say."""
    return value if isinstance(value, int) and value > 1 else 1


def read_include_usage(envelope: EnvelopeFields) -> bool:
    """Whether a stream is to end with a usage chunk."""
    options = read_optional(envelope.stream_options, "stream_options", read_object) or {}
    return read_optional(options.get("include_usage"), "stream_options.include_usage", read_flag) or False


def read_opening(turns: Iterable[Turn], system: Iterable[str] = ()) -> Opening:
    """The texts of all system messages before the first user message, after those of `system`, and of that one."""
    texts = list(system)
    for turn in turns:
        if turn.role in ("system", "developer"):
            texts.append(_read_texts(turn.content))
        elif turn.role == "user":
            return Opening("\n".join(texts), _read_texts(turn.content))
    return Opening("\n".join(texts))


def _read_texts(content: Raw) -> str:
    """The text in the content of a message; empty when it is not as it should be, which the whole's reader will say."""
    try:
        decoded = _decode_content(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    if isinstance(decoded, str):
        return decoded
    return "\n".join(part.text for part in decoded or () if isinstance(part.text, str) and part.text)


def edit_members(call: ClientCall, options: WriteOptions) -> dict[str, Raw | object]:
    """The members of a call's body as they are passed on: each with its own bytes unless it must be edited.

    The model is the upstream's, what concerns the gateway alone is gone, and of streams the usage is asked. `metadata`
    go only with an answer that OpenAI is to store, since it refuses them otherwise.
    """
    members: dict[str, Raw | object] = dict(read_members(call.body))
    for name in [name for name in members if is_gateway_field(name)]:
        del members[name]
    if not _is_true(members.get("store")):
        members.pop("metadata", None)
    members["model"] = options.model
    if call.stream and not call.include_usage:
        members["stream_options"] = _ask_for_usage(members.get("stream_options"))
    return members


def limit_output(members: dict[str, Raw | object], names: Sequence[str], preferred: str, ceiling: int) -> None:
    """Let no answer be longer than `ceiling` tokens: limits under any of `names` are lowered.

    The limit is said under the name `preferred` in any case, for a server may not know the others.
    """
    told = [limit for name in names if (limit := _read_limit(members.get(name))) is not None]
    for name in names:
        if name == preferred or _read_limit(members.get(name)) is not None:
            members[name] = min(ceiling, *told) if told else ceiling


def _read_limit(value: Raw | object) -> int | None:
    limit = msgspec.json.decode(value) if isinstance(value, Raw) else value
    return limit if isinstance(limit, int) and limit > 0 else None


def _is_true(value: Raw | object) -> bool:
    return isinstance(value, Raw) and bytes(value) == b"true"


def _ask_for_usage(options: Raw | object) -> dict[str, object]:
    known = msgspec.json.decode(options, type=dict[str, Raw] | None) if isinstance(options, Raw) else None
    return {**(known or {}), "include_usage": True}
