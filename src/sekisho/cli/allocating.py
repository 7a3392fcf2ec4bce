"""How the C library keeps its memory.

glibc gives each thread that allocates while another does a heap of its own, which keeps what is freed in it. A gateway
has one thread that works and some that talk to its database: with a heap for each, a worker held 3 MB more.

It also gives 128 KB that are free at the end of the heap back to the system at once, and with every body of that size
the system makes them anew, page by page: 15 % of the CPU time of a request of 100 KB. What lies free between what is
used, on the other hand, it never gives back: 6 MB after some hundreds of such bodies.
"""

import asyncio
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# From glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

_KEPT: Final = 4 << 20
"""So many free bytes at the end of the heap stay there."""
_APART: Final = 1 << 20
"""From so many bytes on, what is allocated lies outside the heap, and is gone when it is freed."""

_GIVING_SECONDS: Final = 10.0
"""Between two times that free pages are given back, which takes up to a millisecond."""


def keep_one_heap() -> None:
    """Have all threads begun from now on allocate where the first one does, and keep a little of what is freed.

    Does nothing without glibc.
    """
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None:
        choose(_M_ARENA_MAX, 1)
        choose(_M_TRIM_THRESHOLD, _KEPT)
        choose(_M_MMAP_THRESHOLD, _APART)


@contextmanager
def giving_back() -> Iterator[None]:
    """Inside, in a running loop, the system gets back now and then what lies free in the heap."""
    task = asyncio.create_task(_give_back_regularly(), name="giving-back")
    try:
        yield
    finally:
        task.cancel()


def give_back() -> None:
    """Give back the pages of the heap that nothing lies on, but for a little at its end. Does nothing without glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(_KEPT))


async def _give_back_regularly() -> None:
    while True:
        await asyncio.sleep(_GIVING_SECONDS)
        give_back()
