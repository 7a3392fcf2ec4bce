"""What the bodies of OpenAI's formats have in common around the question: read for us, edited for upstreams."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Raw, Struct

from sekisho.core.beginnings import Beginning
from sekisho.core.chat import ClientCall, Opening
from sekisho.core.wire import WriteOptions
from sekisho.dialects.common.beginnings import beginnings
from sekisho.dialects.common.fields import read_flag, read_object
from sekisho.dialects.common.members import read_members, write_members
from sekisho.dialects.common.opening import read_first_turns, read_texts
from sekisho.dialects.common.wishes import leave_out_gateway_fields, read_optional


class EnvelopeFields(Struct):
    """The small members of a body that all of them have; dialects add their own."""

    model: object = None
    stream: object = None
    stream_options: object = None
    user: object = None


def read_body(body: bytes) -> tuple[bytes, dict[str, Raw]]:
    """A request's body and its members, in which fields wrapped in `extra_body` stand beside the others.

    Those that stood there already win.

    Raises:
        InvalidRequest: The body is no JSON object.
    """
    members = read_members(body)
    return (_unwrap(members), members) if "extra_body" in members else (body, members)


def read_conversation(body: bytes, name: str) -> tuple[bytes, dict[str, Raw], Beginning | None]:
    """As `read_body`; and what is known of how a body begins whose conversation is the member called `name`."""
    members, known = beginnings.read(body, name)
    return (_unwrap(members), members, None) if "extra_body" in members else (body, members, known)


def _unwrap(members: dict[str, Raw]) -> bytes:
    """The body whose `members` are put beside those of their `extra_body`."""
    extra = bytes(members.pop("extra_body"))
    if read_optional(msgspec.json.decode(extra), "extra_body", read_object):
        wrapped = read_members(extra)
        wrapped.pop("extra_body", None)
        for name, raw in wrapped.items():
            members.setdefault(name, raw)
    return write_members(members)


def read_answers(value: object) -> int:
    """How many of something are asked for, at least one. What is wrong with a value is for the upstream to say."""
    return value if isinstance(value, int) and value > 1 else 1


def read_include_usage(envelope: EnvelopeFields) -> bool:
    """Whether a stream is to end with a usage chunk."""
    if envelope.stream_options is None:
        return False
    options = read_object(envelope.stream_options, "stream_options")
    return read_optional(options.get("include_usage"), "stream_options.include_usage", read_flag) or False


def read_opening(conversation: Raw | None, system: Iterable[str] = (), known: Beginning | None = None) -> Opening:
    """How an array of messages begins: the texts of the system messages before the user's first, and of that one.

    Those of `system` come before all others. What is not as it should be is empty; the whole's reader will say so.
    """
    texts = list(system)
    for turn in read_first_turns(conversation, known):
        if turn.role in ("system", "developer"):
            texts.append(_join_texts(turn.content))
        elif turn.role == "user":
            return Opening("\n".join(texts), _join_texts(turn.content))
    return Opening("\n".join(texts))


def _join_texts(content: object) -> str:
    return content if isinstance(content, str) else "\n".join(read_texts(content))


def edit_members(call: ClientCall, options: WriteOptions) -> dict[str, Raw | object]:
    """The members of a call's body as they are passed on: each with its own bytes unless it must be edited.

    The model is the upstream's, what concerns the gateway alone is gone, and of streams the usage is asked. `metadata`
    go only with an answer that OpenAI is to store, since it refuses them otherwise.
    """
    members: dict[str, Raw | object] = {**leave_out_gateway_fields(call.members)}
    if "metadata" in members and not _is_true(members.get("store")):
        del members["metadata"]
    members["model"] = options.model
    if call.stream and not call.include_usage:
        members["stream_options"] = _ask_for_usage(members.get("stream_options"))
    return members


def limit_output(members: dict[str, Raw | object], names: Sequence[str], preferred: str, ceiling: int) -> None:
    """Let no answer be longer than `ceiling` tokens: limits under any of `names` are lowered.

    The limit is said under the name `preferred` in any case, for a server may not know the others.
    """
    told = {name: limit for name in names if name in members and (limit := _read_limit(members[name])) is not None}
    lowest = min(ceiling, *told.values()) if told else ceiling
    members |= dict.fromkeys((*told, preferred), lowest)


def _read_limit(value: Raw | object) -> int | None:
    limit = msgspec.json.decode(value) if isinstance(value, Raw) else value
    return limit if isinstance(limit, int) and limit > 0 else None


def _is_true(value: Raw | object) -> bool:
    return isinstance(value, Raw) and bytes(value) == b"true"


def _ask_for_usage(options: Raw | object) -> dict[str, object]:
    known = msgspec.json.decode(options, type=dict[str, Raw] | None) if isinstance(options, Raw) else None
    return {**(known or {}), "include_usage": True}
