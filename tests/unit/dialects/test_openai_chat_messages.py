"""How the messages of a Chat Completions body become system text and turns."""

import json

import pytest
from tests.support.openai_wire import read_whole

from sekisho.core.chat import (
    CacheMark,
    ChatRequest,
    Document,
    Image,
    Message,
    Part,
    RedactedThinking,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.dialects.openai_chat import client

PNG = "iVBORw0KGgo="
MARK = {"cache_control": {"type": "ephemeral"}}


def read(*messages: object) -> ChatRequest:
    return read_whole(client, json.dumps({"model": "m", "messages": messages}).encode()).chat


def read_parts(content: object, role: str = "user") -> list[Part]:
    (message,) = read({"role": role, "content": content}).messages
    return message.parts


def call(call_id: str, name: str = "f", arguments: str = "{}") -> dict[str, object]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


class TestTurns:
    def test_system_and_developer_are_hoisted_in_order(self) -> None:
        chat = read(
            {"role": "system", "content": "one"},
            {"role": "user", "content": "hi"},
            {"role": "developer", "content": [{"type": "text", "text": "two"}, {"type": "text", "text": "three"}]},
        )
        assert chat.system == [Text(text="one"), Text(text="two"), Text(text="three")]
        assert chat.messages == [Message(role="user", parts=[Text(text="hi")])]

    def test_results_of_parallel_calls_and_what_the_user_says_next_are_one_user_turn(self) -> None:
        chat = read(
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": None, "tool_calls": [call("1"), call("2", arguments="")]},
            {"role": "tool", "tool_call_id": "1", "content": "a"},
            {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "b"}]},
            {"role": "user", "content": "next"},
        )
        assert [message.role for message in chat.messages] == ["user", "assistant", "user"]
        assert chat.messages[1].parts == [
            ToolCall(id="1", name="f", arguments="{}"),
            ToolCall(id="2", name="f", arguments="{}"),
        ]
        assert chat.messages[2].parts == [
            ToolResult(call_id="1", parts=[Text(text="a")]),
            ToolResult(call_id="2", parts=[Text(text="b")]),
            Text(text="next"),
        ]

    def test_arguments_are_kept_as_text(self) -> None:
        broken = '{"a": 1.0, "b'
        (turn,) = read({"role": "assistant", "tool_calls": [call("1", arguments=broken)]}).messages
        assert turn.parts == [ToolCall(id="1", name="f", arguments=broken)]

    def test_result_without_an_earlier_call_is_accepted(self) -> None:
        (turn,) = read({"role": "tool", "tool_call_id": "lost", "content": ""}).messages
        assert turn == Message(role="user", parts=[ToolResult(call_id="lost", parts=[Text(text="")])])

    def test_empty_assistant_message_is_no_turn(self) -> None:
        chat = read(
            {"role": "user", "content": "a"}, {"role": "assistant", "content": ""}, {"role": "user", "content": "b"}
        )
        assert chat.messages == [Message(role="user", parts=[Text(text="a"), Text(text="b")])]

    def test_refusals_are_text(self) -> None:
        (turn,) = read(
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "refusal": "never"}
        ).messages
        assert turn.parts == [Text(text="no"), Text(text="never")]

    def test_legacy_function_call_and_its_result_belong_together(self) -> None:
        chat = read(
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}},
            {"role": "function", "name": "f", "content": "done"},
        )
        (tool_call,) = chat.messages[0].parts
        (result,) = chat.messages[1].parts
        assert isinstance(tool_call, ToolCall)
        assert isinstance(result, ToolResult)
        assert (tool_call.name, tool_call.arguments) == ("f", '{"a":1}')
        assert result.call_id == tool_call.id


class TestThinking:
    def test_signed_blocks_come_first_and_verbatim(self) -> None:
        (turn,) = read(
            {
                "role": "assistant",
                "content": "text",
                "reasoning_content": "ignored, because the blocks say it",
                "thinking_blocks": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    {"type": "redacted_thinking", "data": "ZGF0YQ=="},
                    {"type": "thinking", "thinking": "unsigned", "signature": ""},
                ],
                "tool_calls": [call("1")],
            }
        ).messages
        assert turn.parts == [
            Thinking(text="hm", signature="c2ln"),
            RedactedThinking(data="ZGF0YQ=="),
            Thinking(text="unsigned"),
            Text(text="text"),
            ToolCall(id="1", name="f", arguments="{}"),
        ]

    def test_reasoning_content_alone_has_no_signature(self) -> None:
        (turn,) = read({"role": "assistant", "content": "x", "reasoning_content": "hm", "thinking_blocks": []}).messages
        assert turn.parts == [Thinking(text="hm"), Text(text="x")]

    def test_thinking_as_content_parts(self) -> None:
        content = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "x"}]
        assert read_parts(content, "assistant") == [Thinking(text="hm", signature="s"), Text(text="x")]


class TestParts:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            (f"data:image/png;base64,{PNG}", Image(media_type="image/png", data=PNG)),
            (f"data:IMAGE/JPG;base64,{PNG}", Image(media_type="image/jpeg", data=PNG)),
            (f"data:image/webp;name=a.webp;base64,{PNG}", Image(media_type="image/webp", data=PNG)),
            ("https://example.org/a.png", Image(url="https://example.org/a.png")),
        ],
    )
    def test_images(self, url: str, expected: Image) -> None:
        assert read_parts([{"type": "image_url", "image_url": {"url": url, "detail": "low"}}]) == [expected]
        assert read_parts([{"type": "image_url", "image_url": url}]) == [expected]

    def test_image_in_a_tool_result(self) -> None:
        image = {"type": "image_url", "image_url": {"url": f"data:image/gif;base64,{PNG}"}}
        (turn,) = read({"role": "tool", "tool_call_id": "1", "content": [image]}).messages
        assert turn.parts == [ToolResult(call_id="1", parts=[Image(media_type="image/gif", data=PNG)])]

    def test_files(self) -> None:
        data = "data:application/pdf;base64,JVBERg=="
        named = {"type": "file", "file": {"file_data": data, "filename": "spec.pdf"}}
        nameless = {"type": "file", "file": {"file_data": data}}
        assert read_parts([named, nameless]) == [
            Document(name="spec.pdf", media_type="application/pdf", data="JVBERg=="),
            Document(name="document", media_type="application/pdf", data="JVBERg=="),
        ]

    @pytest.mark.parametrize(
        "url",
        [
            "ftp://example.org/a.png",
            "https://",
            "http://[broken/",
            "data:image/png,plain",
            "data:image/svg+xml;base64,AAAA",
            "data:image/png;base64,",
            "data:image/png;base64,AAA",
            "data:image/png;base64,AA=A",
            "data:image/png;base64,AAA\n",
            "data:image/png;base64,A===",
            "data:image/png;base64,AA-_",
            "",
        ],
    )
    def test_bad_image_urls_are_named_and_not_repeated(self, url: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            read(
                {"role": "user", "content": "a"},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]},
            )
        assert caught.value.param == "messages[1].content[0].image_url.url"
        assert not url or url not in caught.value.message

    @pytest.mark.parametrize(
        ("part", "param"),
        [
            ({"type": "input_audio", "input_audio": {}}, "messages[0].content[0]"),
            ({"type": "file", "file": {"file_id": "file-1"}}, "messages[0].content[0].file.file_id"),
        ],
    )
    def test_what_cannot_be_carried_is_unsupported(self, part: object, param: str) -> None:
        with pytest.raises(Unsupported) as caught:
            read_parts([part])
        assert caught.value.param == param


class TestCacheMarks:
    def test_on_parts(self) -> None:
        long = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
        parts = read_parts([{"type": "text", "text": "a", **MARK}, {"type": "text", "text": "b", **long}])
        assert parts == [Text(text="a", cache=CacheMark("5m")), Text(text="b", cache=CacheMark("1h"))]

    def test_on_a_message_it_applies_to_the_last_part(self) -> None:
        chat = read(
            {"role": "system", "content": "s", **MARK},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], **MARK},
            {"role": "assistant", "content": "c", "tool_calls": [call("1")], **MARK},
            {"role": "tool", "tool_call_id": "1", "content": "d", **MARK},
        )
        assert chat.system == [Text(text="s", cache=CacheMark())]
        assert chat.messages[0].parts == [Text(text="a"), Text(text="b", cache=CacheMark())]
        assert chat.messages[1].parts[-1] == ToolCall(id="1", name="f", arguments="{}", cache=CacheMark())
        assert chat.messages[2].parts == [ToolResult(call_id="1", parts=[Text(text="d")], cache=CacheMark())]

    def test_on_a_message_it_never_lands_on_reasoning(self) -> None:
        blocks = [{"type": "thinking", "thinking": "hm", "signature": "s"}]
        (turn,) = read({"role": "assistant", "content": None, "thinking_blocks": blocks, **MARK}).messages
        assert turn.parts == [Thinking(text="hm", signature="s")]

    def test_inside_a_tool_result_it_moves_to_the_result(self) -> None:
        (turn,) = read(
            {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "d", **MARK}]}
        ).messages
        assert turn.parts == [ToolResult(call_id="1", parts=[Text(text="d")], cache=CacheMark())]


class TestRefusals:
    @pytest.mark.parametrize(
        ("message", "param"),
        [
            ("hi", "messages[0]"),
            ({"content": "hi"}, "messages[0].role"),
            ({"role": "robot", "content": "hi"}, "messages[0].role"),
            ({"role": "user"}, "messages[0].content"),
            ({"role": "user", "content": 5}, "messages[0].content"),
            ({"role": "user", "content": ["hi"]}, "messages[0].content[0]"),
            ({"role": "user", "content": [{"text": "hi"}]}, "messages[0].content[0].type"),
            ({"role": "user", "content": [{"type": "video"}]}, "messages[0].content[0].type"),
            ({"role": "user", "content": [{"type": "text", "text": None}]}, "messages[0].content[0].text"),
            ({"role": "user", "content": [{"type": "image_url"}]}, "messages[0].content[0].image_url"),
            ({"role": "user", "content": [{"type": "file", "file": {}}]}, "messages[0].content[0].file.file_data"),
            ({"role": "user", "content": "a", "cache_control": {"type": "x"}}, "messages[0].cache_control.type"),
            (
                {"role": "user", "content": "a", "cache_control": {"type": "ephemeral", "ttl": "2h"}},
                "messages[0].cache_control.ttl",
            ),
            (
                {"role": "system", "content": [{"type": "image_url", "image_url": "http://a/b"}]},
                "messages[0].content[0]",
            ),
            ({"role": "tool", "content": "x"}, "messages[0].tool_call_id"),
            ({"role": "tool", "tool_call_id": "1"}, "messages[0].content"),
            ({"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}, "messages[0].tool_calls[0].id"),
            ({"role": "assistant", "tool_calls": [{"id": "1"}]}, "messages[0].tool_calls[0].function"),
            (
                {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {}}}]},
                "messages[0].tool_calls[0].function.arguments",
            ),
            ({"role": "assistant", "thinking_blocks": [{"type": "x"}]}, "messages[0].thinking_blocks[0].type"),
            ({"role": "assistant", "reasoning_content": 5}, "messages[0].reasoning_content"),
            ({"role": "assistant", "audio": {"id": "1"}}, "messages[0].audio"),
            ({"role": "function", "content": "x"}, "messages[0].name"),
        ],
    )
    def test_names_the_field(self, message: object, param: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            read(message)
        assert caught.value.param == param
        assert f"`{param}`" in caught.value.message
