"""Streamed answers in the Responses API's form, judged by OpenAI's own SDK."""

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.support.openai_wire import encode, read_call

from sekisho.core.chat import Citation, ClientCall, RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.errors import InternalError, InvalidRequest, SekishoError, UpstreamThrottled, UpstreamUnavailable
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
from sekisho.core.wire import AnswerHead, WireRequest
from sekisho.dialects.openai_responses import client, upstream
from sekisho.dialects.openai_responses.serving.unescape import FreeFormReader

HEAD = AnswerHead(call_id="0198c0de-0000-7000-8000-00000000000a", model="claude", created=1_700_000_000)
USAGE = Usage(input=10, output=20)
RECORDED = sorted((Path(__file__).parent / "recorded" / "openai_responses").glob("*.bin"))
TOOLS = [
    {"type": "function", "name": "shell", "parameters": {"type": "object", "properties": {}}, "strict": False},
    {"type": "custom", "name": "apply_patch"},
    {"type": "namespace", "name": "agents", "description": "Others.", "tools": [{"type": "function", "name": "spawn"}]},
]
EVENTS: list[Event] = [
    ThinkingDelta("h"),
    ThinkingDelta("m"),
    ThinkingSignature("sig"),
    RedactedThinkingBlock("AAAA"),
    TextDelta("Hel"),
    TextDelta("lo"),
    CitationDelta(Citation(kind="web", url="https://x.org/", title="X")),
    CitationDelta(Citation(kind="page", document=0, start=1, end=2, title="Y")),
    TextDelta(" you"),
    CitationDelta(Citation(kind="web", url="https://z.org/")),
    ToolCallStart(0, "c1", "shell"),
    ToolCallDelta(0, '{"a"'),
    ToolCallStart(1, "c2", "apply_patch"),
    ToolCallDelta(0, ":1}"),
    ToolCallDelta(1, '{"input": "x'),
    ToolCallDelta(1, '\\ny"}'),
    ToolCallStart(2, "c3", "agents__spawn"),
    Finish("tool_calls", "tool_use"),
    UsageReport(USAGE),
]
any_event = TypeAdapter[Any](ResponseStreamEvent)


def ask(**fields: Any) -> ClientCall:
    wish = {"effort": "low", "summary": "auto"}
    return read_call(client, encode(**{"model": "m", "input": "x", "tools": TOOLS, "reasoning": wish, **fields}))


def parse(stream: bytes) -> list[dict[str, Any]]:
    """The events of a stream, each with the name that its type says, numbered without a gap, and known to the SDK."""
    events: list[dict[str, Any]] = []
    for block in stream.decode().removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        any_event.validate_python(event)
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == len(events)
        events.append(event)
    return events


def accumulate(events: Iterable[dict[str, Any]]) -> Response:
    """The answer as the SDK puts it together; it checks the order of events and the identity of items."""
    state = ResponseStreamState[None](input_tools=omit, text_format=omit)
    for event in events:
        state.handle_event(any_event.validate_python(event))
    assert state._completed_response is not None
    return state._completed_response


def stream(call: ClientCall, events: Iterable[Event]) -> bytes:
    writer = client.stream_writer(HEAD, call)
    return b"".join([writer.write(event) for event in events]) + writer.end(USAGE, 1_000)


def test_a_stream_of_every_kind_is_what_the_sdk_expects() -> None:
    events = parse(stream(ask(), EVENTS))
    response = accumulate(events)
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert response.output_text == "Hello you"
    assert {event["response"]["id"] for event in events if "response" in event} == {response.id}
    # What was told in deltas is what the items have at their end.
    said: dict[str, str] = {}
    for event in events:
        if event["type"].endswith(".delta"):
            said[event["item_id"]] = said.get(event["item_id"], "") + event["delta"]
    reasoning, _, message, shell, patch, spawn = events[-1]["response"]["output"]
    assert said == {
        reasoning["id"]: reasoning["summary"][0]["text"],
        message["id"]: message["content"][0]["text"],
        shell["id"]: shell["arguments"],
        patch["id"]: patch["input"],
        spawn["id"]: spawn["arguments"],
    }
    ends = [(one["type"], one.get("start_index"), one.get("end_index")) for one in message["content"][0]["annotations"]]
    assert ends == [("url_citation", 0, 5), ("file_citation", None, None), ("url_citation", 5, 9)]


def test_a_stream_ends_with_what_a_whole_answer_is() -> None:
    parts: list[Text | Thinking | RedactedThinking | ToolCall] = [
        Thinking(text="hm", signature="sig"),
        RedactedThinking(data="AAAA"),
        Text(text="Hello"),
        ToolCall(id="c1", name="shell", arguments='{"a":1}'),
        ToolCall(id="c2", name="apply_patch", arguments='{"input": "x\\ny"}'),
        ToolCall(id="c3", name="agents__spawn", arguments="{}"),
    ]
    whole = client.write_answer(
        ChatAnswer(parts=parts, finish=Finish("tool_calls", "tool_use"), usage=USAGE), HEAD, ask(), 1_000
    )
    shortened = [event for event in EVENTS if not isinstance(event, CitationDelta) and event != TextDelta(" you")]
    writer = client.stream_writer(HEAD, ask())
    events = b"".join([writer.write(event) for event in shortened]) + writer.end(USAGE, 1_000)
    assert parse(events)[-1]["response"] == json.loads(whole)
    assert getattr(writer, "whole") == whole  # noqa: B009 -- the protocol of all writers does not have it


def test_an_answer_cut_off_is_incomplete() -> None:
    last = parse(stream(ask(), [TextDelta("x"), Finish("length", "max_tokens")]))[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_an_answer_without_anything_still_has_its_frame() -> None:
    assert accumulate(parse(stream(ask(), [Finish("stop", "end_turn")]))).output == []
    assert accumulate(parse(stream(ask(), []))).output == []


def test_a_body_with_line_breaks_does_not_break_the_events() -> None:
    body = json.dumps({"model": "m", "input": "x", "tools": TOOLS, "text": {"verbosity": "low"}}, indent=2).encode()
    accumulate(parse(stream(read_call(client, body), [TextDelta("a\nb"), Finish("stop", "end_turn")])))


def test_reasoning_that_is_not_to_be_shown_stays_in_the_seal() -> None:
    events = parse(stream(ask(reasoning={"effort": "low"}), EVENTS))
    assert not [event for event in events if "summary" in event["type"]]
    accumulate(events)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UpstreamThrottled("rate limit", verdict="same"), "rate_limit_exceeded"),
        (InvalidRequest("wrong"), "invalid_prompt"),
        (UpstreamUnavailable("gone", verdict="elsewhere"), "server_error"),
        (InternalError("ours"), "server_error"),
    ],
)
@pytest.mark.parametrize("written", [0, 1, 6, 12])
def test_a_broken_stream_ends_with_a_failed_response(error: SekishoError, code: str, written: int) -> None:
    writer = client.stream_writer(HEAD, ask())
    data = b"".join([writer.write(event) for event in EVENTS[:written]]) + writer.fail(error)
    events = parse(data)
    assert [event["type"] for event in events if event["type"] == "error"] == []
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["id"] == events[0]["response"]["id"]
    assert events[-1]["response"]["error"] == {"code": code, "message": error.message}
    assert getattr(writer, "whole") is None  # noqa: B009


def test_a_compaction_is_one_item_and_nothing_else() -> None:
    call = ask(input=[{"role": "user", "content": "x"}, {"type": "compaction_trigger"}])
    events = parse(stream(call, [ThinkingDelta("hm"), TextDelta("We "), TextDelta("met."), Finish("stop", "end_turn")]))
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds == ["created", "in_progress", "output_item.added", "output_item.done", "completed"]
    assert [item.type for item in accumulate(events).output] == ["compaction"]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_relayed_stream_keeps_its_bytes_and_its_whole_answer(path: Path) -> None:
    reader, writer = upstream.stream_reader(WireRequest(body=b"")), client.stream_writer(HEAD, ask())
    assert b"".join(writer.relay(piece) for piece in reader.feed(path.read_bytes())) == path.read_bytes()
    last = json.loads(path.read_bytes().rsplit(b"data: ", 1)[1])
    assert json.loads(getattr(writer, "whole")) == last["response"]  # noqa: B009


def test_a_relayed_stream_without_names_gets_them() -> None:
    reader, writer = upstream.stream_reader(WireRequest(body=b"")), client.stream_writer(HEAD, ask())
    recorded = RECORDED[0].read_bytes()
    bare = b"\n".join(line for line in recorded.split(b"\n") if not line.startswith(b"event:"))
    assert b"".join(writer.relay(piece) for piece in reader.feed(bare)) == recorded


def test_a_relayed_stream_that_breaks_fails_under_its_own_id() -> None:
    reader, writer = upstream.stream_reader(WireRequest(body=b"")), client.stream_writer(HEAD, ask())
    data = b"\n\n".join(RECORDED[0].read_bytes().split(b"\n\n")[:5]) + b"\n\n"
    relayed = b"".join(writer.relay(piece) for piece in reader.feed(data))
    events = parse(relayed + writer.fail(UpstreamUnavailable("gone", verdict="elsewhere")))
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["id"] == "resp_68a1"


@given(st.text(), st.lists(st.integers(min_value=0), max_size=6), st.booleans())
def test_free_form_text_is_the_same_wherever_its_json_is_cut(text: str, cuts: list[int], ascii_only: bool) -> None:
    arguments = json.dumps({"input": text.encode("utf-8", "ignore").decode()}, ensure_ascii=ascii_only)
    places = sorted({cut % (len(arguments) + 1) for cut in cuts} | {0, len(arguments)})
    reader = FreeFormReader()
    pieces = [reader.feed(arguments[start:end]) for start, end in pairwise(places)]
    assert "".join(pieces) == reader.text == json.loads(arguments)["input"]
    assert reader.sound


@given(st.lists(st.text(alphabet='{"inp\\u tdD8:0}xé', max_size=12), max_size=5))
def test_arguments_of_any_kind_are_read_or_told_as_they_are(fragments: list[str]) -> None:
    events: list[Event] = [ToolCallStart(0, "c", "apply_patch"), *(ToolCallDelta(0, one) for one in fragments)]
    last = parse(stream(ask(), [*events, Finish("tool_calls", "tool_use")]))[-1]
    (item,) = last["response"]["output"]
    assert isinstance(item["input"], str)
