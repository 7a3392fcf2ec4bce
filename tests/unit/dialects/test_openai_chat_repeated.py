"""Chunks that differ in their text only are read by what they have in common; nothing may come out otherwise."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho.core.errors import SekishoError
from sekisho.core.wire import Piece, WireFault, WireRequest
from sekisho.dialects.openai_chat import repeated, upstream

HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
TEXTS = st.text(max_size=8) | st.sampled_from([" a", "b", 'quo"te', "back\\slash", "line\nbreak", "", '","x":"', "é🎏"])


def chunk(text: str, padding: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None, **more}
    padded = {} if padding is None else {"obfuscation": padding}
    return b"data: " + msgspec.json.encode({**HEAD, "choices": [choice], "usage": None, **padded}) + b"\n\n"


FINISH = chunk("", finish_reason="stop")
END = b"data: [DONE]\n\n"


def read(events: Sequence[bytes]) -> list[Piece] | str:
    """The pieces of a stream of which each part comes by itself, or what is wrong with it."""
    reader = upstream.stream_reader(WireRequest(body=b"", native=True))
    try:
        return [piece for event in events for piece in reader.feed(event)]
    except (WireFault, SekishoError) as error:
        return str(error)


def read_in_full(events: Sequence[bytes], patch: pytest.MonkeyPatch) -> list[Piece] | str:
    with patch.context() as context:
        context.setattr(repeated, "_MOST_TRIES", 0)
        return read(events)


def as_lists(pieces: list[Piece] | str) -> object:
    return pieces if isinstance(pieces, str) else [(piece.name, piece.data, list(piece.events)) for piece in pieces]


BREAKS = st.none() | st.tuples(
    st.integers(0, 11), st.integers(0, 200), st.sampled_from([b"", b'"', b"\\", b"\n\n", b"x", b"\xff"])
)


@given(st.lists(st.tuples(TEXTS, st.none() | TEXTS, st.booleans()), max_size=12), BREAKS)
@settings(max_examples=200)
def test_repeated_chunks_are_read_as_if_each_was_new(
    said: list[tuple[str, str | None, bool]], broken: tuple[int, int, bytes] | None
) -> None:
    events = [chunk(text, padding) if same else chunk(text, padding, logprobs=None) for text, padding, same in said]
    events += [FINISH, END]
    if broken is not None:
        place, cut, instead = broken
        place %= len(events)
        events[place] = events[place][:cut] + instead + events[place][cut + 1 :]
    patch = pytest.MonkeyPatch()
    assert as_lists(read(events)) == as_lists(read_in_full(events, patch))


@pytest.mark.parametrize("padding", [None, "aZ", ""])
def test_a_stream_of_text_is_read_by_its_pattern(padding: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []
    find = repeated.RepeatedChunk.find_text

    def note(self: repeated.RepeatedChunk, data: bytes) -> str | None:
        text = find(self, data)
        found.extend([] if text is None else [text])
        return text

    monkeypatch.setattr(repeated.RepeatedChunk, "find_text", note)
    longer = None if padding is None else padding + "more"
    assert len(read([chunk("one", padding), chunk("two", longer), chunk("three", padding), FINISH, END])) == 5
    assert found == ["two", "three"]
