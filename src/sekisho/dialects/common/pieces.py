"""Reading the events of a stream one by one, without losing those before a fault."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sekisho.core.wire import Piece, WireFault

_Item = TypeVar("_Item")


def read_pieces(items: Sequence[_Item], read: Callable[[_Item], Piece]) -> Sequence[Piece]:
    """A piece for each item. A WireFault that `read` raises goes on with the pieces before it (`WireFault.before`)."""
    if len(items) == 1:
        return (read(items[0]),)
    pieces: list[Piece] = []
    try:
        for item in items:
            pieces.append(read(item))  # noqa: PERF401  # a comprehension would lose what is read when a later one fails
    except WireFault as fault:
        fault.before = (*pieces, *fault.before)
        raise
    return pieces
