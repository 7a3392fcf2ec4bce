"""Identifiers that sort by the time they were made (UUID version 7, RFC 9562 section 5.7)."""

from random import Random
from typing import Final

_random: Final = Random()  # noqa: S311  # ids are no secrets: they must only differ; it is seeded by the system
_FORM: Final = "%08x-%04x-7%03x-%04x-%012x"
"""With the version; the variant makes the fourth part begin with 8 to b."""


def new_id(now: float) -> str:
    """A fresh UUIDv7 in its 36-character form, for the wall-clock time `now` in seconds."""
    milliseconds, bits = int(now * 1000), _random.getrandbits
    time, rest = milliseconds >> 16 & 0xFFFF_FFFF, milliseconds & 0xFFFF
    return _FORM % (time, rest, bits(12), bits(14) | 0x8000, bits(48))
