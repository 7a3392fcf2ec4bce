"""What servers of Chat Completions stream, as neutral events."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.openai_wire import encode, read_call

from sekisho.core.chat import Citation, Text, Thinking, ToolCall
from sekisho.core.events import (
    ChatAnswer,
    CitationDelta,
    Event,
    Finish,
    RedactedThinkingBlock,
    TextDelta,
    ThinkingDelta,
    ThinkingSignature,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, Piece, WireAnswer, WireFault, WireRequest
from sekisho.dialects.openai_chat import client, upstream

REQUEST = WireRequest(body=b"", tool_names={"alias": "mcp.read"})
HEAD = AnswerHead(call_id="0199", model="m", created=1)
USAGE = {
    "prompt_tokens": 133,
    "completion_tokens": 7,
    "total_tokens": 140,
    "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 23},
    "completion_tokens_details": {"reasoning_tokens": 4},
}
COUNTED = Usage(input=10, output=7, cache_read=100, cache_write_5m=23, reasoning=4)
STOP = Finish("stop", "stop")
# fmt: off
NAMES = st.sampled_from([
    "choices", "delta", "message", "content", "tool_calls", "function", "name", "arguments", "index", "id", "usage",
    "prompt_tokens", "completion_tokens", "prompt_tokens_details", "finish_reason", "error", "code", "reasoning",
    "reasoning_content", "thinking_blocks", "annotations", "function_call", "refusal", "object", "text",
])
# fmt: on
SHAPED: Any = st.recursive(
    st.none() | st.integers(-1, 3) | st.sampled_from(["stop", "tool_calls", "error", "", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=15,
)


def chunk(delta: object = None, finish: str | None = None, index: int = 0, **fields: object) -> str:
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    return json.dumps({"id": "x", "object": "chat.completion.chunk", "choices": choices} | fields)


def stream(*chunks: str) -> bytes:
    return "".join(f"data: {one}\n\n" for one in chunks).encode()


def read_stream(data: bytes, size: int | None = None) -> tuple[list[Piece], bool]:
    reader = upstream.stream_reader(REQUEST)
    pieces: list[Piece] = []
    for at in range(0, len(data), size or len(data) or 1):
        pieces += reader.feed(data[at : at + size] if size else data)
    return pieces, reader.complete


def events_of(*chunks: str) -> list[Event]:
    """The events of a stream that must be complete."""
    pieces, complete = read_stream(stream(*chunks, "[DONE]"))
    assert complete
    return [event for piece in pieces for event in piece.events]


def call(index: int | None, name: str | None, arguments: object, call_id: str | None = None) -> dict[str, object]:
    function = {"name": name, "arguments": arguments}
    fields = {"index": index, "id": call_id, "function": {key: value for key, value in function.items() if value}}
    return {"tool_calls": [{key: value for key, value in fields.items() if value is not None}]}


class TestStream:
    def test_text_and_usage_chunk(self) -> None:
        chunks = [
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": "Hel"}),
            chunk({"content": "lö"}),
            chunk({}, "stop"),
            chunk(usage=USAGE),
        ]
        assert events_of(*chunks) == [TextDelta("Hel"), TextDelta("lö"), STOP, UsageReport(COUNTED)]

    def test_every_event_is_a_piece_with_its_bytes(self) -> None:
        odd = '{"x_new": 1.50, "choices": [] }'
        data = f": comment\n\nevent: ping\ndata: {{}}\n\ndata: {odd}\n\ndata: [DONE]\n\n".encode()
        pieces, complete = read_stream(data)
        assert pieces == [Piece("ping", b"{}", []), Piece(None, odd.encode(), []), Piece(None, b"[DONE]", [])]
        assert not complete

    def test_parallel_calls_with_indexes(self) -> None:
        chunks = [
            chunk(call(0, "alias", "", "c0")),
            chunk(call(1, "g", '{"b"', "c1")),
            chunk(call(0, None, '{"a":1}')),
            chunk(call(1, None, ":2}")),
            chunk({}, "tool_calls"),
        ]
        assert events_of(*chunks) == [
            ToolCallStart(0, "c0", "mcp.read"),
            ToolCallStart(1, "c1", "g"),
            ToolCallDelta(1, '{"b"'),
            ToolCallDelta(0, '{"a":1}'),
            ToolCallDelta(1, ":2}"),
            Finish("tool_calls", "tool_calls"),
        ]

    @pytest.mark.parametrize("index", [None, 0])
    def test_whole_calls_without_index_or_all_with_the_same(self, index: int | None) -> None:
        chunks = [
            chunk(call(index, "f", '{"a":1}', "c0")),
            chunk(call(index, "f", '{"a"', "c1")),
            chunk(call(index, None, ":2}")),
            chunk({}, "stop"),
        ]
        assert events_of(*chunks) == [
            ToolCallStart(0, "c0", "f"),
            ToolCallDelta(0, '{"a":1}'),
            ToolCallStart(1, "c1", "f"),
            ToolCallDelta(1, '{"a"'),
            ToolCallDelta(1, ":2}"),
            Finish("tool_calls", "stop"),
        ]

    def test_calls_without_any_id_get_different_ones(self) -> None:
        chunks = [chunk(call(None, "f", '{"a":1}')), chunk(call(None, "g", {"b": 2})), chunk({}, "stop")]
        first, _, second, arguments, _ = events_of(*chunks)
        assert isinstance(first, ToolCallStart)
        assert isinstance(second, ToolCallStart)
        assert first.id != second.id
        assert arguments == ToolCallDelta(1, '{"b":2}')
        assert events_of(*chunks)[0] == first

    def test_a_name_told_again_begins_nothing(self) -> None:
        chunks = [
            chunk(call(0, "f", '{"a"', "c0")),
            chunk(call(0, "f", ":1}", "c0")),
            chunk(call(0, "f", " ")),
            chunk({}, "tool_calls"),
        ]
        starts = [event for event in events_of(*chunks) if isinstance(event, ToolCallStart)]
        assert starts == [ToolCallStart(0, "c0", "f")]

    def test_a_call_without_arguments_has_an_empty_object(self) -> None:
        chunks = [chunk(call(0, "f", "", "c0")), chunk(call(1, "g", "{}", "c1")), chunk({}, "tool_calls")]
        assert ToolCallDelta(0, "{}") in events_of(*chunks)
        assert events_of(*chunks).count(ToolCallDelta(1, "{}")) == 1

    def test_legacy_function_call(self) -> None:
        chunks = [
            chunk({"function_call": {"name": "f", "arguments": ""}}),
            chunk({"function_call": {"arguments": "{}"}}),
            chunk({}, "function_call"),
        ]
        start, arguments, finish = events_of(*chunks)
        assert isinstance(start, ToolCallStart)
        assert (start.name, arguments, finish) == (
            "f",
            ToolCallDelta(0, "{}"),
            Finish("tool_calls", "function_call"),
        )

    @pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
    def test_reasoning(self, field: str) -> None:
        chunks = [chunk({field: "hm", "content": None}), chunk({"content": "a"}), chunk({}, "stop")]
        assert events_of(*chunks) == [ThinkingDelta("hm"), TextDelta("a"), STOP]

    def test_refusal(self) -> None:
        assert events_of(chunk({"refusal": "No."}), chunk({}, "stop")) == [TextDelta("No."), STOP]

    def test_usage_on_the_last_chunk_of_the_answer(self) -> None:
        assert events_of(chunk({"content": "a"}, "stop", usage=USAGE))[-2:] == [STOP, UsageReport(COUNTED)]

    def test_usage_told_with_every_chunk_counts_once(self) -> None:
        so_far = USAGE | {"completion_tokens": 1, "completion_tokens_details": None}
        chunks = [chunk({"content": "a"}, usage=so_far), chunk({}, "stop", usage=USAGE), chunk(usage=USAGE)]
        assert events_of(*chunks) == [TextDelta("a"), STOP, UsageReport(COUNTED)]

    def test_a_server_that_tells_no_usage_is_complete_when_it_says_so(self) -> None:
        chunks = [chunk({"content": "a"}), chunk({}, "stop", usage=None)]
        assert events_of(*chunks) == [TextDelta("a"), STOP]
        assert read_stream(stream(*chunks))[1] is False

    def test_a_server_that_tells_usage_need_not_say_done(self) -> None:
        assert read_stream(stream(chunk({"content": "a"}, "stop"), chunk(usage=USAGE)))[1] is True

    def test_done_without_a_finish_is_not_complete(self) -> None:
        assert read_stream(stream(chunk({"content": "a"}), "[DONE]"))[1] is False

    def test_further_choices_are_counted(self) -> None:
        chunks = [
            chunk({"content": "a"}, "stop"),
            chunk({"content": "b"}, index=1),
            chunk({}, "length", index=1),
            chunk(usage=USAGE),
        ]
        assert events_of(*chunks) == [TextDelta("a"), STOP, TextDelta("b"), UsageReport(COUNTED)]

    @pytest.mark.parametrize(
        ("event", "code"),
        [
            ({"error": {"message": "m", "type": "server_error"}}, "server_error"),
            ({"error": {"message": "m", "code": 429}}, "429"),
            ({"object": "error", "message": "m", "code": 400}, "400"),
            ({"error": "m"}, "error"),
        ],
    )
    def test_errors(self, event: object, code: str) -> None:
        with pytest.raises(WireFault) as caught:
            read_stream(stream(chunk({"content": "a"}), json.dumps(event)))
        assert (caught.value.code, caught.value.message) == (code, "m")

    def test_a_finish_that_is_an_error(self) -> None:
        with pytest.raises(WireFault) as caught:
            read_stream(stream(chunk({}, "error")))
        assert caught.value.code == "error"

    @pytest.mark.parametrize(
        "data",
        [
            b'{"id":"x","choices":[]}',
            b"\n  <!doctype html>",
            b"data: {\n\n",
            b"data: []\n\n",
            b'data: {"choices":{}}\n\n',
            b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n',
            b'data: {"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}\n\n',
            b'data: {"choices":[{"delta":{"tool_calls":[{"index":-1}]}}]}\n\n',
        ],
    )
    def test_what_is_no_stream_is_corrupt(self, data: bytes) -> None:
        with pytest.raises(WireFault) as caught:
            read_stream(data)
        assert caught.value.code == "corrupt"

    @given(st.binary() | st.lists(SHAPED.map(json.dumps), max_size=5).map(lambda chunks: stream(*chunks)))
    def test_any_input(self, data: bytes) -> None:
        try:
            read_stream(data)
        except WireFault as fault:
            assert fault.code  # noqa: PT017  # whether it raises is up to hypothesis

    def test_cut_at_every_place(self) -> None:
        data = stream(
            chunk({"reasoning": "hm ü"}),
            chunk({"content": "grün 🌱"}),
            chunk(call(0, "alias", "", "c0")),
            chunk(call(0, None, '{"a":"ß"}')),
            chunk({}, "tool_calls"),
            chunk(usage=USAGE),
            "[DONE]",
        ).replace(b"\n", b"\r\n")
        whole, _ = read_stream(data)
        for at in range(len(data)):
            reader = upstream.stream_reader(REQUEST)
            pieces = [*reader.feed(data[:at]), *reader.feed(data[at:])]
            assert (pieces, reader.complete) == (whole, True)
        assert read_stream(data, 1) == (whole, True)


class TestBothSides:
    """What this dialect writes to clients it can read from an upstream: gateways stand behind gateways."""

    EVENTS: Sequence[Event] = (
        ThinkingDelta("hm"),
        ThinkingSignature("s1"),
        RedactedThinkingBlock("ZGF0YQ=="),
        TextDelta("a"),
        CitationDelta(Citation(kind="web", title="T", url="https://example.org/")),
        ToolCallStart(0, "c0", "f"),
        ToolCallDelta(0, "{}"),
        Finish("tool_calls", "tool_calls"),
    )

    def test_stream(self) -> None:
        call = read_call(client, encode(messages=[], stream=True, stream_options={"include_usage": True}))
        writer = client.stream_writer(HEAD, call)
        data = b"".join(writer.write(event) for event in self.EVENTS) + writer.end(COUNTED, 5)
        pieces, complete = read_stream(data)
        assert [event for piece in pieces for event in piece.events] == [*self.EVENTS, UsageReport(COUNTED)]
        assert complete

    def test_whole(self) -> None:
        answer = ChatAnswer(
            parts=[Thinking(text="hm", signature="s"), Text(text="a"), ToolCall(id="c", name="f", arguments="{}")],
            finish=Finish("tool_calls", "tool_calls"),
            usage=COUNTED,
        )
        written = client.write_answer(answer, HEAD, read_call(client, encode(messages=[])), 5)
        assert upstream.read_answer(WireAnswer({}, written), REQUEST) == answer


TEXTS = [f'{{"choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}]}}' for text in "ab"]


def feed_each(*events: bytes) -> list[Event]:
    """The events of a stream of which each event comes by itself."""
    reader = upstream.stream_reader(REQUEST)
    return [event for data in events for piece in reader.feed(data) for event in piece.events]


def test_text_after_the_end_counts_for_nothing() -> None:
    first, second = (b"data: %b\n\n" % text.encode() for text in TEXTS)
    assert feed_each(first, b"data: [DONE]\n\n", second) == [TextDelta("a")]


def test_a_text_that_is_no_json_is_refused_like_the_first() -> None:
    first, second = (b"data: %b\n\n" % text.encode() for text in TEXTS)
    with pytest.raises(WireFault, match="not one of Chat Completions"):
        feed_each(first, first, second.replace(b'"b"', b'"b\t"'))


def test_lines_may_end_in_different_ways() -> None:
    events = [b"data: %b\r\n\n" % text.encode() for text in TEXTS]
    reader = upstream.stream_reader(REQUEST)
    pieces = [piece for data in [*events, b"data: [DONE]\r\n\n"] for piece in reader.feed(data)]
    assert [piece.data for piece in pieces] == [*(text.encode() for text in TEXTS), b"[DONE]"]
