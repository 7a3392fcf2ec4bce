"""How a conversation's bodies end: with members that stay the same, as an agent's tools, behind some that do not."""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Raw

from sekisho.core.beginnings import Tail

_SHORTEST: Final = 1024
"""Bytes that a part of a tail is worth being known from."""
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode


def find_tail(before: Tail | None, text: bytes, names: Iterable[str]) -> Tail:
    """What is known from now on of how the bodies of a conversation end.

    Args:
        before: What was known.
        text: How the last one ended, from the bracket behind its turns on.
        names: Of the members in it.
    """
    if before is not None:
        same = _count_same(before.text, text)
        for name in names if same >= _SHORTEST else ():
            at = text.find(b',"%b":' % name.encode(), len(text) - same)
            if 0 <= at <= len(text) - _SHORTEST and _is_between_members(text, at):
                return Tail(memoryview(text[at:]))
    return Tail(memoryview(text))


def _count_same(before: memoryview, text: bytes) -> int:
    """How many of the last bytes are the same."""
    least, most = 0, min(len(before), len(text))
    while least < most:
        middle = (least + most + 1) // 2
        if text.endswith(before[-middle:]):
            least = middle
        else:
            most = middle - 1
    return least


def _is_between_members(text: bytes, at: int) -> bool:
    """Whether the outermost object could end there."""
    try:
        _decode_members(b'{"":[%b}' % text[:at])
    except _UNREADABLE:
        return False
    return True
