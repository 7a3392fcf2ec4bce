"""Editing the top members of a JSON object while every other member keeps its bytes."""

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from sekisho.core.errors import InvalidRequest

_decode = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


def read_members(body: bytes) -> dict[str, Raw]:
    """The members of an object by name, each as its own bytes. Of members with the same name the last one counts.

    Raises InvalidRequest when the body is no JSON object.
    """
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The request body is not a JSON object: {error}.", param="request_body") from error


def write_members(members: Mapping[str, Raw | object]) -> bytes:
    """The object again. A value that is not raw is encoded."""
    return _encode(members)
