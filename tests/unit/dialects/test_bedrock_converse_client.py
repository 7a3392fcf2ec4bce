"""Requests of Converse's clients, read; and whole answers written for them."""

import base64
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from tests.support.converse_client import HELLO, converse, parse_answer, read_call

from sekisho.core.chat import (
    CacheMark,
    ChatRequest,
    Citation,
    Document,
    Image,
    Message,
    Opening,
    Part,
    Reasoning,
    RedactedThinking,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.dialects.bedrock_converse import client

PNG = "iVBORw0KGgo="
SPEC = {"name": "read", "description": "Reads", "inputSchema": {"json": {"type": "object"}}, "strict": True}
COUNT = "/model/{model}/count-tokens"


def parts_of(*content: object, role: str = "user") -> list[Part]:
    return converse([{"role": role, "content": list(content)}]).chat.messages[0].parts


def with_tools(**fields: Any) -> ChatRequest:
    return converse(toolConfig={"tools": [{"toolSpec": SPEC}], **fields}).chat


class TestEnvelope:
    def test_what_the_gateway_wants_to_know(self) -> None:
        call = converse(
            [{"role": "user", "content": [{"text": "do"}, {"image": _image()}, {"text": "this"}]}],
            system=[{"text": "You are"}, {"cachePoint": {"type": "default"}}, {"text": "Cline"}],
            inferenceConfig={"maxTokens": 100},
            requestMetadata={"session_id": "s1", "user_id": "u1", "tags": "a, b,a", "team": "red"},
        )
        assert (call.model, call.family, call.path) == ("sonnet", "bedrock_converse", "/model/{model}/converse")
        assert call.opening == Opening("You are\nCline", "do\nthis")
        assert (call.max_output_tokens, call.session_id, call.end_user) == (100, "s1", "u1")
        assert call.tags == ["a", "b"]
        assert call.metadata["team"] == "red"

    def test_litellms_fields_are_read_too(self) -> None:
        call = read_call(
            {
                "messages": HELLO,
                "requestMetadata": {"sessionId": "theirs"},
                "litellm_session_id": "ours",
                "tags": ["x"],
                "fallbacks": ["opus"],
                "num_retries": 2,
                "drop_params": True,
            }
        )
        assert (call.session_id, call.tags, call.fallbacks) == ("ours", ["x"], ["opus"])
        assert (call.num_retries, call.drop_params) == (2, True)
        assert call.chat.extras == {}

    def test_a_conversation_that_cannot_be_read_still_has_an_envelope(self) -> None:
        call = read_call({"messages": [{"role": 1}], "system": "no list"})
        assert call.opening == Opening()
        with pytest.raises(InvalidRequest):
            _ = call.chat

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            (b"", "request_body"),
            (b"[]", "request_body"),
            (b"{", "request_body"),
            (b'"\xff"', "request_body"),
            ({"messages": {}}, "messages"),
            ({"inferenceConfig": {"maxTokens": "many"}}, "inferenceConfig.maxTokens"),
            ({"inferenceConfig": {"maxTokens": 0}}, "inferenceConfig.maxTokens"),
            ({"inferenceConfig": []}, "inferenceConfig"),
            ({"requestMetadata": {"a": 1}}, "requestMetadata[...]"),
            ({"num_retries": -1}, "num_retries"),
        ],
    )
    def test_errors_name_the_field(self, body: object, param: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            read_call(body)
        assert caught.value.param == param

    def test_the_paths(self) -> None:
        paths = {endpoint.path: (endpoint.operation, endpoint.stream) for endpoint in client.endpoints}
        assert paths == {
            f"{prefix}/model/{{model}}/{name}": told
            for prefix in ("", "/bedrock")
            for name, told in {
                "converse": ("chat", False),
                "converse-stream": ("chat", True),
                "count-tokens": ("count_tokens", False),
            }.items()
        }


def _image() -> dict[str, object]:
    return {"format": "png", "source": {"bytes": PNG}}


class TestBlocks:
    @pytest.mark.parametrize(
        ("block", "part"),
        [
            ({"text": "hi"}, Text(text="hi")),
            ({"image": _image()}, Image(media_type="image/png", data=PNG)),
            (
                {"document": {"name": "d", "format": "pdf", "source": {"bytes": "QUJD"}, "context": "c"}},
                Document(name="d", media_type="application/pdf", data="QUJD", context="c"),
            ),
            (
                {"document": {"name": "d", "source": {"text": "é"}, "citations": {"enabled": True}}},
                Document(name="d", media_type="text/plain", data="w6k=", cited=True),
            ),
            (
                {"document": {"name": "d", "format": "md", "source": {"content": [{"text": "a"}, {"text": "b"}]}}},
                Document(name="d", media_type="text/markdown", data=base64.b64encode(b"a\n\nb").decode()),
            ),
            (
                {"searchResult": {"source": "s", "title": "t", "content": [{"text": "x"}]}},
                Text(text="t\ns\n\nx"),
            ),
            (
                {
                    "searchResult": {
                        "source": "s",
                        "title": "t",
                        "content": [{"text": "x"}],
                        "citations": {"enabled": True},
                    }
                },
                Document(name="t", media_type="text/plain", data="eA==", context="s", cited=True),
            ),
            ({"guardContent": {"text": {"text": "g", "qualifiers": ["query"]}}}, Text(text="g")),
            ({"guardContent": {"image": _image()}}, Image(media_type="image/png", data=PNG)),
            ({"reasoningContent": {"redactedContent": "QUJD"}}, RedactedThinking(data="QUJD")),
            ({"reasoningContent": {"reasoningText": {"text": "hm"}}}, Thinking(text="hm")),
            (
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                Thinking(text="hm", signature="s"),
            ),
            (
                {"toolUse": {"toolUseId": "t1", "name": "read", "input": {"a": [1, "世界"]}}},
                ToolCall(id="t1", name="read", arguments='{"a":[1,"世界"]}'),
            ),
            (
                {
                    "citationsContent": {
                        "content": [{"text": "so"}],
                        "citations": [{"title": "t", "location": {"documentChunk": {"documentIndex": 0, "start": 1}}}],
                    }
                },
                Text(text="so", citations=[Citation(kind="block", title="t", document=0, start=1)]),
            ),
        ],
    )
    def test_each_kind(self, block: object, part: Part) -> None:
        assert parts_of(block) == [part]

    def test_tool_results(self) -> None:
        content = [
            {"text": "out"},
            {"json": {"a": 1}},
            {"image": _image()},
            {"document": {"name": "d", "source": {"text": "x"}}},
            {"searchResult": {"source": "s", "title": "t", "content": [{"text": "x"}]}},
        ]
        result = {"toolUseId": "t1", "content": content, "status": "error"}
        assert parts_of({"toolResult": result}, {"toolResult": {"toolUseId": "t2", "content": []}}) == [
            ToolResult(
                call_id="t1",
                parts=[
                    Text(text="out"),
                    Text(text='{"a":1}'),
                    Image(media_type="image/png", data=PNG),
                    Document(name="d", media_type="text/plain", data="eA=="),
                    Text(text="t\ns\n\nx"),
                ],
                is_error=True,
            ),
            ToolResult(call_id="t2", parts=[]),
        ]

    def test_a_cache_point_marks_what_stands_before_it(self) -> None:
        parts = parts_of(
            {"text": "a"},
            {"reasoningContent": {"reasoningText": {"text": "hm"}}},
            {"cachePoint": {"type": "default"}},
            {"text": "b"},
            {"cachePoint": {"type": "default", "ttl": "1h"}},
        )
        assert parts == [
            Text(text="a", cache=CacheMark()),
            Thinking(text="hm"),
            Text(text="b", cache=CacheMark("1h")),
        ]

    def test_a_cache_point_that_marks_nothing_is_left_out_by_name(self) -> None:
        chat = converse([{"role": "user", "content": [{"cachePoint": {"type": "default"}}, {"text": "a"}]}]).chat
        assert chat.messages[0].parts == [Text(text="a")]
        assert chat.omitted == ["cachePoint"]

    @pytest.mark.parametrize(
        ("block", "param"),
        [
            ({"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/key"}}}}, ".image.source"),
            ({"document": {"name": "d", "source": {"s3Location": {"uri": "s3://bucket/key"}}}}, ".document.source"),
            ({"video": {"format": "mp4", "source": {"bytes": "QUJD"}}}, ".video"),
            ({"audio": {"format": "mp3", "source": {"bytes": "QUJD"}}}, ".audio"),
            ({"toolAddition": {"tool": {"name": "x"}}}, ".toolAddition"),
            ({"toolUse": {"toolUseId": "t", "name": "n", "input": {}, "type": "server_tool_use"}}, ".toolUse.type"),
        ],
    )
    def test_what_only_bedrock_can_read_is_refused(self, block: object, param: str) -> None:
        with pytest.raises(Unsupported) as caught:
            parts_of(block)
        assert (caught.value.param or "").startswith(f"messages[0].content[0]{param}")

    @pytest.mark.parametrize(
        ("messages", "param"),
        [
            (None, "messages"),
            ([], "messages"),
            ([1], "messages[0]"),
            ([{"role": "tool", "content": []}], "messages[0].role"),
            ([{"role": "user"}], "messages[0].content"),
            ([{"role": "user", "content": [{}]}], "messages[0].content[0]"),
            ([{"role": "user", "content": [{"text": "a", "image": {}}]}], "messages[0].content[0]"),
            ([{"role": "user", "content": [{"text": 1}]}], "messages[0].content[0].text"),
            ([{"role": "user", "content": [{"toolUse": {"input": []}}]}], "messages[0].content[0].toolUse.input"),
            (
                [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": "!"}}}]}],
                "messages[0].content[0].image.source.bytes",
            ),
            ([{"role": "system", "content": [{"image": _image()}]}], "messages[0].content"),
        ],
    )
    def test_errors_name_the_field(self, messages: object, param: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            _ = read_call(msgspec.json.encode({"messages": messages})).chat
        assert caught.value.param == param


class TestRequest:
    def test_turns_and_system(self) -> None:
        chat = converse(
            [
                {"role": "user", "content": [{"text": "a"}]},
                {"role": "system", "content": [{"text": "later"}]},
                {"role": "assistant", "content": [{"text": "b"}]},
            ],
            system=[{"text": "first"}, {"cachePoint": {"type": "default", "ttl": "5m"}}],
        ).chat
        assert chat.system == [Text(text="first", cache=CacheMark()), Text(text="later")]
        assert chat.messages == [
            Message(role="user", parts=[Text(text="a")]),
            Message(role="assistant", parts=[Text(text="b")]),
        ]

    def test_inference(self) -> None:
        chat = converse(
            inferenceConfig={"maxTokens": 9, "temperature": 0.5, "topP": 1, "stopSequences": ["END"]},
            serviceTier={"type": "flex"},
        ).chat
        assert (chat.max_output_tokens, chat.temperature, chat.top_p, chat.stop) == (9, 0.5, 1.0, ["END"])
        assert chat.service_tier == "flex"

    def test_tools(self) -> None:
        point = {"cachePoint": {"type": "default"}}
        chat = converse(
            toolConfig={"tools": [point, {"toolSpec": SPEC}, point, {"systemTool": {"name": "nova_grounding"}}]}
        ).chat
        assert chat.tools == [
            Tool(name="read", description="Reads", schema=Raw(b'{"type":"object"}'), strict=True, cache=CacheMark())
        ]
        assert chat.omitted == ["cachePoint", "systemTool"]

    @pytest.mark.parametrize(
        ("choice", "read"),
        [
            ({"auto": {}}, ToolChoice("auto")),
            ({"any": {}}, ToolChoice("any")),
            ({"tool": {"name": "read"}}, ToolChoice("tool", "read")),
        ],
    )
    def test_tool_choice(self, choice: object, read: ToolChoice) -> None:
        assert with_tools(toolChoice=choice).tool_choice == read

    def test_claudes_own_tool_choice_goes_before(self) -> None:
        choice = {"type": "any", "disable_parallel_tool_use": True}
        chat = converse(
            toolConfig={"tools": [{"toolSpec": SPEC}], "toolChoice": {"auto": {}}},
            additionalModelRequestFields={"tool_choice": choice},
        ).chat
        assert (chat.tool_choice, chat.parallel_tool_calls) == (ToolChoice("any"), False)

    @pytest.mark.parametrize(
        ("fields", "reasoning"),
        [
            ({}, None),
            ({"additionalModelRequestFields": {"thinking": {"type": "adaptive"}}}, Reasoning("adaptive")),
            (
                {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2000}}},
                Reasoning("enabled", None, 2000),
            ),
            ({"outputConfig": {"effort": "high"}}, Reasoning("default", "high")),
            ({"additionalModelRequestFields": {"reasoning_effort": "low"}}, Reasoning(None, "low")),
            (
                {"additionalModelRequestFields": {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}},
                Reasoning("adaptive", "low"),
            ),
            ({"additionalModelRequestFields": {"reasoningConfig": {"type": "disabled"}}}, Reasoning("disabled")),
        ],
    )
    def test_reasoning(self, fields: dict[str, Any], reasoning: Reasoning | None) -> None:
        assert converse(**fields).chat.reasoning == reasoning

    def test_additional_fields_that_are_not_known_go_on(self) -> None:
        fields = {"top_k": 5, "anthropic_beta": ["context-1m"], "speed": "fast", "nothing": None}
        chat = converse(additionalModelRequestFields=fields).chat
        assert chat.top_k == 5
        assert chat.extras == {
            "anthropic_beta": ["context-1m"],
            "additional_model_request_fields": {"speed": "fast"},
        }

    def test_a_json_format(self) -> None:
        definition = {"schema": '{"type": "object"}', "name": "n", "description": "d"}
        text_format = {"type": "json_schema", "structure": {"jsonSchema": definition}}
        chat = converse(outputConfig={"textFormat": text_format}).chat
        assert chat.response_format == ResponseFormat(name="n", description="d", schema=Raw(b'{"type": "object"}'))

    @pytest.mark.parametrize("schema", ["", "[]", "{", "nonsense"])
    def test_a_schema_that_is_none_is_refused(self, schema: str) -> None:
        text_format = {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema}}}
        with pytest.raises(InvalidRequest) as caught:
            _ = converse(outputConfig={"textFormat": text_format}).chat
        assert caught.value.param == "outputConfig.textFormat.structure.jsonSchema.schema"

    @pytest.mark.parametrize(
        "fields",
        [
            {"guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1"}},
            {"promptVariables": {"a": {"text": "b"}}},
        ],
    )
    def test_what_only_bedrock_can_do_is_refused(self, fields: dict[str, Any]) -> None:
        with pytest.raises(Unsupported) as caught:
            _ = converse(**fields).chat
        assert caught.value.param == next(iter(fields))

    def test_other_fields_are_for_the_upstream_to_judge(self) -> None:
        call = read_call({"messages": HELLO, "performanceConfig": {"latency": "optimized"}, "brandNew": [1]})
        assert call.chat.extras == {"performanceConfig": {"latency": "optimized"}, "brandNew": [1]}


class TestCounting:
    def test_the_question_holds_a_conversation(self) -> None:
        body = {"input": {"converse": {"messages": HELLO, "system": [{"text": "s"}]}}}
        call = read_call(body, COUNT)
        assert call.opening == Opening("s", "hi")
        assert call.chat == ChatRequest(
            system=[Text(text="s")], messages=[Message(role="user", parts=[Text(text="hi")])]
        )

    def test_an_invoke_body_is_not_taken_apart(self) -> None:
        call = read_call({"input": {"invokeModel": {"body": "e30="}}}, COUNT)
        with pytest.raises(Unsupported) as caught:
            _ = call.chat
        assert caught.value.param == "input.invokeModel"

    def test_errors_name_the_field(self) -> None:
        with pytest.raises(InvalidRequest) as caught:
            _ = read_call({"input": {"converse": {"messages": []}}}, COUNT).chat
        assert caught.value.param == "input.converse.messages"

    def test_the_answer(self) -> None:
        assert parse_answer(client.write_count(7), "CountTokens") == {"inputTokens": 7}
