"""Embeddings of the simulation: a vector that is always the same for the same text and means nothing."""

import hashlib
import math

_BYTES_A_NUMBER = 2
_CENTRE = 32767.5


def make_vector(text: str, dimensions: int) -> list[float]:
    """A vector of length 1."""
    raw = hashlib.shake_256(text.encode("utf-8", "replace")).digest(dimensions * _BYTES_A_NUMBER)
    numbers = [int.from_bytes(raw[at : at + 2]) - _CENTRE for at in range(0, len(raw), _BYTES_A_NUMBER)]
    length = math.sqrt(sum(number * number for number in numbers))
    return [number / length for number in numbers]
