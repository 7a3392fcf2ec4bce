"""The event-stream framing, held against botocore's."""

import struct
from contextlib import suppress
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.wire import WireFault
from sekisho.dialects.common.eventstream import MAX_FRAME_BYTES, FrameDecoder, encode_frame

_NAMES = st.text(min_size=1, max_size=20)
_HEADERS = st.dictionaries(_NAMES, st.text(max_size=40), max_size=5)
_FRAMES = st.lists(st.tuples(_HEADERS, st.binary(max_size=200)), max_size=4)


def _frame_with(block: bytes, payload: bytes = b"") -> bytes:
    """A frame with a hand-made header block."""
    prelude = struct.pack("!II", 16 + len(block) + len(payload), len(block))
    message = prelude + struct.pack("!I", crc32(prelude)) + block + payload
    return message + struct.pack("!I", crc32(message))


def _header(name: bytes, kind: int, value: bytes) -> bytes:
    return bytes([len(name)]) + name + bytes([kind]) + value


@given(_FRAMES)
def test_botocore_reads_what_we_write(frames: list[tuple[dict[str, str], bytes]]) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(b"".join(encode_frame(headers, payload) for headers, payload in frames))
    assert [(message.headers, message.payload) for message in buffer] == frames


@given(_FRAMES, st.lists(st.integers(1, 50), min_size=1))
def test_frames_survive_any_cut(frames: list[tuple[dict[str, str], bytes]], sizes: list[int]) -> None:
    data = b"".join(encode_frame(headers, payload) for headers, payload in frames)
    decoder = FrameDecoder()
    read = []
    at, turn = 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        read += decoder.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    assert read == frames
    assert decoder.empty


def test_all_header_types_are_read_as_botocore_reads_them() -> None:
    block = b"".join(
        [
            _header(b"true", 0, b""),
            _header(b"false", 1, b""),
            _header(b"byte", 2, b"\x01"),
            _header(b"short", 3, b"\x00\x01"),
            _header(b"int", 4, b"\x00" * 4),
            _header(b"long", 5, b"\x00" * 8),
            _header(b"bytes", 6, b"\x00\x03abc"),
            _header(b"string", 7, b"\x00\x02hi"),
            _header(b"time", 8, b"\x00" * 8),
            _header(b"uuid", 9, b"\x00" * 16),
            _header(b"last", 7, b"\x00\x03end"),
        ]
    )
    frame = _frame_with(block, b"x")
    buffer = EventStreamBuffer()
    buffer.add_data(frame)
    (message,) = buffer
    strings = {name: value for name, value in message.headers.items() if isinstance(value, str)}
    assert FrameDecoder().feed(frame) == [(strings, b"x")]
    assert strings == {"string": "hi", "last": "end"}


@given(st.data())
def test_any_flipped_bit_is_noticed(data: st.DataObject) -> None:
    frame = bytearray(encode_frame({":event-type": "contentBlockDelta"}, b'{"delta":{}}'))
    bit = data.draw(st.integers(0, len(frame) * 8 - 1))
    frame[bit // 8] ^= 1 << bit % 8
    decoder = FrameDecoder()
    # A frame after it, so that a length that grew finds enough bytes to be judged.
    with pytest.raises(WireFault, match="corrupt"):
        decoder.feed(bytes(frame) + encode_frame({}, bytes(200)))


@given(st.binary(max_size=400))
def test_arbitrary_bytes_raise_nothing_but_wire_faults(data: bytes) -> None:
    with suppress(WireFault):
        assert FrameDecoder().feed(data) == []


@given(st.binary(max_size=60))
def test_arbitrary_headers_raise_nothing_but_wire_faults(block: bytes) -> None:
    with suppress(WireFault):
        assert len(FrameDecoder().feed(_frame_with(block))) == 1


@pytest.mark.parametrize(("total", "headers"), [(15, 0), (16, 1), (MAX_FRAME_BYTES + 1, 0), (0, 0)])
def test_insane_lengths_are_refused_before_the_frame_is_there(total: int, headers: int) -> None:
    lengths = struct.pack("!II", total, headers)
    with pytest.raises(WireFault, match="claims"):
        FrameDecoder().feed(lengths + struct.pack("!I", crc32(lengths)))


def test_a_corrupt_stream_stays_corrupt() -> None:
    decoder = FrameDecoder()
    for _ in range(2):
        with pytest.raises(WireFault):
            decoder.feed(bytes(12))


@pytest.mark.parametrize("headers", [{"": "x"}, {"n" * 256: "x"}, {"n": "x" * 40000}])
def test_headers_the_format_cannot_hold_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        encode_frame(headers, b"")


def test_a_frame_over_the_cap_is_not_written() -> None:
    with pytest.raises(ValueError, match="cap"):
        encode_frame({}, bytes(MAX_FRAME_BYTES))
