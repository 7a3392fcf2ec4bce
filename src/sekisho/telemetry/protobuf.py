"""The few forms of Protocol Buffers that OTLP's traces are made of (opentelemetry/proto/trace/v1/trace.proto)."""

import struct
from collections.abc import Callable, Iterable
from typing import Final

_DOUBLE: Final = struct.Struct("<d").pack
_SMALL: Final = tuple(bytes((number,)) for number in range(128))
ATTRIBUTE: Final = b"\x4a"
"""The tag of `Span.attributes`; a resource has them under another one."""


def varint(number: int) -> bytes:
    """A whole number from 0."""
    if number < 128:
        return _SMALL[number]
    if number < 16384:
        return bytes((number & 127 | 128, number >> 7))
    if number < 2_097_152:
        return bytes((number & 127 | 128, number >> 7 & 127 | 128, number >> 14))
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def block(tag: bytes, content: bytes) -> bytes:
    """A text, bytes or a message; `tag` is the encoded number of the field with wire type 2."""
    return b"%b%b%b" % (tag, varint(len(content)), content)


def write_text(key: str, value: str, tag: bytes = ATTRIBUTE) -> bytes:
    """An attribute with this key and a text; of what is no Unicode text, question marks."""
    inner = block(b"\x0a", value.encode("utf-8", "replace"))
    return block(tag, block(b"\x0a", key.encode()) + block(b"\x12", inner))


class TextHeads(dict[int, bytes]):
    """What stands before a text in UTF-8, by its size, in attributes with this key as `write_text` writes them."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def __missing__(self, size: int) -> bytes:
        written = write_text(self._key, " " * size)
        head = self[size] = written[: len(written) - size]
        return head


def integer_attribute(key: str) -> Callable[[int], bytes]:
    """What writes an attribute with this key and a whole number from 0, below 2^63."""
    head = block(b"\x0a", key.encode()) + b"\x12"
    heads = [ATTRIBUTE + varint(len(head) + 2 + size) + head + varint(size + 1) + b"\x18" for size in range(10)]
    two_digits = heads[2]

    def write(value: int) -> bytes:
        if 128 <= value < 16384:  # as most numbers of tokens are
            return two_digits + bytes((value & 127 | 128, value >> 7))
        digits = varint(value)
        return heads[len(digits)] + digits

    return write


def double_attribute(key: str) -> Callable[[float], bytes]:
    """What writes an attribute with this key and a number."""
    before = block(b"\x0a", key.encode()) + b"\x12\x09\x21"
    head = ATTRIBUTE + varint(len(before) + 8) + before

    def write(value: float) -> bytes:
        return head + _DOUBLE(value)

    return write


def true_attribute(key: str) -> bytes:
    """An attribute with this key that is true."""
    return block(ATTRIBUTE, block(b"\x0a", key.encode()) + b"\x12\x02\x10\x01")


def texts_attribute(key: str, values: Iterable[str]) -> bytes:
    """An attribute with a list of texts."""
    members = b"".join(block(b"\x0a", block(b"\x0a", value.encode("utf-8", "replace"))) for value in values)
    return block(ATTRIBUTE, block(b"\x0a", key.encode()) + block(b"\x12", block(b"\x2a", members)))
