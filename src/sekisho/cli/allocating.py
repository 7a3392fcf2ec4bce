"""How the C library keeps its memory.

glibc gives each thread that allocates while another does a heap of its own, which keeps what is freed in it. A gateway
has one thread that works and some that talk to its database: with a heap for each, a worker held 3 MB more.

It also gives 128 KB that are free at the end of the heap back to the system at once, and with every body of that size
the system makes them anew, page by page: 15 % of the CPU time of a request of 100 KB.
"""

import ctypes
from typing import Final

# From glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

_KEPT: Final = 4 << 20
"""So many free bytes at the end of the heap stay there."""
_APART: Final = 1 << 20
"""From so many bytes on, what is allocated lies outside the heap, and is gone when it is freed."""


def keep_one_heap() -> None:
    """Have all threads begun from now on allocate where the first one does, and keep a little of what is freed.

    Does nothing without glibc.
    """
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None:
        choose(_M_ARENA_MAX, 1)
        choose(_M_TRIM_THRESHOLD, _KEPT)
        choose(_M_MMAP_THRESHOLD, _APART)
