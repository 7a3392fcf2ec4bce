"""How many heaps the C library keeps.

glibc gives each thread that allocates while another does a heap of its own, which keeps what is freed in it. A gateway
has one thread that works and some that talk to its database: with a heap for each, a worker held 3 MB more.
"""

import ctypes
from typing import Final

_M_ARENA_MAX: Final = -8
"""From glibc's malloc.h."""


def share_one_heap() -> None:
    """Have all threads begun from now on allocate where the first one does; without glibc, do nothing."""
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None:
        choose(_M_ARENA_MAX, 1)
