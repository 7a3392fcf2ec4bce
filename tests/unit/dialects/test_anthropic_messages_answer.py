"""What clients of Anthropic's API are answered, with Anthropic's SDK as the judge."""

import json
from typing import Any

import anthropic
import pytest
from anthropic.types import ErrorResponse
from pydantic import ValidationError
from tests.support.anthropic_wire import HEAD, ask_anthropic, read

from sekisho.core import errors
from sekisho.core.chat import Citation, RedactedThinking, Text, Thinking, ToolCall
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
from sekisho.core.wire import Piece
from sekisho.dialects.anthropic_messages import client

CALL = read(client, {"model": "sonnet", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]})
USAGE = Usage(input=7, output=20, cache_read=100, cache_write_5m=3, cache_write_1h=4, reasoning=6)
CITED = Citation(kind="char", cited_text="seki", title="Roads", document=0, start=2, end=6)
EVENTS: list[Event] = [
    ThinkingDelta("I "),
    ThinkingDelta("think"),
    ThinkingSignature("sig1"),
    ThinkingDelta("again"),
    ThinkingSignature("sig2"),
    RedactedThinkingBlock("b64"),
    TextDelta("関"),
    TextDelta("所"),
    CitationDelta(CITED),
    ToolCallStart(0, "toolu_1", "write"),
    ToolCallDelta(0, '{"path":'),
    ToolCallDelta(0, '"a"}'),
    ToolCallStart(1, "toolu_2", "list"),
    Finish("tool_calls", "tool_use"),
    UsageReport(USAGE),
]
ANSWER = ChatAnswer(
    parts=[
        Thinking(text="I think", signature="sig1"),
        Thinking(text="again", signature="sig2"),
        RedactedThinking(data="b64"),
        Text(text="関所", citations=[CITED]),
        ToolCall(id="toolu_1", name="write", arguments='{"path":"a"}'),
        ToolCall(id="toolu_2", name="list", arguments="{}"),
    ],
    finish=Finish("tool_calls", "tool_use"),
    usage=USAGE,
)


def stream(events: list[Event], usage: Usage = USAGE) -> bytes:
    writer = client.stream_writer(HEAD, CALL)
    return b"".join([*map(writer.write, events), writer.end(usage, None)])


def parse(content: bytes) -> list[dict[str, Any]]:
    blocks = content.decode().strip().split("\n\n")
    events = []
    for block in blocks:
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return events


def test_the_sdk_reads_the_same_message_whole_and_streamed() -> None:
    whole = ask_anthropic(client.write_answer(ANSWER, HEAD, CALL, None), stream=False).model_dump()
    streamed = ask_anthropic(stream(EVENTS), stream=True).model_dump()
    assert [block["type"] for block in whole["content"]] == [
        "thinking", "thinking", "redacted_thinking", "text", "tool_use", "tool_use",
    ]  # fmt: skip
    keys = ("type", "text", "thinking", "signature", "data", "id", "name", "input")
    for one, other in zip(whole["content"], streamed["content"], strict=True):
        assert {key: one.get(key) for key in keys} == {key: other.get(key) for key in keys}
        assert [c["cited_text"] for c in one.get("citations") or []] == [
            c["cited_text"] for c in other.get("citations") or []
        ]
    for message in (whole, streamed):
        assert message["id"] == "msg_0195-call"
        assert message["model"] == "sonnet"
        assert message["stop_reason"] == "tool_use"
        usage = message["usage"]
        assert (usage["input_tokens"], usage["output_tokens"]) == (7, 20)
        assert (usage["cache_creation_input_tokens"], usage["cache_read_input_tokens"]) == (7, 100)
    assert whole["usage"]["cache_creation"] == {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}
    assert whole["usage"]["output_tokens_details"] == {"thinking_tokens": 6}
    assert whole["content"][3]["citations"][0]["document_title"] == "Roads"


def test_the_events_come_in_anthropics_order() -> None:
    events = parse(stream([TextDelta("a"), TextDelta("b"), Finish("stop", "end_turn")]))
    assert [event["type"] for event in events] == [
        "message_start", "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip
    assert events[0]["message"]["content"] == []
    assert events[0]["message"]["usage"]["output_tokens"] == 0
    assert events[-2]["usage"]["input_tokens"] == 7


def test_blocks_follow_one_another() -> None:
    open_block = None
    for event in parse(stream(EVENTS)):
        if event["type"] == "content_block_start":
            assert open_block is None
            open_block = event["index"]
        elif event["type"] == "content_block_delta":
            assert event["index"] == open_block
        elif event["type"] == "content_block_stop":
            assert event["index"] == open_block
            open_block = None
    assert open_block is None


def test_arguments_of_a_call_that_is_over_are_not_lost_silently() -> None:
    writer = client.stream_writer(HEAD, CALL)
    for event in (ToolCallStart(0, "a", "x"), ToolCallDelta(0, "{"), ToolCallStart(1, "b", "y")):
        writer.write(event)
    with pytest.raises(errors.UpstreamUnavailable):
        writer.write(ToolCallDelta(0, "}"))


@pytest.mark.parametrize(
    ("finish", "word"),
    [
        (Finish("stop", "stop"), "end_turn"),
        (Finish("stop", "completed", "END"), "stop_sequence"),
        (Finish("stop", "pause_turn"), "pause_turn"),
        (Finish("stop", "tool_use"), "end_turn"),  # a stand-in tool gave the JSON answer
        (Finish("tool_calls", "tool_calls"), "tool_use"),
        (Finish("length", "model_context_window_exceeded"), "model_context_window_exceeded"),
        (Finish("length", "length"), "max_tokens"),
        (Finish("content_filter", "guardrail_intervened"), "refusal"),
    ],
)
def test_stop_reasons_are_anthropics_words(finish: Finish, word: str) -> None:
    answer = ChatAnswer(parts=[Text(text="x")], finish=finish, usage=USAGE)
    message = ask_anthropic(client.write_answer(answer, HEAD, CALL, 5), stream=False)
    assert (message.stop_reason, message.stop_sequence) == (word, finish.stop_sequence)
    assert ask_anthropic(stream([TextDelta("x"), finish]), stream=True).stop_reason == word


def test_an_empty_answer_is_a_whole_message() -> None:
    assert ask_anthropic(stream([Finish("stop", "end_turn")]), stream=True).content == []
    assert ask_anthropic(stream([]), stream=True).stop_reason == "end_turn"


def test_arguments_that_are_no_object_are_kept_in_one() -> None:
    answer = ChatAnswer(
        parts=[ToolCall(id="t", name="x", arguments='{"cut'), ToolCall(id="u", name="x", arguments="")],
        finish=Finish("length", "max_tokens"),
        usage=USAGE,
    )
    message = ask_anthropic(client.write_answer(answer, HEAD, CALL, None), stream=False)
    assert [block.input for block in message.content if block.type == "tool_use"] == [{"arguments": '{"cut'}, {}]


ERRORS: list[tuple[errors.SekishoError, str, str | None]] = [
    (errors.InvalidRequest("m"), "invalid_request_error", None),
    (errors.UnknownModel("m"), "invalid_request_error", None),
    (errors.Unauthenticated("m"), "authentication_error", None),
    (errors.AccessDenied("m"), "permission_error", None),
    (errors.BudgetExceeded("m"), "billing_error", None),
    (errors.RateLimited("m"), "rate_limit_error", None),
    (errors.NotFound("m"), "not_found_error", None),
    (errors.UpstreamThrottled("m", verdict="elsewhere"), "rate_limit_error", None),
    (errors.UpstreamUnavailable("m", verdict="same"), "overloaded_error", None),
    (errors.UpstreamUnavailable("m", verdict="same", status=504), "timeout_error", None),
    (errors.UpstreamUnavailable("m", verdict="same", status=502), "api_error", None),
    (errors.UpstreamMisconfigured("m", verdict="elsewhere"), "api_error", None),
    (errors.UpstreamRejected("m", verdict="never"), "invalid_request_error", None),
    (errors.InternalError("m"), "api_error", None),
    (errors.StoreUnavailable("m"), "overloaded_error", None),
]


@pytest.mark.parametrize(("error", "kind", "_"), ERRORS)
def test_errors_have_anthropics_types(error: errors.SekishoError, kind: str, _: None) -> None:
    body = ErrorResponse.model_validate_json(client.write_error(error))
    assert (body.error.type, body.error.message) == (kind, "m")
    with pytest.raises(anthropic.APIStatusError) as raised:
        ask_anthropic(client.write_error(error), stream=False, status=error.status)
    assert raised.value.status_code == error.status


def test_a_body_too_large_has_a_type_of_its_own() -> None:
    assert json.loads(client.write_error(errors.BodyTooLarge("m")))["error"]["type"] == "request_too_large"


def test_a_broken_stream_ends_with_an_error_event() -> None:
    writer = client.stream_writer(HEAD, CALL)
    content = writer.write(TextDelta("half")) + writer.fail(errors.UpstreamUnavailable("gone", verdict="elsewhere"))
    assert [event["type"] for event in parse(content)][-1] == "error"
    with pytest.raises(anthropic.APIStatusError, match="gone"):
        ask_anthropic(content, stream=True)


def test_a_stream_that_fails_before_anything_else_is_an_error_too() -> None:
    content = client.stream_writer(HEAD, CALL).fail(errors.RateLimited("slow down"))
    with pytest.raises(anthropic.APIStatusError, match="slow down"):
        ask_anthropic(content, stream=True)


def test_pings_keep_alive() -> None:
    writer = client.stream_writer(HEAD, CALL)
    content = writer.keep_alive() + writer.write(TextDelta("x")) + writer.keep_alive() + writer.end(USAGE, None)
    assert ask_anthropic(content, stream=True).content[0].model_dump()["text"] == "x"


def test_relayed_events_keep_their_bytes() -> None:
    writer = client.stream_writer(HEAD, CALL)
    data = b'{ "type":"message_delta", "delta":{"stop_reason":"end_turn","new":1.50}, "unheard_of": "\\u00e9" }'
    assert writer.relay(Piece("message_delta", data)) == b"event: message_delta\ndata: " + data + b"\n\n"
    # The type in the data counts where the envelope has none.
    assert writer.relay(Piece(None, b'{"type":"ping"}')) == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_relayed_events_fit_on_a_line() -> None:
    writer = client.stream_writer(HEAD, CALL)
    assert writer.relay(Piece("ping", b'{\n"type":\r\n"ping"}')).count(b"\n") == 3


@pytest.mark.parametrize("piece", [Piece("news", b'{"type":"news"}'), Piece(None, b"{}"), Piece(None, b"broken")])
def test_events_of_unknown_types_are_not_relayed(piece: Piece) -> None:
    assert client.stream_writer(HEAD, CALL).relay(piece) == b""


def test_a_citation_of_the_web_can_be_read() -> None:
    cited = Citation(kind="web", url="https://example.org/", title="t", cited_text="c")
    answer = ChatAnswer(parts=[Text(text="x", citations=[cited])], finish=Finish("stop", "stop"), usage=USAGE)
    message = ask_anthropic(client.write_answer(answer, HEAD, CALL, None), stream=False)
    assert message.content[0].model_dump()["citations"][0]["url"] == "https://example.org/"


def test_a_citation_that_tells_no_place_is_left_out() -> None:
    cited = Citation(kind="page", cited_text="c")
    answer = ChatAnswer(parts=[Text(text="x", citations=[cited])], finish=Finish("stop", "stop"), usage=USAGE)
    assert "citations" not in json.loads(client.write_answer(answer, HEAD, CALL, None))["content"][0]
    assert len(parse(stream([TextDelta("x"), CitationDelta(cited)]))) == len(parse(stream([TextDelta("x")])))


def test_counts_and_request_ids() -> None:
    assert json.loads(client.write_count(12)) == {"input_tokens": 12}
    assert client.answer_headers("0195", None) == ((b"request-id", b"req_0195"),)


def test_the_judge_can_refuse() -> None:
    with pytest.raises(ValidationError):
        ask_anthropic(b'{"type":"message","id":"m"}', stream=False)
