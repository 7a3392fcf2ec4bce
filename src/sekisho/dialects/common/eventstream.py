"""AWS event-stream framing (`application/vnd.amazon.eventstream`), by hand because it runs for every streamed event.

A frame is: total length (u32), headers length (u32), CRC-32 of these eight bytes, headers, payload, CRC-32 of all
before it; numbers are big endian. A header is: name length (u8), name, type (u8), value. Source of the rules: the
Smithy specification of the event-stream encoding, and botocore.eventstream, which the tests hold this against.
"""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from zlib import crc32

from sekisho.core.wire import WireFault

Frame = tuple[Mapping[str, str], bytes]
"""The headers of a frame and its payload."""

MAX_FRAME_BYTES = 16 * 1024 * 1024

_LENGTHS = struct.Struct("!II")
_PRELUDE = struct.Struct("!III")
_U32 = struct.Struct("!I")
_U16 = struct.Struct("!H")
_unpack_prelude = _PRELUDE.unpack_from
_unpack_u32 = _U32.unpack_from
_LENGTHS_BYTES: Final = 8
_PRELUDE_BYTES: Final = 12
_CHECKSUM_BYTES: Final = 4
_OVERHEAD: Final = _PRELUDE_BYTES + _CHECKSUM_BYTES

_STRING = 7
_BYTES = 6
# Sizes of the values whose length is fixed by their type: true, false, byte, short, int, long, timestamp, uuid.
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
# The headers of a stream repeat, so each distinct block is parsed or written once; the cap bounds what piles up.
_MAX_REMEMBERED = 64


def encode_frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Writes one frame; all headers become strings.

    Raises:
        ValueError: A header name or value is longer than the format can say, or the frame is over the cap.
    """
    block = _encode_headers(tuple(headers.items()))
    total = _OVERHEAD + len(block) + len(payload)
    if total > MAX_FRAME_BYTES:
        raise ValueError(f"an event-stream frame of {total} bytes is over the cap of {MAX_FRAME_BYTES}")
    lengths = _LENGTHS.pack(total, len(block))
    message = b"".join((lengths, _U32.pack(crc32(lengths)), block, payload))
    return message + _U32.pack(crc32(message))


@lru_cache(_MAX_REMEMBERED)
def _encode_headers(headers: tuple[tuple[str, str], ...]) -> bytes:
    return b"".join([_encode_header(name, value) for name, value in headers])


def _encode_header(name: str, value: str) -> bytes:
    raw_name, raw_value = name.encode(), value.encode()
    if not 0 < len(raw_name) < 256 or len(raw_value) > 0x7FFF:
        raise ValueError(f"the event-stream header {name!r} has a name or value of a length the format cannot hold")
    return b"".join((bytes((len(raw_name),)), raw_name, bytes((_STRING,)), _U16.pack(len(raw_value)), raw_value))


class FrameDecoder:
    """Cuts a byte stream into frames, however the bytes arrive."""

    def __init__(self) -> None:
        self._buffer = b""
        self._remembered: dict[bytes, Mapping[str, str]] = {}

    @property
    def empty(self) -> bool:
        """Whether the stream stands between two frames."""
        return not self._buffer

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes.

        Headers that are no strings are passed over: no event of Bedrock has any.

        Raises:
            WireFault: With code `corrupt`; after it, so does every further call.
        """
        if self._buffer:
            data = self._buffer + data
        self._buffer = data  # so that what is corrupt stays so
        frames: list[Frame] = []
        begin, size = 0, len(data)
        while size - begin >= _PRELUDE_BYTES:
            total, headers_size, checksum = _unpack_prelude(data, begin)
            if crc32(data[begin : begin + _LENGTHS_BYTES]) != checksum:
                raise WireFault("corrupt", "the checksum of an event-stream prelude does not match")
            if not _OVERHEAD + headers_size <= total <= MAX_FRAME_BYTES:
                raise WireFault("corrupt", f"an event-stream frame claims {total} bytes with {headers_size} of headers")
            end = begin + total
            if end > size:
                break
            payload_at, checksum_at = begin + _PRELUDE_BYTES + headers_size, end - _CHECKSUM_BYTES
            if crc32(data[begin:checksum_at]) != _unpack_u32(data, checksum_at)[0]:
                raise WireFault("corrupt", "the checksum of an event-stream frame does not match")
            block = data[begin + _PRELUDE_BYTES : payload_at]
            frames.append((self._remembered.get(block) or self._read_headers(block), data[payload_at:checksum_at]))
            begin = end
        self._buffer = data[begin:]
        return frames

    def _read_headers(self, block: bytes) -> Mapping[str, str]:
        """The headers that a block holds, to be remembered."""
        headers = _decode_headers(block)
        if len(self._remembered) < _MAX_REMEMBERED:
            self._remembered[block] = headers
        return headers


def _decode_headers(block: bytes) -> dict[str, str]:
    """The string headers of a block. Raises WireFault."""
    headers: dict[str, str] = {}
    position, end = 0, len(block)
    try:
        while position < end:
            name_at = position + 1
            kind_at = name_at + block[position]
            kind, value_at = block[kind_at], kind_at + 1
            if kind in (_STRING, _BYTES):
                size = _U16.unpack_from(block, value_at)[0]
                value_at += _U16.size
            else:
                size = _FIXED_SIZES[kind]
            position = value_at + size
            if kind == _STRING:
                headers[block[name_at:kind_at].decode()] = block[value_at:position].decode()
    except (IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise WireFault("corrupt", "the headers of an event-stream frame cannot be read") from error
    if position != end:
        raise WireFault("corrupt", "the headers of an event-stream frame run over their length")
    return headers
