"""Streams of containers behind SageMaker: taken out of their frames, however these are cut."""

import json
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.events import Event, Finish, TextDelta, ToolCallDelta, ToolCallStart, UsageReport
from sekisho.core.wire import Piece, StreamReader, WireAnswer, WireFault, WireRequest
from sekisho.dialects import sagemaker_chat
from sekisho.dialects.common.eventstream import encode_frame
from sekisho.dialects.openai_chat import client
from sekisho.dialects.openai_chat import upstream as openai_chat

REQUEST = WireRequest(body=b"{}")


def chunk(delta: dict[str, object] | None, finish: str | None = None, **more: object) -> dict[str, object]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}


CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "get", "arguments": '{"a":"ü"}'}}
CHUNKS = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Grüße, 関所"}),
    chunk({"tool_calls": [CALL]}),
    chunk({}, "tool_calls"),
    chunk(None, usage={"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}),
]
SSE = b"".join(b"data: " + json.dumps(each, ensure_ascii=False).encode() + b"\n\n" for each in CHUNKS)
SSE += b"data: [DONE]\n\n"


def part(payload: bytes) -> bytes:
    headers = {":event-type": "PayloadPart", ":content-type": "application/octet-stream", ":message-type": "event"}
    return encode_frame(headers, payload)


def reader() -> StreamReader:
    return sagemaker_chat.upstream.stream_reader(REQUEST)


def events_of(pieces: list[Piece]) -> list[Event]:
    return [event for piece in pieces for event in piece.events]


EXPECTED = openai_chat.stream_reader(REQUEST).feed(SSE)


def test_the_expected_events_are_what_was_said() -> None:
    kinds = [type(event) for event in events_of(list(EXPECTED))]
    assert kinds == [TextDelta, ToolCallStart, ToolCallDelta, Finish, UsageReport]


@given(cuts=st.lists(st.integers(0, len(SSE)), max_size=6), step=st.integers(1, 40))
def test_frames_and_packets_may_cut_anywhere(cuts: list[int], step: int) -> None:
    places = [0, *sorted(cuts), len(SSE)]
    stream = b"".join(part(SSE[start:end]) for start, end in pairwise(places))
    read = reader()
    pieces = [piece for at in range(0, len(stream), step) for piece in read.feed(stream[at : at + step])]
    assert pieces == EXPECTED
    assert read.complete


def test_a_stream_cut_at_any_byte_gives_the_same_events() -> None:
    stream = part(SSE[:37]) + part(SSE[37:])
    for cut in range(len(stream) + 1):
        read = reader()
        assert [*read.feed(stream[:cut]), *read.feed(stream[cut:])] == EXPECTED


def test_a_stream_is_complete_only_between_frames() -> None:
    states = []
    read = reader()
    for data in (part(SSE), part(b": more\n\n")[:10], part(b": more\n\n")[10:]):
        read.feed(data)
        states.append(read.complete)
    assert states == [True, False, True]
    short = reader()
    short.feed(part(SSE[: SSE.index(b"data: [DONE]") // 2]))
    assert not short.complete


def test_frames_of_other_events_are_passed_over() -> None:
    assert reader().feed(encode_frame({":event-type": "News", ":message-type": "event"}, b"{}")) == []


@pytest.mark.parametrize(
    ("headers", "payload", "code", "message"),
    [
        (
            {":message-type": "exception", ":exception-type": "ModelStreamError"},
            b'{"Message":"gone","ErrorCode":"StreamBroken"}',
            "StreamBroken",
            "gone",
        ),
        (
            {":message-type": "exception", ":exception-type": "InternalStreamFailure"},
            b'{"Message":"sorry"}',
            "InternalStreamFailure",
            "sorry",
        ),
        ({":message-type": "exception", ":exception-type": "ModelStreamError"}, b"", "ModelStreamError", ""),
        (
            {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "oops"},
            b"",
            "InternalFailure",
            "oops",
        ),
        ({}, b"[1]", "ModelStreamError", ""),
    ],
)
def test_exceptions_are_faults(headers: dict[str, str], payload: bytes, code: str, message: str) -> None:
    with pytest.raises(WireFault) as caught:
        reader().feed(encode_frame(headers, payload))
    assert caught.value.code == code
    assert message in caught.value.message


def test_an_error_of_the_container_is_its_own() -> None:
    error = {"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}}
    with pytest.raises(WireFault) as caught:
        reader().feed(part(b"data: " + json.dumps(error).encode() + b"\n\n"))
    assert caught.value.code in ("context_length_exceeded", "invalid_request_error")


@given(data=st.binary(max_size=200), payload=st.binary(max_size=80))
def test_arbitrary_bytes_are_a_fault_at_worst(data: bytes, payload: bytes) -> None:
    for stream in (data, part(payload), part(b"data: " + payload + b"\n\n")):
        with suppress(WireFault):
            assert all(isinstance(piece, Piece) for piece in reader().feed(stream))


def test_a_whole_answer_is_openais() -> None:
    answer = {
        "id": "c1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }
    wire = WireAnswer({}, json.dumps(answer).encode())
    assert sagemaker_chat.upstream.read_answer(wire, REQUEST) == openai_chat.read_answer(wire, REQUEST)


def test_it_is_of_openais_family() -> None:
    assert sagemaker_chat.name == "sagemaker_chat"
    assert sagemaker_chat.upstream.family == client.family
