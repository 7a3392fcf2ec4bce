"""The top members of a JSON object, each as its own bytes: read one by one, edited while all others keep theirs."""

from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec
from msgspec import Raw

from sekisho.dialects.common.fields import decode_body

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode
_Fields = TypeVar("_Fields")


def read_members(body: bytes) -> dict[str, Raw]:
    """The members of an object by name. Of members with the same name the last one counts.

    Raises InvalidRequest when the body is no JSON object.
    """
    try:
        return _decode(body)
    except _UNREADABLE:
        decode_body(body)  # says what is wrong with it
        raise


def write_members(members: Mapping[str, Raw | object]) -> bytes:
    """The object again. A value that is not raw is encoded."""
    return _encode(members)


def decode_members(members: Mapping[str, Raw]) -> dict[str, object]:
    """The values of members. Raises InvalidRequest for one that is not JSON, or nested too deeply."""
    return decode_body(_encode(members))


class MemberReader(Generic[_Fields]):
    """Reads the members that the struct `kind` names, without looking at any other, however large.

    What a client may get wrong must be an `object` there.
    """

    def __init__(self, kind: type[_Fields]) -> None:
        self.names = frozenset(field.encode_name for field in msgspec.structs.fields(kind))  # type: ignore[arg-type]
        self._decode = msgspec.json.Decoder(kind).decode

    def read(self, members: Mapping[str, Raw], body: bytes) -> _Fields:
        """The struct, from the members of `body`. Raises InvalidRequest for a member that is not JSON."""
        some = _encode({name: raw for name, raw in members.items() if name in self.names})
        try:
            return self._decode(some)
        except _UNREADABLE:
            decode_body(body)  # says what is wrong with it
            raise
