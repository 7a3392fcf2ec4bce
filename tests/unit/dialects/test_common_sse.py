"""Server-sent events are the same however their bytes arrive."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.wire import WireFault
from sekisho.dialects.common.sse import SseDecoder, SseEvent, encode_event

_line = st.binary(max_size=8).filter(lambda data: b"\n" not in data and b"\r" not in data)
_event = st.tuples(
    st.none() | st.sampled_from(["delta", "stop"]),
    st.lists(_line, min_size=1, max_size=3),
    st.sampled_from([b"\n", b"\r\n"]),
    st.sampled_from([b"", b": a comment", b"id: 1", b"retry: 5"]),
    st.sampled_from([b"data: ", b"data:"]),
)


def _write(event: tuple[str | None, list[bytes], bytes, bytes, bytes]) -> bytes:
    name, data, end, beside, field = event
    lines = [beside] if beside else []
    lines += [] if name is None else [b"event: " + name.encode()]
    lines += [field + line for line in data]
    return b"".join(line + end for line in lines) + end


def _mean(event: tuple[str | None, list[bytes], bytes, bytes, bytes]) -> SseEvent:
    name, data, _, _, field = event
    if field == b"data:":  # one blank after the colon is not part of the value
        data = [line.removeprefix(b" ") for line in data]
    return SseEvent(name, b"\n".join(data))


@given(st.lists(_event, max_size=6), st.lists(st.integers(0, 200), max_size=8))
def test_events_are_cut_alike_wherever_the_bytes_are_cut(
    events: list[tuple[str | None, list[bytes], bytes, bytes, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(map(_write, events))
    decoder = SseDecoder()
    read: list[SseEvent] = []
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, end in itertools.pairwise(places):
        read += decoder.feed(stream[start:end])
    assert read == list(map(_mean, events))
    assert decoder.between


@given(st.lists(st.sampled_from([b"", b"{", b'"a": 1']), min_size=1, max_size=4).map(b"\n".join))
def test_an_event_of_several_lines_comes_out_as_it_went_in(data: bytes) -> None:
    assert SseDecoder().feed(encode_event(data, "x")) == [SseEvent("x", data)]


@pytest.mark.parametrize("part", [b"data:\n" * 200_000, b"x" * 1_000_000])
def test_an_event_that_never_ends_is_given_up(part: bytes) -> None:
    decoder = SseDecoder()
    with pytest.raises(WireFault, match="too long"):
        list(map(decoder.feed, [part] * 20))
