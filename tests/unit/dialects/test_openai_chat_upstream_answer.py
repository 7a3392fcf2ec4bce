"""What servers of Chat Completions answer in one piece, as neutral answers."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.chat import Citation, RedactedThinking, Text, Thinking, ToolCall
from sekisho.core.events import (
    ChatAnswer,
    Finish,
)
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, WireAnswer, WireFault, WireRequest
from sekisho.dialects.openai_chat import upstream

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


def read(message: object, finish: str | None = "stop", **fields: object) -> ChatAnswer:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    body = json.dumps({"id": "x", "choices": [choice], "usage": USAGE} | fields).encode()
    return upstream.read_answer(WireAnswer({}, body), REQUEST)


class TestWholeAnswer:
    def test_text_and_usage(self) -> None:
        answer = read({"role": "assistant", "content": "hi"})
        assert answer == ChatAnswer(parts=[Text(text="hi")], finish=STOP, usage=COUNTED)

    def test_tool_calls(self) -> None:
        calls = [
            {"id": "c1", "type": "function", "function": {"name": "alias", "arguments": '{"a": 1}'}},
            {"function": {"name": "g", "arguments": {"b": 2}}},
            {"id": "c3", "function": {"name": "h"}},
        ]
        answer = read({"content": None, "tool_calls": calls}, "tool_calls")
        first, second, third = answer.parts
        assert first == ToolCall(id="c1", name="mcp.read", arguments='{"a": 1}')
        assert isinstance(second, ToolCall)
        assert (second.name, second.arguments) == ("g", '{"b":2}')
        assert second.id.startswith("call_")
        assert third == ToolCall(id="c3", name="h", arguments="{}")
        assert answer.finish == Finish("tool_calls", "tool_calls")

    def test_tools_count_whatever_the_server_says_of_the_end(self) -> None:
        message = {"content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}
        assert read(message, "stop").finish == Finish("tool_calls", "stop")
        assert read(message, "length").finish == Finish("length", "length")

    @pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
    def test_reasoning(self, field: str) -> None:
        assert read({"content": "a", field: "hm"}).parts == [Thinking(text="hm"), Text(text="a")]

    def test_signed_reasoning_of_another_gateway(self) -> None:
        blocks = [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        ]
        parts = read({"content": "a", "reasoning_content": "hm", "thinking_blocks": blocks}).parts
        assert parts == [Thinking(text="hm", signature="s"), RedactedThinking(data="ZGF0YQ=="), Text(text="a")]

    def test_refusal_is_what_the_model_says(self) -> None:
        assert read({"content": None, "refusal": "No."}).parts == [Text(text="No.")]

    def test_content_as_an_array(self) -> None:
        content = [{"type": "text", "text": "a"}, {"type": "other"}, {"type": "text", "text": "b"}]
        assert read({"content": content}).parts == [Text(text="ab")]

    def test_citations(self) -> None:
        place = {"start_index": 0, "end_index": 1, "title": "T", "url": "https://example.org/"}
        cited = [{"type": "url_citation", "url_citation": place}, {"type": "new"}]
        (text,) = read({"content": "a", "annotations": cited}).parts
        assert text == Text(text="a", citations=[Citation(kind="web", title="T", url="https://example.org/")])

    @pytest.mark.parametrize(
        ("native", "reason"),
        [("length", "length"), ("content_filter", "content_filter"), ("eos", "stop"), (None, "stop")],
    )
    def test_reasons(self, native: str | None, reason: str) -> None:
        assert read({"content": "a"}, native).finish.reason == reason

    @pytest.mark.parametrize("usage", [None, {}, {"total_tokens": 5}])
    def test_usage_that_was_not_told_is_zero(self, usage: object) -> None:
        assert read({"content": "a"}, usage=usage).usage == Usage()

    @pytest.mark.parametrize(
        ("told", "expected"),
        [
            ({"prompt_tokens": 5, "total_tokens": 8}, Usage(input=5, output=3)),
            ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": None}, Usage(input=5, output=2)),
            (
                {"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 4},
                Usage(input=1, output=2, cache_read=4),
            ),
            (
                {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 99}},
                Usage(input=0, output=2, cache_read=5),
            ),
        ],
    )
    def test_usage_of_other_servers(self, told: object, expected: Usage) -> None:
        assert read({"content": "a"}, usage=told).usage == expected

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html>",
            b"[]",
            b"{}",
            b'{"choices":[]}',
            b'{"choices":[{"message":{"content":5}}]}',
            b'{"choices":[{"message":{"content":"\xff"}}]}',
            b'{"choices":[{"message":{"tool_calls":[{"id":"a","function":{}}]}}]}',
            b'{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":-1}}',
        ],
    )
    def test_what_is_no_answer_is_corrupt(self, body: bytes) -> None:
        with pytest.raises(WireFault) as caught:
            upstream.read_answer(WireAnswer({}, body), REQUEST)
        assert caught.value.code == "corrupt"

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            ({"message": "m", "type": "server_error", "code": None}, "server_error"),
            ({"message": "m", "type": "t", "code": "rate_limit_exceeded"}, "rate_limit_exceeded"),
            ({"message": "m", "code": 503}, "503"),
            ("m", "error"),
        ],
    )
    def test_an_error_in_place_of_an_answer(self, error: object, code: str) -> None:
        with pytest.raises(WireFault) as caught:
            upstream.read_answer(WireAnswer({}, json.dumps({"error": error}).encode()), REQUEST)
        assert (caught.value.code, caught.value.message) == (code, "m")

    @given(st.binary() | SHAPED.map(lambda value: json.dumps(value).encode()))
    def test_any_input(self, body: bytes) -> None:
        try:
            upstream.read_answer(WireAnswer({}, body), REQUEST)
        except WireFault as fault:
            assert fault.code  # noqa: PT017  # whether it raises is up to hypothesis
