"""Identifiers that sort by the time they were made (UUID version 7, RFC 9562 section 5.7)."""

from random import Random
from typing import Final

_random: Final = Random()  # noqa: S311  # ids are no secrets: they must only differ; it is seeded by the system
_VERSION: Final = 0x7 << 76
_VARIANT: Final = 0x2 << 62
_KEPT: Final = ~(0xF << 76 | 0x3 << 62)


def new_id(now: float) -> str:
    """A fresh UUIDv7 in its 36-character form, for the wall-clock time `now` in seconds."""
    milliseconds = int(now * 1000) & 0xFFFF_FFFF_FFFF
    value = ((milliseconds << 80 | _random.getrandbits(80)) & _KEPT) | _VERSION | _VARIANT
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
