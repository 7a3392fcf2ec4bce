"""What Chat Completions clients get back, judged by the types of the official SDK."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.support.openai_wire import encode, read_call, read_whole

from sekisho.core.chat import Citation, RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.errors import BudgetExceeded, InvalidRequest, SekishoError, Unauthenticated, UpstreamThrottled
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
from sekisho.core.wire import AnswerHead, Piece
from sekisho.dialects.openai_chat import client

HEAD = AnswerHead(call_id="0199", model='alias "é"', created=1_790_000_000)
USAGE = Usage(input=10, output=7, cache_read=100, cache_write_5m=20, cache_write_1h=3, reasoning=4)
STOP = Finish("stop", "end_turn")
HELLO = [{"role": "user", "content": "hello"}]
CALL = read_call(client, encode(messages=HELLO, stream=True, stream_options={"include_usage": True}))
CALL_WITHOUT_USAGE = read_call(client, encode(messages=HELLO, stream=True))


def write_answer(parts: list[Text | Thinking | RedactedThinking | ToolCall], cost: int | None = None) -> ChatCompletion:
    written = client.write_answer(ChatAnswer(parts=parts, finish=STOP, usage=USAGE), HEAD, CALL, cost)
    return ChatCompletion.model_validate(json.loads(written), strict=True)


def write_stream(events: Sequence[Event], *, include_usage: bool = True, cost: int | None = None) -> bytes:
    writer = client.stream_writer(HEAD, CALL if include_usage else CALL_WITHOUT_USAGE)
    return b"".join(writer.write(event) for event in events) + writer.end(USAGE, cost)


def read_chunks(stream: bytes) -> list[ChatCompletionChunk]:
    """Parses a complete stream as the SDK does."""
    *events, last, nothing = stream.decode().split("\n\n")
    assert (last, nothing) == ("data: [DONE]", "")
    return [
        ChatCompletionChunk.model_validate(json.loads(event.removeprefix("data: ")), strict=True) for event in events
    ]


def read_deltas(stream: bytes) -> list[dict[str, Any]]:
    """The deltas between the role and the finish chunk."""
    chunks = [chunk for chunk in read_chunks(stream) if chunk.choices]
    return [chunk.choices[0].delta.model_dump(exclude_unset=True) for chunk in chunks[1:-1]]


class TestWholeAnswer:
    def test_text(self) -> None:
        answer = write_answer([Text(text="Hello "), Text(text="wörld")])
        assert (answer.id, answer.object, answer.model) == ("chatcmpl-0199", "chat.completion", HEAD.model)
        assert answer.created == HEAD.created
        (choice,) = answer.choices
        assert (choice.index, choice.finish_reason) == (0, "stop")
        assert choice.message.model_dump(exclude_unset=True) == {"role": "assistant", "content": "Hello wörld"}

    def test_usage(self) -> None:
        usage = write_answer([], cost=1_234_567).usage
        assert usage is not None
        assert usage.model_dump(exclude_unset=True) == {
            "prompt_tokens": 133,
            "completion_tokens": 7,
            "total_tokens": 140,
            "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 23},
            "completion_tokens_details": {"reasoning_tokens": 4},
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 23,
            "cost": 0.001234567,
        }

    def test_unpriced_is_not_free(self) -> None:
        assert b'"cost"' not in client.write_answer(ChatAnswer(parts=[], finish=STOP, usage=USAGE), HEAD, CALL, None)
        assert b'"cost":0.0' in client.write_answer(ChatAnswer(parts=[], finish=STOP, usage=USAGE), HEAD, CALL, 0)

    def test_only_tool_calls_have_no_content(self) -> None:
        message = write_answer([ToolCall(id="c1", name="f", arguments='{"a":1}')]).choices[0].message
        assert message.model_dump(exclude_unset=True) == {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
        }

    def test_nothing_at_all_is_empty_text(self) -> None:
        assert write_answer([]).choices[0].message.content == ""

    def test_signed_thinking_survives_the_way_back(self) -> None:
        parts: list[Text | Thinking | RedactedThinking | ToolCall] = [
            Thinking(text="hm", signature="c2ln"),
            RedactedThinking(data="ZGF0YQ=="),
            Text(text="x"),
            ToolCall(id="c1", name="f", arguments="{}"),
        ]
        message = write_answer(parts).choices[0].message.model_dump(exclude_unset=True)
        assert message["reasoning_content"] == "hm"
        body = json.dumps({"messages": [message]}).encode()
        assert read_whole(client, body).chat.messages[0].parts == parts

    def test_unsigned_thinking_is_shown_once(self) -> None:
        message = write_answer([Thinking(text="hm"), Text(text="x")]).choices[0].message.model_dump(exclude_unset=True)
        assert message == {"role": "assistant", "content": "x", "reasoning_content": "hm"}

    def test_citations_of_web_pages_become_annotations(self) -> None:
        page = Citation(kind="web", url="https://example.org/", title="Example")
        parts: list[Text | Thinking | RedactedThinking | ToolCall] = [
            Text(text="So "),
            Text(text="it is.", citations=[page, Citation(kind="page", document=0, start=1, end=2)]),
        ]
        assert write_answer(parts).choices[0].message.model_dump(exclude_unset=True)["annotations"] == [
            {
                "type": "url_citation",
                "url_citation": {"start_index": 3, "end_index": 9, "title": "Example", "url": "https://example.org/"},
            }
        ]


class TestStream:
    def test_order_of_chunks(self) -> None:
        stream = write_stream([TextDelta("Hel"), TextDelta("lo\n\nü\u2028"), STOP, UsageReport(USAGE)], cost=5_000_000)
        role, first, second, finish, usage = read_chunks(stream)
        assert role.choices[0].delta.model_dump(exclude_unset=True) == {"role": "assistant", "content": ""}
        assert (first.choices[0].delta.content, second.choices[0].delta.content) == ("Hel", "lo\n\nü\u2028")
        assert first.choices[0].finish_reason is None
        assert finish.choices[0].delta.model_dump(exclude_unset=True) == {}
        assert finish.choices[0].finish_reason == "stop"
        assert usage.choices == []
        assert usage.usage is not None
        assert usage.usage.prompt_tokens == 133
        assert usage.usage.model_dump()["cost"] == 0.005
        for chunk in (role, first, second, finish, usage):
            assert (chunk.id, chunk.object, chunk.model) == ("chatcmpl-0199", "chat.completion.chunk", HEAD.model)
            assert chunk.created == HEAD.created

    def test_usage_only_for_clients_that_asked(self) -> None:
        chunks = read_chunks(write_stream([TextDelta("x"), STOP, UsageReport(USAGE)], include_usage=False))
        assert all(chunk.usage is None and chunk.choices for chunk in chunks)

    def test_answer_without_any_delta(self) -> None:
        role, finish, _ = read_chunks(write_stream([Finish("content_filter", "guardrail_intervened")]))
        assert role.choices[0].delta.role == "assistant"
        assert finish.choices[0].finish_reason == "content_filter"

    def test_parallel_tool_calls(self) -> None:
        events: list[Event] = [
            ToolCallStart(0, "c0", "f"),
            ToolCallDelta(0, '{"a"'),
            ToolCallDelta(0, ":1}"),
            ToolCallStart(1, "c1", "g"),
            ToolCallDelta(1, '{"b":"ü"}'),
            Finish("tool_calls", "tool_use"),
        ]
        assert read_deltas(write_stream(events)) == [
            {"tool_calls": [{"index": 0, "id": "c0", "type": "function", "function": {"name": "f", "arguments": ""}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
            {"tool_calls": [{"index": 1, "id": "c1", "type": "function", "function": {"name": "g", "arguments": ""}}]},
            {"tool_calls": [{"index": 1, "function": {"arguments": '{"b":"ü"}'}}]},
        ]

    def test_tool_call_without_arguments_gets_an_empty_object(self) -> None:
        events: list[Event] = [ToolCallStart(0, "c0", "f"), ToolCallDelta(0, ""), Finish("tool_calls", "tool_use")]
        assert read_deltas(write_stream(events))[1:] == [
            {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        ]

    def test_signature_comes_with_the_whole_text_of_its_block(self) -> None:
        events: list[Event] = [
            ThinkingDelta("a"),
            ThinkingDelta("b"),
            ThinkingSignature("s1"),
            RedactedThinkingBlock("ZGF0YQ=="),
            ThinkingDelta("c"),
            ThinkingSignature("s2"),
            STOP,
        ]
        assert read_deltas(write_stream(events)) == [
            {"reasoning_content": "a"},
            {"reasoning_content": "b"},
            {"thinking_blocks": [{"type": "thinking", "thinking": "ab", "signature": "s1"}]},
            {"thinking_blocks": [{"type": "redacted_thinking", "data": "ZGF0YQ=="}]},
            {"reasoning_content": "c"},
            {"thinking_blocks": [{"type": "thinking", "thinking": "c", "signature": "s2"}]},
        ]

    def test_unsigned_reasoning_does_not_leak_into_the_next_block(self) -> None:
        events: list[Event] = [ThinkingDelta("a"), TextDelta("x"), ThinkingDelta("b"), ThinkingSignature("s"), STOP]
        assert read_deltas(write_stream(events))[-1]["thinking_blocks"][0]["thinking"] == "b"

    def test_broken_stream_ends_with_the_error_and_not_with_done(self) -> None:
        writer = client.stream_writer(HEAD, CALL)
        writer.write(TextDelta("x"))
        error = UpstreamThrottled("Upstream rate limit.", verdict="elsewhere", native="ThrottlingException")
        ended = writer.fail(error)
        assert ended == b"data: " + client.write_error(error) + b"\n\n"
        assert b"[DONE]" not in ended

    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
    def test_any_text_arrives_as_it_was(self, texts: list[str]) -> None:
        deltas = read_deltas(write_stream([*map(TextDelta, texts), STOP]))
        assert [delta["content"] for delta in deltas] == texts

    def test_citations_stand_for_the_text_before_them(self) -> None:
        first, second = (Citation(kind="web", url=f"https://example.org/{place}") for place in "ab")
        events: list[Event] = [
            TextDelta("one "),
            CitationDelta(first),
            TextDelta("two"),
            CitationDelta(Citation(kind="char", document=0)),
            CitationDelta(second),
            STOP,
        ]
        cited = [delta["annotations"][0] for delta in read_deltas(write_stream(events)) if "annotations" in delta]
        assert [(one["url_citation"]["start_index"], one["url_citation"]["end_index"]) for one in cited] == [
            (0, 4),
            (4, 7),
        ]

    def test_keep_alive_means_nothing(self) -> None:
        kept = client.stream_writer(HEAD, CALL).keep_alive()
        assert kept.startswith(b":")
        assert kept.endswith(b"\n\n")


class TestRelay:
    """Events of an upstream that speaks this format itself."""

    USAGE_CHUNK = b'{"choices": [],"usage":{"prompt_tokens":1,"completion_tokens":2},"x":1.50}'

    def test_bytes_are_kept(self) -> None:
        data = b'{"choices":[{"delta":{"content":"x"}}], "x_new": 1.50 }'
        writer = client.stream_writer(HEAD, CALL_WITHOUT_USAGE)
        assert writer.relay(Piece(None, data, [TextDelta("x")])) == b"data: " + data + b"\n\n"
        assert writer.relay(Piece(None, b"[DONE]")) == b"data: [DONE]\n\n"

    def test_usage_chunk_is_for_clients_that_asked(self) -> None:
        piece = Piece(None, self.USAGE_CHUNK, [UsageReport(USAGE)])
        assert client.stream_writer(HEAD, CALL_WITHOUT_USAGE).relay(piece) == b""
        assert client.stream_writer(HEAD, CALL).relay(piece) == b"data: " + self.USAGE_CHUNK + b"\n\n"

    def test_usage_on_a_chunk_of_the_answer_hides_nothing(self) -> None:
        data = b'{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{}}'
        piece = Piece(None, data, [STOP, UsageReport(USAGE)])
        assert client.stream_writer(HEAD, CALL_WITHOUT_USAGE).relay(piece) == b"data: " + data + b"\n\n"


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (
                InvalidRequest("`n` must be at least 1.", param="n"),
                {"message": "`n` must be at least 1.", "type": "invalid_request_error", "param": "n", "code": "400"},
            ),
            (
                Unauthenticated("No key.", kind="expired_key"),
                {"message": "No key.", "type": "expired_key", "param": None, "code": "401"},
            ),
            (
                BudgetExceeded("Spent.", status=422),
                {"message": "Spent.", "type": "budget_exceeded", "param": None, "code": "422"},
            ),
            (
                UpstreamThrottled("rate limit", verdict="same", native="ThrottlingException"),
                {"message": "rate limit", "type": "throttling_error", "param": None, "code": "ThrottlingException"},
            ),
        ],
    )
    def test_shape(self, error: SekishoError, expected: dict[str, object]) -> None:
        assert json.loads(client.write_error(error)) == {"error": expected}
