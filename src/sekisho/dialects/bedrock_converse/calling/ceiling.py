"""The gateway's own output limit in the body of a Converse client, and what of the client's wishes it forbids."""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from sekisho.core.errors import InvalidRequest
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.reasoning import cut_thinking

_INFERENCE: Final = "inferenceConfig"
_LIMIT: Final = "maxTokens"
_ADDITIONAL: Final = "additionalModelRequestFields"
_CLAUDES: Final = ("thinking", "reasoning_config")
"""Claude's thinking, by the names that Bedrock takes for it."""
_NOVAS: Final = "reasoningConfig"
_EFFORT: Final = "maxReasoningEffort"

_Json = dict[str, object]
_T = TypeVar("_T")

_decode_object = msgspec.json.Decoder(_Json | None).decode
_decode_members = msgspec.json.Decoder(dict[str, Raw] | None).decode
_encode = msgspec.json.Encoder().encode


def limit_output(members: MutableMapping[str, Raw], ceiling: int, notes: Omissions) -> None:
    """Let the model write `ceiling` tokens at most, or as few as the client wants.

    Raises:
        InvalidRequest: What is to be edited is not what Converse says it is.
    """
    inference = read_member(members, _INFERENCE, _decode_members) or {}
    told = read_member(inference, _LIMIT, msgspec.json.decode)
    if isinstance(told, int) and told <= ceiling:
        return
    inference[_LIMIT] = Raw(_encode(ceiling))
    members[_INFERENCE] = Raw(_encode(inference))
    _cut_reasoning(members, ceiling, notes)


def _cut_reasoning(members: MutableMapping[str, Raw], ceiling: int, notes: Omissions) -> None:
    additional = read_member(members, _ADDITIONAL, _decode_members)
    if not additional:
        return
    for name in [name for name in (*_CLAUDES, _NOVAS) if name in additional]:
        wish = read_member(additional, name, _decode_object)
        cut = wish and (_lower_effort(wish, notes) if name == _NOVAS else cut_thinking(wish, ceiling))
        if cut == wish:
            continue
        if cut:
            additional[name] = Raw(_encode(cut))
        else:
            del additional[name]
            notes.drop(name)
    if additional:
        members[_ADDITIONAL] = Raw(_encode(additional))
    else:
        del members[_ADDITIONAL]


def _lower_effort(wish: _Json, notes: Omissions) -> _Json:
    """Nova 2 takes no output limit with its highest effort."""
    if wish.get(_EFFORT) != "high":
        return wish
    notes.drop(f"{_NOVAS}.{_EFFORT}")
    return {**wish, _EFFORT: "medium"}


def read_member(members: Mapping[str, Raw], name: str, decode: Callable[[bytes], _T]) -> _T | None:
    """A member's value; None when it is not there. Raises InvalidRequest."""
    if name not in members:
        return None
    try:
        return decode(bytes(members[name]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"`{name}` is not what Converse takes: {error}.", param=name) from error
