"""Identifiers that sort by the time they were made (UUID version 7, RFC 9562 section 5.7)."""

from itertools import count
from random import Random
from typing import Final

_random: Final = Random()  # noqa: S311  # ids are no secrets: they must only differ; it is seeded by the system
_PROCESS: Final = f"7{_random.getrandbits(12):03x}-{_random.getrandbits(14) | 0x8000:04x}"
"""What all ids of this process have after the time: the version, the variant, and 26 random bits."""
_next: Final = count(_random.getrandbits(47)).__next__
"""The rest counts up from a random number (RFC 9562 section 6.2, method 1)."""


def new_id(now: float) -> str:
    """A fresh UUIDv7 in its 36-character form, for the wall-clock time `now` in seconds."""
    milliseconds = int(now * 1000)
    return f"{milliseconds >> 16 & 0xFFFF_FFFF:08x}-{milliseconds & 0xFFFF:04x}-{_PROCESS}-{_next():012x}"
