from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.chat import Citation
from sekisho.core.events import (
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
from sekisho.core.wire import WireFault, WireRequest
from sekisho.dialects.bedrock_converse import upstream
from sekisho.dialects.common.eventstream import encode_frame

PLAIN = WireRequest(body=b"", tool_names={"alias": "mcp.read"})
JSON = WireRequest(body=b"", json_tool="json_response")
PLACE = {"documentIndex": 0, "start": 1, "end": 2}
USAGE = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}
REPORT = UsageReport(Usage(input=3, output=4))


def _frame(kind: str, payload: object) -> bytes:
    raw = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return encode_frame({":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, raw)


def _exception(kind: str, payload: bytes, message_type: str = "exception") -> bytes:
    return encode_frame({":exception-type": kind, ":message-type": message_type}, payload)


def _start(index: int, name: str, call_id: str) -> bytes:
    tool = {"toolUseId": call_id, "name": name}
    return _frame("contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": tool}})


def _delta(index: int, delta: object) -> bytes:
    return _frame("contentBlockDelta", {"contentBlockIndex": index, "delta": delta, "p": "abcdef"})


def _stop(index: int) -> bytes:
    return _frame("contentBlockStop", {"contentBlockIndex": index})


def _end(reason: str = "end_turn", **members: Any) -> bytes:
    return _frame("messageStop", {"stopReason": reason} | members) + _frame(
        "metadata", {"usage": USAGE, "metrics": {"latencyMs": 5}}
    )


def _read(chunks: Iterable[bytes], request: WireRequest = PLAIN) -> list[Event]:
    """The events of a whole stream; fails when it did not end properly."""
    reader = upstream.stream_reader(request)
    events: list[Event] = []
    for chunk in chunks:
        for piece in reader.feed(chunk):
            events += piece.events
    assert reader.complete
    return events


FULL = b"".join(
    [
        _frame("messageStart", {"role": "assistant"}),
        _delta(0, {"reasoningContent": {"text": "hm "}}),
        _delta(0, {"reasoningContent": {"text": "so"}}),
        _delta(0, {"reasoningContent": {"signature": "sig=="}}),
        _stop(0),
        _delta(1, {"reasoningContent": {"redactedContent": "QUJD"}}),
        _stop(1),
        _delta(2, {"text": "Hello 世界"}),
        _delta(
            2, {"citation": {"title": "t", "location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}}}
        ),
        _stop(2),
        _start(3, "alias", "call_a"),
        _delta(3, {"toolUse": {"input": '{"pa'}}),
        _delta(3, {"toolUse": {"input": ""}}),
        _delta(3, {"toolUse": {"input": 'th":1}'}}),
        _stop(3),
        _start(4, "write", "call_b"),
        _stop(4),
        _frame("somethingNew", {"a": 1}),
        _end("tool_use"),
    ]
)
FULL_EVENTS: list[Event] = [
    ThinkingDelta("hm "),
    ThinkingDelta("so"),
    ThinkingSignature("sig=="),
    RedactedThinkingBlock("QUJD"),
    TextDelta("Hello 世界"),
    CitationDelta(Citation(kind="page", title="t", document=0, start=1, end=2)),
    ToolCallStart(0, "call_a", "mcp.read"),
    ToolCallDelta(0, '{"pa'),
    ToolCallDelta(0, 'th":1}'),
    ToolCallStart(1, "call_b", "write"),
    ToolCallDelta(1, "{}"),
    Finish("tool_calls", "tool_use"),
    REPORT,
]


def test_a_whole_stream_is_read() -> None:
    assert _read([FULL]) == FULL_EVENTS


def test_our_frames_are_botocores_frames() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(FULL)
    assert len(list(buffer)) == 20


def test_each_event_is_one_piece_as_it_came() -> None:
    pieces = upstream.stream_reader(PLAIN).feed(FULL)
    assert b"".join(_frame(piece.name or "", piece.data) for piece in pieces) == FULL
    assert pieces[0].events == []
    assert [piece.name for piece in pieces][-3:] == ["somethingNew", "messageStop", "metadata"]


def test_citations_are_left_out_of_a_json_answer() -> None:
    chunks = [_delta(0, {"text": "a"}), _delta(0, {"citation": {}}), _start(1, "json_response", "t"), _end("tool_use")]
    assert not any(isinstance(event, CitationDelta) for event in _read(chunks, JSON))


def test_every_single_cut_gives_the_same_events() -> None:
    for at in range(len(FULL)):
        assert _read([FULL[:at], FULL[at:]]) == FULL_EVENTS


@given(st.lists(st.integers(1, 300), min_size=1))
def test_any_cuts_give_the_same_events(sizes: list[int]) -> None:
    chunks: list[bytes] = []
    at = 0
    while at < len(FULL):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(FULL[at : at + size])
        at += size
    assert _read(chunks) == FULL_EVENTS


def test_a_stream_is_complete_only_at_its_very_end() -> None:
    for at in range(len(FULL)):
        reader = upstream.stream_reader(PLAIN)
        reader.feed(FULL[:at])
        assert not reader.complete


def test_interleaved_calls_keep_their_numbers() -> None:
    events = _read(
        [
            _start(5, "a", "x")
            + _start(7, "b", "y")
            + _delta(7, {"toolUse": {"input": "{1"}})
            + _delta(5, {"toolUse": {"input": "{0"}})
            + _end("tool_use")
        ]
    )
    assert events[2:4] == [ToolCallDelta(1, "{1"), ToolCallDelta(0, "{0")]


def test_a_signature_in_pieces_becomes_one() -> None:
    pieces = [_delta(0, {"reasoningContent": {"signature": part}}) for part in ("ab", "cd")]
    assert _read([*pieces, _stop(0), _end()])[0] == ThinkingSignature("abcd")


def test_the_stop_sequence_is_told() -> None:
    events = _read([_end("stop_sequence", additionalModelResponseFields={"stop_sequence": "END"})])
    assert events[0] == Finish("stop", "stop_sequence", "END")


def test_the_stand_in_tools_input_is_the_answer() -> None:
    events = _read(
        [
            _delta(0, {"text": "Here it is:"}),
            _start(1, "json_response", "t"),
            _delta(1, {"toolUse": {"input": '{"a":'}}),
            _delta(1, {"toolUse": {"input": "1}"}}),
            _delta(2, {"text": "There."}),
            _end("tool_use"),
        ],
        JSON,
    )
    assert events == [TextDelta('{"a":'), TextDelta("1}"), Finish("stop", "tool_use"), REPORT]


def test_an_answer_in_text_comes_when_the_stand_in_tool_was_not_used() -> None:
    events = _read([_delta(0, {"text": "{"}), _delta(0, {"text": "}"}), _end()], JSON)
    assert events == [TextDelta("{"), TextDelta("}"), Finish("stop", "end_turn"), REPORT]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b'{"message":"slow down"}', "slow down"),
        (b'{"message":"bad","originalStatusCode":503}', "bad (original status 503)"),
        (b"not json", "the upstream gave no reason"),
    ],
)
def test_an_exception_frame_is_a_fault_of_its_name(payload: bytes, message: str) -> None:
    with pytest.raises(WireFault) as caught:
        upstream.stream_reader(PLAIN).feed(_delta(0, {"text": "x"}) + _exception("throttlingException", payload))
    assert (caught.value.code, caught.value.message) == ("throttlingException", message)


def test_an_unmodelled_error_frame_is_a_fault_too() -> None:
    frame = encode_frame({":message-type": "error", ":error-code": "internal", ":error-message": "oh"}, b"")
    with pytest.raises(WireFault) as caught:
        upstream.stream_reader(PLAIN).feed(frame)
    assert (caught.value.code, caught.value.message) == ("internal", "oh")


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_malformed_output_is_the_upstreams_fault(reason: str) -> None:
    with pytest.raises(WireFault) as caught:
        upstream.stream_reader(PLAIN).feed(_end(reason))
    assert caught.value.code == "malformed_output"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n",
        encode_frame({}, b""),
        _frame("contentBlockDelta", b"nonsense"),
        _frame("contentBlockDelta", b"\xff"),
        _frame("contentBlockDelta", b'{"contentBlockIndex":0,"delta":' + b"[" * 100_000),
        _frame("contentBlockDelta", {"delta": {"text": "x"}}),
        _delta(-1, {"text": "x"}),
        _delta(0, {"text": 1}),
        _delta(0, {"toolUse": {"input": "{}"}}),
        _delta(0, {"toolUse": {"input": {}}}),
        _start(0, "a", "x") + _start(0, "b", "y"),
        _frame("messageStop", {}),
        _end() + _delta(0, {"text": "more"}),
        _end() + _end(),
        _frame("metadata", {"usage": USAGE}),
        _frame("messageStop", {"stopReason": "end_turn"}) + _frame("metadata", {"usage": {"inputTokens": 1}}),
        _frame("messageStop", {"stopReason": "end_turn"}) + _frame("metadata", {"usage": USAGE}) * 2,
    ],
)
def test_lies_are_corrupt(data: bytes) -> None:
    with pytest.raises(WireFault) as caught:
        upstream.stream_reader(PLAIN).feed(data)
    assert caught.value.code == "corrupt"


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
_KINDS = ["contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "other"]
_lies = st.builds(_frame, st.sampled_from(_KINDS), st.binary(max_size=20) | _json)
_parts = st.sampled_from(
    [_delta(0, {"text": "x"}), _start(0, "a", "x"), _delta(0, {"toolUse": {"input": "{"}}), _stop(0), _end()]
)


@given(st.lists(st.binary(max_size=40) | _lies | _parts, max_size=5))
def test_any_bytes_raise_nothing_but_wire_faults(chunks: list[bytes]) -> None:
    reader = upstream.stream_reader(JSON)
    with suppress(WireFault):
        for chunk in chunks:
            assert all(isinstance(event, Event) for piece in reader.feed(chunk) for event in piece.events)
