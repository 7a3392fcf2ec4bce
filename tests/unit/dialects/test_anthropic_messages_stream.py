"""What is understood of the answers of Anthropic's API, whole and streamed."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.anthropic_wire import HEAD, ask_anthropic, read

from sekisho.core.chat import Citation, RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.events import (
    Event,
    Finish,
    TextDelta,
    ThinkingSignature,
    ToolCallDelta,
    ToolCallStart,
    UsageReport,
)
from sekisho.core.usage import Usage
from sekisho.core.wire import WireAnswer, WireFault, WireRequest
from sekisho.dialects.anthropic_messages import client, upstream

RECORDED = Path(__file__).parent / "recorded" / "anthropic_messages" / "tools_and_thinking.bin"
PLAIN = WireRequest(body=b"")
JSON_TOOL = WireRequest(body=b"", json_tool="json_response", tool_names={"a_b": "a.b"})
START = {"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}}
STOP = {"type": "message_stop"}


def block(content: dict[str, Any], *deltas: dict[str, Any], index: int = 0) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(*words: str, index: int = 0) -> list[dict[str, Any]]:
    return block({"type": "text", "text": ""}, *({"type": "text_delta", "text": word} for word in words), index=index)


def ending(reason: str = "end_turn", **usage: Any) -> list[dict[str, Any]]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9, **usage}}, STOP]


def encode(events: list[dict[str, Any]]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


def events_of(events: list[dict[str, Any]], request: WireRequest = PLAIN) -> list[Event]:
    reader = upstream.stream_reader(request)
    found = [event for piece in reader.feed(encode(events)) for event in piece.events]
    assert reader.complete
    return found


def fault_of(events: list[dict[str, Any]]) -> WireFault:
    with pytest.raises(WireFault) as raised:
        upstream.stream_reader(PLAIN).feed(encode(events))
    return raised.value


def test_every_event_is_a_piece() -> None:
    reader = upstream.stream_reader(PLAIN)
    sent: list[dict[str, Any]] = [START, {"type": "ping"}, *text("a"), {"type": "unheard_of", "delta": 5}, *ending()]
    pieces = reader.feed(encode(sent))
    assert [piece.name for piece in pieces] == [event["type"] for event in sent]
    assert [json.loads(piece.data) for piece in pieces] == sent


def test_what_is_relayed_is_what_the_sdk_would_have_read() -> None:
    call = read(client, {"model": "m", "messages": [{"role": "user", "content": "x"}]})
    writer = client.stream_writer(HEAD, call)
    recorded = RECORDED.read_bytes()
    relayed = b"".join(writer.relay(piece) for piece in upstream.stream_reader(PLAIN).feed(recorded))
    assert relayed == recorded
    assert ask_anthropic(relayed, stream=True).stop_reason == "tool_use"


def test_usage_is_merged_from_both_ends() -> None:
    start = {
        "type": "message_start",
        "message": {
            "usage": {
                "input_tokens": 5,
                "cache_read_input_tokens": 70,
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
                "output_tokens": 1,
            }
        },
    }
    last = events_of([start, *text("a"), *ending(input_tokens=6, cache_read_input_tokens=None)])[-1]
    assert last == UsageReport(Usage(input=6, output=9, cache_read=70, cache_write_5m=10, cache_write_1h=20))


def test_a_server_that_tells_no_usage_leaves_it_to_be_estimated() -> None:
    bare = [{"type": "message_start", "message": {}}, *text("a"), {**ending()[0], "usage": None}, STOP]
    assert events_of(bare) == [TextDelta("a"), Finish("stop", "end_turn")]


def test_tool_calls_are_numbered_among_themselves() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "a_b", "input": {}}
    events = events_of(
        [
            START,
            *text("x"),
            *block(call, {"type": "input_json_delta", "partial_json": '{"a":1}'}, index=1),
            *block({**call, "type": "server_tool_use"}, {"type": "input_json_delta", "partial_json": "{"}, index=2),
            *block({**call, "id": "t2", "input": {"b": 2}}, index=3),
            *block({**call, "id": "t3"}, index=4),
            *ending("tool_use"),
        ],
        WireRequest(body=b"", tool_names={"a_b": "a.b"}),
    )  # fmt: skip
    assert events[1:-2] == [
        ToolCallStart(0, "t1", "a.b"),
        ToolCallDelta(0, '{"a":1}'),
        ToolCallStart(1, "t2", "a.b"),
        ToolCallDelta(1, '{"b": 2}'),
        ToolCallStart(2, "t3", "a.b"),
        ToolCallDelta(2, "{}"),
    ]


def test_hidden_thinking_has_only_a_signature() -> None:
    hidden = block({"type": "thinking", "thinking": "", "signature": ""}, {"type": "signature_delta", "signature": "s"})
    assert events_of([START, *hidden, *ending()])[0] == ThinkingSignature("s")


def test_a_json_answer_comes_through_the_tool_alone() -> None:
    call = {"type": "tool_use", "id": "t", "name": "json_response", "input": {}}
    events = [
        START,
        *text("Here it is:"),
        *block(call, {"type": "input_json_delta", "partial_json": '{"a":1}'}, index=1),
        *ending("tool_use"),
    ]
    assert events_of(events, JSON_TOOL)[:-1] == [TextDelta('{"a":1}'), Finish("stop", "tool_use")]
    # Without it, the text held back is the answer.
    assert events_of([START, *text("No."), *ending()], JSON_TOOL)[0] == TextDelta("No.")


@pytest.mark.parametrize(
    ("word", "reason"),
    [("end_turn", "stop"), ("pause_turn", "stop"), ("unheard_of", "stop"), ("tool_use", "tool_calls"),
     ("max_tokens", "length"), ("model_context_window_exceeded", "length"), ("refusal", "content_filter")],
)  # fmt: skip
def test_reasons_to_stop(word: str, reason: Any) -> None:
    assert Finish(reason, word) in events_of([START, *text("a"), *ending(word)])


def test_unknown_deltas_mean_nothing() -> None:
    odd = block({"type": "text", "text": ""}, {"type": "odd_delta", "text": 5}, {"type": "odd_delta"})
    assert len(events_of([START, *odd, *ending()])) == 2


def test_an_error_event_is_a_fault_of_its_type() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    fault = fault_of([START, *text("a"), error])
    assert (fault.code, fault.message) == ("overloaded_error", "Overloaded")
    assert fault_of([{"type": "error"}]).code == "api_error"


@pytest.mark.parametrize(
    "events",
    [
        text("a"),
        [START, START],
        [START, text("a")[1]],
        [START, text("a")[2]],
        [START, text("a")[0], text("a")[0]],
        [START, STOP],
        [START, *ending(), *text("a")],
        [START, *ending(), STOP],
        [START, ending()[0], ending()[0]],
        [START, *block({"type": "text", "text": ""}, {"type": "text_delta", "text": 5})],
        [START, *block({"type": "tool_use", "id": "t", "name": "n", "input": "text"})],
        [START, {"type": "content_block_start", "index": -1, "content_block": {"type": "text"}}],
        [{"type": "message_start", "message": {"usage": {"input_tokens": -5}}}],
    ],
)
def test_what_does_not_fit_is_corrupt(events: list[dict[str, Any]]) -> None:
    assert fault_of(events).code == "corrupt"


def test_a_stream_that_ends_early_is_not_complete() -> None:
    reader = upstream.stream_reader(PLAIN)
    reader.feed(encode([START, *text("a"), ending()[0]]))
    assert not reader.complete


@given(
    st.lists(
        st.sampled_from(
            [
                START,
                STOP,
                *text("a"),
                *ending(),
                *block(
                    {"type": "tool_use", "id": "t", "name": "n"},
                    {"type": "input_json_delta", "partial_json": "{"},
                    index=1,
                ),
            ]
        ),
        max_size=9,
    )
)
def test_events_in_any_order_are_read_or_a_fault(events: list[dict[str, Any]]) -> None:
    reader = upstream.stream_reader(PLAIN)
    try:
        found = [event for piece in reader.feed(encode(events)) for event in piece.events]
    except WireFault:
        return
    assert sum(isinstance(event, Finish) for event in found) <= 1
    assert reader.complete == (STOP in events)


def message(**fields: Any) -> bytes:
    whole: dict[str, Any] = {
        "type": "message", "content": [], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 9}, "unheard_of": 1,
    }  # fmt: skip
    return json.dumps(whole | fields).encode()


def test_a_whole_answer() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "a", "citations": [{"type": "page_location", "cited_text": "c", "document_index": 0,
         "document_title": None, "start_page_number": 1, "end_page_number": 2}, {"type": "unheard_of"}]},
        {"type": "web_search_tool_result", "content": []},
        {"type": "tool_use", "id": "t", "name": "a_b", "input": {"x": 1}},
    ]  # fmt: skip
    answer = upstream.read_answer(WireAnswer({}, message(content=content, stop_reason="tool_use")), JSON_TOOL)
    cited = Citation(kind="page", cited_text="c", document=0, start=1, end=2)
    assert answer.parts == [
        Thinking(text="hm", signature="s"),
        RedactedThinking(data="d"),
        Text(text="a", citations=[cited]),
        ToolCall(id="t", name="a.b", arguments='{"x": 1}'),
    ]
    assert (answer.finish, answer.usage) == (Finish("tool_calls", "tool_use"), Usage(input=5, output=9))


def test_a_whole_json_answer() -> None:
    content = [
        {"type": "text", "text": "Here:"},
        {"type": "tool_use", "id": "t", "name": "json_response", "input": {"a": 1}},
    ]
    answer = upstream.read_answer(WireAnswer({}, message(content=content, stop_reason="tool_use")), JSON_TOOL)
    assert answer.parts == [Text(text='{"a": 1}')]
    assert answer.finish.reason == "stop"


def test_an_error_told_as_an_answer() -> None:
    body = b'{"type":"error","error":{"type":"api_error","message":"m"}}'
    with pytest.raises(WireFault) as raised:
        upstream.read_answer(WireAnswer({}, body), PLAIN)
    assert (raised.value.code, raised.value.message) == ("api_error", "m")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"\xff", message(content=5), message(content=[{"type": "text"}]), message(stop_reason=None),
     message(usage={"input_tokens": -1})],
)  # fmt: skip
def test_another_answer_is_corrupt(body: bytes) -> None:
    with pytest.raises(WireFault) as raised:
        upstream.read_answer(WireAnswer({}, body), PLAIN)
    assert raised.value.code == "corrupt"
