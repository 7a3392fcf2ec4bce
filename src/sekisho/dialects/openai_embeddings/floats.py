"""Vectors in OpenAI's binary form: four bytes per number (IEEE 754), the lowest first."""

import sys
from array import array
from collections.abc import Sequence


def pack_floats(vector: Sequence[float]) -> bytes:
    """The bytes of a vector."""
    return _order(array("f", vector)).tobytes()


def unpack_floats(data: bytes) -> list[float]:
    """The vector in `data`. Raises ValueError when its length is no multiple of four bytes."""
    return _order(array("f", data)).tolist()


def _order(numbers: "array[float]") -> "array[float]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
