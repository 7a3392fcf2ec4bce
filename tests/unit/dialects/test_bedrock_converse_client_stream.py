"""Streams written for Converse's clients, read by botocore's event-stream parser."""

import pytest
from botocore.exceptions import EventStreamError
from hypothesis import given
from hypothesis import strategies as st
from tests.support.converse_client import HEAD, HELLO, converse, parse_error, parse_stream, read_call

from sekisho.core.chat import Citation
from sekisho.core.errors import (
    AccessDenied,
    BudgetExceeded,
    InternalError,
    InvalidRequest,
    RateLimited,
    SekishoError,
    Unauthenticated,
    UnknownModel,
    UpstreamThrottled,
    UpstreamUnavailable,
)
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
from sekisho.core.wire import Piece, WireRequest
from sekisho.dialects.bedrock_converse import client, upstream

USAGE = Usage(input=3, output=4, cache_read=5, cache_write_5m=6, cache_write_1h=7)
STOP = Finish("stop", "end_turn")


def write(*events: Event, **fields: object) -> bytes:
    writer = client.stream_writer(HEAD, converse(**fields))
    return b"".join(map(writer.write, events)) + writer.end(USAGE, None)


def reread(data: bytes) -> list[Event]:
    """The neutral events again, as our own reader of Converse sees them."""
    pieces = upstream.stream_reader(WireRequest(body=b"")).feed(data)
    return [event for piece in pieces for event in piece.events]


def test_a_whole_stream() -> None:
    events = parse_stream(
        write(
            ThinkingDelta("hm"),
            ThinkingSignature("sig"),
            RedactedThinkingBlock("QUJD"),
            TextDelta("Hel"),
            TextDelta("lo 世界"),
            CitationDelta(Citation(kind="page", title="t", cited_text="c", document=0, start=1, end=2)),
            ToolCallStart(0, "call_a", "read"),
            ToolCallDelta(0, '{"pa'),
            ToolCallDelta(0, 'th":1}'),
            ToolCallStart(1, "call_b", "write"),
            Finish("tool_calls", "tool_use"),
            UsageReport(USAGE),
        )
    )
    place = {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}
    deltas = [
        (0, {"reasoningContent": {"text": "hm"}}),
        (0, {"reasoningContent": {"signature": "sig"}}),
        (1, {"reasoningContent": {"redactedContent": b"ABC"}}),
        (2, {"text": "Hel"}),
        (2, {"text": "lo 世界"}),
        (2, {"citation": {"title": "t", "sourceContent": [{"text": "c"}], "location": place}}),
        (3, {"toolUse": {"input": '{"pa'}}),
        (3, {"toolUse": {"input": 'th":1}'}}),
        (4, {"toolUse": {"input": "{}"}}),
    ]
    told = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    assert [(delta["contentBlockIndex"], delta["delta"]) for delta in told] == deltas
    starts = [event["contentBlockStart"] for event in events if "contentBlockStart" in event]
    assert [start["contentBlockIndex"] for start in starts] == [3, 4]
    assert starts[0]["start"] == {"toolUse": {"toolUseId": "call_a", "name": "read"}}
    stops = [event["contentBlockStop"]["contentBlockIndex"] for event in events if "contentBlockStop" in event]
    assert stops == [0, 1, 2, 3, 4]
    assert events[0] == {"messageStart": {"role": "assistant"}}
    assert events[-2] == {"messageStop": {"stopReason": "tool_use"}}
    assert events[-1]["metadata"] == {
        "usage": {
            "inputTokens": 3,
            "outputTokens": 4,
            "totalTokens": 25,
            "cacheReadInputTokens": 5,
            "cacheWriteInputTokens": 13,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 7}, {"ttl": "5m", "inputTokens": 6}],
        },
        "metrics": {"latencyMs": 321},
    }


def test_text_goes_out_with_each_event() -> None:
    writer = client.stream_writer(HEAD, converse())
    assert [next(iter(event)) for event in parse_stream(writer.write(TextDelta("a")))] == [
        "messageStart",
        "contentBlockDelta",
    ]
    assert [next(iter(event)) for event in parse_stream(writer.write(TextDelta("b")))] == ["contentBlockDelta"]
    assert writer.keep_alive() == b""


def test_an_empty_answer_is_a_whole_stream_too() -> None:
    assert [next(iter(event)) for event in parse_stream(write(STOP))] == ["messageStart", "messageStop", "metadata"]


def test_interleaved_calls_are_sent_one_after_the_other() -> None:
    events = reread(
        write(
            ToolCallStart(0, "a", "first"),
            ToolCallStart(1, "b", "second"),
            ToolCallDelta(1, '{"b"'),
            ToolCallDelta(0, '{"a"'),
            ToolCallDelta(0, ":1}"),
            ToolCallDelta(1, ":2}"),
            Finish("tool_calls", "tool_calls"),
        )
    )
    assert events[:6] == [
        ToolCallStart(0, "a", "first"),
        ToolCallDelta(0, '{"a"'),
        ToolCallDelta(0, ":1}"),
        ToolCallStart(1, "b", "second"),
        ToolCallDelta(1, '{"b"'),
        ToolCallDelta(1, ":2}"),
    ]


def test_a_second_call_does_not_wait_for_the_end() -> None:
    writer = client.stream_writer(HEAD, converse())
    for event in (ToolCallStart(0, "a", "f"), ToolCallDelta(0, '{"a":1}')):
        writer.write(event)
    assert b"contentBlockStop" in writer.write(ToolCallStart(1, "b", "g"))
    assert b"toolUse" in writer.write(ToolCallDelta(1, '{"b'))


_CALLS = ["{}", '{"a":1}', '{"a":{"b":"}"}}', ""]


@st.composite
def _parallel_calls(draw: st.DrawFn) -> tuple[list[str], list[Event]]:
    """The arguments of some calls, and their events in any order that the neutral form allows."""
    arguments = draw(st.lists(st.sampled_from(_CALLS), min_size=1, max_size=3))
    queues: list[list[Event]] = []
    for number, text in enumerate(arguments):
        cut = draw(st.integers(0, len(text)))
        pieces = [ToolCallDelta(number, piece) for piece in (text[:cut], text[cut:])]
        queues.append([ToolCallStart(number, f"call_{number}", "f"), *pieces])
    events: list[Event] = []
    begun = 0  # calls are numbered in the order they start
    while any(queues):
        ready = [number for number in range(len(queues)) if queues[number] and number <= begun]
        number = draw(st.sampled_from(ready))
        begun += number == begun
        events.append(queues[number].pop(0))
    return arguments, events


@given(_parallel_calls())
def test_however_calls_interleave_their_arguments_stay_whole(drawn: tuple[list[str], list[Event]]) -> None:
    arguments, events = drawn
    data = write(*events, Finish("tool_calls", "tool_use"))
    parse_stream(data)
    told: dict[int, str] = {}
    order: list[int] = []
    for event in reread(data):
        if isinstance(event, ToolCallDelta):
            told[event.index] = told.get(event.index, "") + event.fragment
            order.append(event.index)
    assert told == {number: text or "{}" for number, text in enumerate(arguments)}
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("finish", "word"),
    [
        (STOP, "end_turn"),
        (Finish("stop", "stop"), "end_turn"),
        (Finish("stop", "stop_sequence", "END"), "stop_sequence"),
        (Finish("stop", "stop", "END"), "stop_sequence"),
        (Finish("stop", "tool_use"), "end_turn"),
        (Finish("tool_calls", "tool_calls"), "tool_use"),
        (Finish("length", "max_tokens"), "max_tokens"),
        (Finish("length", "model_context_window_exceeded"), "model_context_window_exceeded"),
        (Finish("content_filter", "refusal"), "content_filtered"),
        (Finish("content_filter", "guardrail_intervened"), "guardrail_intervened"),
    ],
)
def test_stop_reasons(finish: Finish, word: str) -> None:
    assert parse_stream(write(finish))[-2]["messageStop"]["stopReason"] == word


def test_the_stop_sequence_is_told_to_those_who_ask() -> None:
    finish = Finish("stop", "stop_sequence", "END")
    asked = {"additionalModelResponseFieldPaths": ["/stop_sequence"]}
    stop = parse_stream(write(finish, **asked))[-2]["messageStop"]
    assert stop["additionalModelResponseFields"] == {"stop_sequence": "END"}
    other = {"additionalModelResponseFieldPaths": ["/usage"], "inferenceConfig": {"stopSequences": ["/stop_sequence"]}}
    assert "additionalModelResponseFields" not in parse_stream(write(finish, **other))[-2]["messageStop"]


def test_relayed_pieces_are_the_upstreams_own_events() -> None:
    writer = client.stream_writer(HEAD, converse())
    data = write(TextDelta("hi"), STOP)
    pieces = [*upstream.stream_reader(WireRequest(body=b"")).feed(data), Piece("somethingNew", b'{"a":1}')]
    relayed = b"".join(map(writer.relay, pieces))
    assert relayed[: len(data)] == data
    assert b"somethingNew" in relayed


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UpstreamThrottled("rate limit", verdict="same"), "throttlingException"),
        (UpstreamUnavailable("gone", verdict="same"), "serviceUnavailableException"),
        (UpstreamUnavailable("broke", verdict="same", status=502), "modelStreamErrorException"),
        (InternalError("oh"), "internalServerException"),
        (InvalidRequest("no"), "validationException"),
    ],
)
def test_a_broken_stream_ends_in_an_exception(error: SekishoError, code: str) -> None:
    writer = client.stream_writer(HEAD, converse())
    data = writer.write(TextDelta("a")) + writer.fail(error)
    with pytest.raises(EventStreamError) as caught:
        parse_stream(data)
    assert caught.value.response["Error"] == {"Code": code, "Message": error.message}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unauthenticated("who"), "UnrecognizedClientException"),
        (Unauthenticated("who", code="InvalidSignatureException"), "InvalidSignatureException"),
        (Unauthenticated("who", code="IncompleteSignatureException"), "IncompleteSignatureException"),
        (Unauthenticated("who", code="invalid_api_key"), "UnrecognizedClientException"),
        (AccessDenied("no"), "AccessDeniedException"),
        (RateLimited("slow"), "ThrottlingException"),
        (BudgetExceeded("spent"), "ServiceQuotaExceededException"),
        (UnknownModel("which"), "ValidationException"),
        (InternalError("oh"), "InternalServerException"),
    ],
)
def test_errors_are_bedrocks(error: SekishoError, code: str) -> None:
    parsed = parse_error(error.status, {}, client.write_error(error))
    assert (parsed["Code"], parsed["Message"]) == (code, error.message)


def test_answers_tell_the_request_id() -> None:
    assert client.answer_headers("0199", None) == [(b"x-amzn-requestid", b"0199")]
    assert client.stream_type == b"application/vnd.amazon.eventstream"


def test_a_stream_is_asked_for_by_its_path() -> None:
    assert read_call({"messages": HELLO}, "/model/{model}/converse-stream").stream
    assert not read_call({"messages": HELLO}).stream
