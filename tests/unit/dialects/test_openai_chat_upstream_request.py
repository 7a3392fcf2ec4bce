"""What is written to servers of Chat Completions, judged by the parameter types of the official SDK."""

import base64
import json
from typing import Any

import pytest
from msgspec import Raw
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from pydantic import TypeAdapter

from sekisho.core.chat import (
    CacheMark,
    ChatRequest,
    Document,
    Image,
    Message,
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
from sekisho.core.errors import Unsupported
from sekisho.core.model import ModelFacts
from sekisho.core.wire import WireRequest, WriteOptions
from sekisho.dialects.openai_chat import upstream

WHOLE = TypeAdapter(CompletionCreateParamsNonStreaming)
STREAMED = TypeAdapter(CompletionCreateParamsStreaming)
ANY_SERVER = ModelFacts()
SCHEMA = Raw(b'{"type":"object","properties":{"a":{"type":"integer"}}}')
SCHEMA_READ = json.loads(bytes(SCHEMA))
HELLO = Message(role="user", parts=[Text(text="hello")])
PNG, PDF = "iVBORw0KGgoAAA==", "JVBERi0xLjQK"
SETTINGS: Any = {"system": [], "messages": [HELLO]}


def send(
    model: str = "qwen3", facts: ModelFacts = ANY_SERVER, *, drop_params: bool = False, **fields: Any
) -> WireRequest:
    chat = ChatRequest(**(SETTINGS | fields))
    wire = upstream.write_request(chat, facts, WriteOptions(model=model, drop_params=drop_params))
    WHOLE.validate_json(wire.body)
    return wire


def body(model: str = "qwen3", facts: ModelFacts = ANY_SERVER, **fields: Any) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(send(model, facts, **fields).body)
    return written


def messages(
    *turns: Message, model: str = "qwen3", facts: ModelFacts = ANY_SERVER, **fields: Any
) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = body(model, facts, messages=list(turns), **fields)["messages"]
    return written


def user(*parts: Part) -> Message:
    return Message(role="user", parts=list(parts))


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=list(parts))


def call(call_id: str = "c1", name: str = "f") -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments='{"a":1}')


class TestMessages:
    def test_system_is_one_message_and_marks_are_left_out_silently(self) -> None:
        wire = send(system=[Text(text="a", cache=CacheMark()), Text(text="b")])
        assert json.loads(wire.body)["messages"][0] == {"role": "system", "content": "a\n\nb"}
        assert wire.dropped == ()

    def test_system_stands_in_the_first_turn_for_models_without_one(self) -> None:
        (first,) = messages(HELLO, system=[Text(text="sys")], facts=ModelFacts(system=False))
        assert [part["text"] for part in first["content"]] == ["sys", "hello"]

    def test_pictures(self) -> None:
        (message,) = messages(
            user(Text(text="see"), Image(data=PNG, media_type="image/jpeg"), Image(url="https://example.org/a.png"))
        )
        assert message["content"] == [
            {"type": "text", "text": "see"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        ]

    def test_pictures_are_refused_for_models_known_to_be_blind(self) -> None:
        blind = ModelFacts(family="qwen")
        with pytest.raises(Unsupported, match="pictures"):
            send(messages=[user(Image(data=PNG))], facts=blind)
        wire = send(messages=[user(Image(data=PNG))], facts=blind, drop_params=True)
        assert wire.dropped == ("messages",)

    def test_documents(self) -> None:
        note = base64.b64encode("größer".encode()).decode()
        (message,) = messages(
            user(
                Document(name="a.pdf", media_type="application/pdf", data=PDF),
                Document(name="n.txt", media_type="text/plain; charset=utf-8", data=note, context="A note."),
            )
        )
        assert message["content"] == [
            {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
            {"type": "text", "text": "A note.\n[File n.txt]\ngrößer"},
        ]

    @pytest.mark.parametrize(
        "part", [Image(), Document(name="a"), Document(name="a", media_type="text/plain", data="?")]
    )
    def test_content_that_is_missing_or_broken_is_refused(self, part: Part) -> None:
        with pytest.raises(Unsupported):
            send(messages=[user(part)])

    def test_tool_turn(self) -> None:
        turns = messages(
            HELLO,
            assistant(Text(text="I "), Text(text="call."), call("c1"), call("c2", "g")),
            user(
                ToolResult(call_id="c2", parts=[Text(text="two")]),
                ToolResult(call_id="c1", parts=[]),
                Text(text="and now?"),
            ),
        )
        function = {"name": "f", "arguments": '{"a":1}'}
        assert turns[1] == {
            "role": "assistant",
            "content": "I call.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": function},
                {"id": "c2", "type": "function", "function": function | {"name": "g"}},
            ],
        }
        assert turns[2:] == [
            {"role": "tool", "tool_call_id": "c2", "content": "two"},
            {"role": "tool", "tool_call_id": "c1", "content": ""},
            {"role": "user", "content": "and now?"},
        ]

    def test_pictures_in_results_follow_all_results(self) -> None:
        turns = messages(
            assistant(call("c1"), call("c2")),
            user(
                ToolResult(call_id="c1", parts=[Text(text="shot"), Image(data=PNG)]),
                ToolResult(call_id="c2", parts=[Text(text="no such file")], is_error=True),
            ),
        )
        assert [turn["role"] for turn in turns] == ["assistant", "tool", "tool", "user"]
        assert turns[2]["content"] == "Error: no such file"
        label, picture = turns[3]["content"]
        assert "c1" in label["text"]
        assert picture["type"] == "image_url"

    def test_every_call_has_one_result_and_every_result_a_call(self) -> None:
        turns = messages(assistant(call("c1")), user(ToolResult(call_id="cx", parts=[Text(text="orphan")])))
        assert [turn["role"] for turn in turns] == ["assistant", "tool", "user"]
        assert turns[1]["tool_call_id"] == "c1"
        assert "orphan" in turns[2]["content"]

    def test_long_call_ids_get_the_same_short_alias_in_call_and_result(self) -> None:
        turns = messages(assistant(call("x" * 60)), user(ToolResult(call_id="x" * 60, parts=[])))
        alias = turns[0]["tool_calls"][0]["id"]
        assert len(alias) <= 40
        assert turns[1]["tool_call_id"] == alias

    def test_reasoning_goes_back_to_whoever_shows_it(self) -> None:
        turn = assistant(Thinking(text="hm", signature="s"), RedactedThinking(data="x"), Text(text="a"))
        assert messages(HELLO, turn)[1] == {"role": "assistant", "content": "a", "reasoning_content": "hm"}
        assert messages(HELLO, turn, model="gpt-5.1")[1] == {"role": "assistant", "content": "a"}

    def test_a_turn_that_says_nothing_is_left_out(self) -> None:
        assert len(messages(HELLO, assistant(Thinking(text="hm")), user(Text(text="go on")))) == 2

    def test_pictures_in_assistant_turns_are_refused(self) -> None:
        with pytest.raises(Unsupported, match="assistant"):
            send(messages=[HELLO, assistant(Image(data=PNG))])


class TestTools:
    def test_tools(self) -> None:
        tools = [Tool(name="f", description="does f", schema=SCHEMA, strict=True), Tool(name="g", schema=Raw(b"{}"))]
        assert body(tools=tools)["tools"] == [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": "does f",
                    "parameters": SCHEMA_READ,
                    "strict": True,
                },
            },
            {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
        ]

    def test_names_that_are_not_allowed_get_aliases_everywhere(self) -> None:
        name = "mcp.server/" + "x" * 80
        wire = send(
            tools=[Tool(name=name, schema=SCHEMA)],
            tool_choice=ToolChoice("tool", name),
            messages=[HELLO, assistant(call("c1", name)), user(ToolResult(call_id="c1", parts=[]))],
        )
        written = json.loads(wire.body)
        alias = written["tools"][0]["function"]["name"]
        assert len(alias) <= 64
        assert alias == written["messages"][1]["tool_calls"][0]["function"]["name"]
        assert alias == written["tool_choice"]["function"]["name"]
        assert wire.tool_names == {alias: name}

    def test_a_name_is_offered_once(self) -> None:
        wire = send(tools=[Tool(name="f", schema=SCHEMA)] * 2 + [Tool(name="f", schema=Raw(b"{}"))])
        assert len(json.loads(wire.body)["tools"]) == 1
        assert wire.dropped == ("tools",)

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            (ToolChoice("auto"), "auto"),
            (ToolChoice("any"), "required"),
            (ToolChoice("none"), "none"),
            (ToolChoice("tool", "f"), {"type": "function", "function": {"name": "f"}}),
        ],
    )
    def test_choice(self, choice: ToolChoice, expected: object) -> None:
        assert body(tools=[Tool(name="f", schema=SCHEMA)], tool_choice=choice)["tool_choice"] == expected

    def test_choice_without_tools_is_left_out(self) -> None:
        assert "tool_choice" not in body(tool_choice=ToolChoice("auto"))

    def test_what_the_model_cannot_do_is_refused(self) -> None:
        tools = [Tool(name="f", schema=SCHEMA)]
        with pytest.raises(Unsupported, match="tools"):
            send(tools=tools, facts=ModelFacts(tools=False))
        with pytest.raises(Unsupported, match="tool_choice"):
            send(tools=tools, tool_choice=ToolChoice("any"), facts=ModelFacts(tool_choice=False))
        with pytest.raises(Unsupported, match="tool_choice"):
            send(tools=tools, tool_choice=ToolChoice("tool", "g"))

    def test_one_at_a_time(self) -> None:
        tools = [Tool(name="f", schema=SCHEMA)]
        assert body(tools=tools, parallel_tool_calls=False)["parallel_tool_calls"] is False
        assert "parallel_tool_calls" not in body(tools=tools, parallel_tool_calls=True)
        assert send("o3-mini", tools=tools, parallel_tool_calls=False).dropped == ("parallel_tool_calls",)


class TestOptions:
    @pytest.mark.parametrize(
        ("model", "field"),
        [
            ("qwen3-coder", "max_tokens"),
            ("openai.gpt-oss-120b-1:0", "max_tokens"),
            ("gpt-4o", "max_tokens"),
            ("gpt-3.5-turbo", "max_tokens"),
            ("gpt-5.1-codex", "max_completion_tokens"),
            ("us.openai.gpt-6-sol", "max_completion_tokens"),
            ("o3-mini", "max_completion_tokens"),
            ("openai/o4", "max_completion_tokens"),
            ("olmo-3", "max_tokens"),
        ],
    )
    def test_name_of_the_output_limit(self, model: str, field: str) -> None:
        assert body(model, max_output_tokens=5)[field] == 5

    def test_facts_tell_openais_models_under_other_names(self) -> None:
        facts = ModelFacts(family="gpt", max_output_tokens=4)
        assert body("my-deployment", facts, max_output_tokens=5)["max_completion_tokens"] == 4

    def test_stop_list(self) -> None:
        stop = ["a", "b", "c", "d", "e"]
        assert body(stop=stop)["stop"] == stop
        assert body("gpt-4o", stop=stop[:4])["stop"] == stop[:4]
        with pytest.raises(Unsupported, match="at most 4"):
            send("gpt-4o", stop=stop)
        wire = send("gpt-4o", stop=stop, drop_params=True)
        assert json.loads(wire.body)["stop"] == stop[:4]
        assert wire.dropped == ("stop",)
        with pytest.raises(Unsupported, match="no stop"):
            send(stop=["a"], facts=ModelFacts(stop_sequences=False))

    def test_sampling(self) -> None:
        written = body(temperature=0.5, top_p=0.9, top_k=40)
        assert (written["temperature"], written["top_p"], written["top_k"]) == (0.5, 0.9, 40)

    def test_sampling_that_the_model_does_not_take_is_dropped(self) -> None:
        wire = send("gpt-5.1", ModelFacts(family="gpt", sampling="none"), temperature=0, top_p=1, top_k=40)
        assert {"temperature", "top_p", "top_k"}.isdisjoint(json.loads(wire.body))
        assert wire.dropped == ("temperature", "top_k")

    @pytest.mark.parametrize(
        ("wish", "expected"),
        [
            (Reasoning(effort="xhigh"), "xhigh"),
            (Reasoning(mode="enabled", budget_tokens=2048), "low"),
            (Reasoning(mode="enabled", budget_tokens=4000), "medium"),
            (Reasoning(mode="enabled", budget_tokens=32000), "high"),
            (Reasoning(mode="disabled", effort="high"), "none"),
            (Reasoning(mode="adaptive"), None),
            (Reasoning(mode="adaptive", effort="low"), "low"),
        ],
    )
    def test_reasoning(self, wish: Reasoning, expected: str | None) -> None:
        assert body("gpt-5.1", reasoning=wish).get("reasoning_effort") == expected

    @pytest.mark.parametrize(
        ("model", "effort", "expected"),
        [
            ("o3-mini", "max", "high"),
            ("o3-mini", "none", "low"),
            ("gpt-5-mini", "none", "minimal"),
            ("gpt-5-mini", "minimal", "minimal"),
            ("gpt-5.2", "max", "xhigh"),
            ("gpt-5.2", "minimal", "low"),
            ("us.openai.gpt-6-sol", "max", "max"),
        ],
    )
    def test_reasoning_in_the_words_that_the_model_knows(self, model: str, effort: Any, expected: str) -> None:
        assert body(model, reasoning=Reasoning(effort=effort))["reasoning_effort"] == expected

    def test_facts_tell_whether_openais_model_reasons(self) -> None:
        wire = send("my-deployment", ModelFacts(family="gpt"), reasoning=Reasoning(effort="high"))
        assert "reasoning_effort" not in json.loads(wire.body)

    def test_reasoning_of_models_not_known_to_reason_is_dropped(self) -> None:
        wire = send(reasoning=Reasoning(mode="adaptive", effort="high"))
        assert "reasoning_effort" not in json.loads(wire.body)
        assert wire.dropped == ("thinking",)
        assert (
            body(facts=ModelFacts(thinking="effort_field"), reasoning=Reasoning(effort="low"))["reasoning_effort"]
            == "low"
        )

    def test_json(self) -> None:
        assert body(response_format=ResponseFormat())["response_format"] == {"type": "json_object"}
        wanted = ResponseFormat(name="a", description="d", schema=SCHEMA, strict=True)
        assert body(response_format=wanted)["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "a", "description": "d", "schema": SCHEMA_READ, "strict": True},
        }

    def test_extras_pass_by_name(self) -> None:
        extras = {"seed": 7, "logit_bias": {"1": 2}, "presence_penalty": 0.5, "verbosity": "low", "x_new": 1}
        written = body("gpt-4o", extras=extras)
        assert {name: written.get(name) for name in extras} == extras | {"x_new": None}
        wire = send(extras=extras)
        assert wire.dropped == ("verbosity", "x_new")

    @pytest.mark.parametrize("extras", [{"n": 2}, {"logprobs": True}, {"modalities": ["audio"]}])
    def test_what_the_answer_could_not_carry_is_refused(self, extras: dict[str, object]) -> None:
        with pytest.raises(Unsupported):
            send("gpt-4o", extras=extras)

    def test_tier(self) -> None:
        assert body("gpt-5.1", service_tier="flex")["service_tier"] == "flex"
        assert send("gpt-5.1", service_tier="standard_only").dropped == ()
        assert send(service_tier="flex").dropped == ("service_tier",)

    def test_streams_tell_their_usage(self) -> None:
        wire = upstream.write_request(ChatRequest(**SETTINGS), ANY_SERVER, WriteOptions(model="m", stream=True))
        STREAMED.validate_json(wire.body)
        written = json.loads(wire.body)
        assert (written["model"], written["stream"], written["stream_options"]) == ("m", True, {"include_usage": True})
        assert "stream" not in body()
