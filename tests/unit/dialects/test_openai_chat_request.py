"""How a Chat Completions body is read: whole agent bodies, each option's rule, each error's field."""

import json
from pathlib import Path

import pytest
from msgspec import Raw
from tests.support.openai_wire import read_whole

from sekisho.core.chat import CacheMark, ClientCall, Reasoning, ResponseFormat, Text, ToolCall, ToolChoice, ToolResult
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.dialects.openai_chat import client

CASES = Path(__file__).parents[2] / "cases" / "openai_chat"
HELLO = [{"role": "user", "content": "hello"}]


def read(**fields: object) -> ClientCall:
    return read_whole(client, json.dumps({"model": "m", "messages": HELLO, **fields}).encode())


def refusal(**fields: object) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read(**fields)
    return caught.value


class TestAgents:
    def test_first_turn_of_cline_through_its_litellm_provider(self) -> None:
        call = read_whole(client, (CASES / "cline_litellm_first_turn.json").read_bytes())
        assert (call.model, call.stream, call.include_usage) == ("test-model", True, True)
        assert call.chat.max_output_tokens == 4321
        assert call.chat.system[0].text.startswith("You are Cline")
        assert [tool.name for tool in call.chat.tools] == ["read_files", "editor"]
        assert call.chat.tool_choice == ToolChoice("auto")
        assert call.chat.extras == {}

    def test_tool_turn_of_cline_keeps_call_and_result(self) -> None:
        body = (CASES / "cline_openai_tool_turn.json").read_bytes()
        chat = read_whole(client, body).chat
        assert [message.role for message in chat.messages] == ["user", "assistant", "user"]
        text, tool_call = chat.messages[1].parts
        assert text == Text(text="I will write the file.")
        assert isinstance(tool_call, ToolCall)
        assert json.loads(tool_call.arguments)["new_text"] == "hello from cline\nline two ünï\n"
        (result,) = chat.messages[2].parts
        assert isinstance(result, ToolResult)
        assert result.call_id == tool_call.id
        assert json.loads(bytes(chat.tools[0].schema)) == json.loads(body)["tools"][0]["function"]["parameters"]

    def test_cline_2_through_litellm(self) -> None:
        call = read(
            litellm_session_id="cline-01K9",
            drop_params=True,
            temperature=1,
            thinking={"type": "enabled", "budget_tokens": 2048},
            messages=[
                {
                    "role": "system",
                    "content": [{"type": "text", "text": "sys", "cache_control": {"type": "ephemeral"}}],
                },
                *HELLO,
            ],
        )
        assert (call.session_id, call.drop_params) == ("cline-01K9", True)
        assert call.chat.temperature == 1.0
        assert call.chat.reasoning == Reasoning(mode="enabled", budget_tokens=2048)
        assert call.chat.system == [Text(text="sys", cache=CacheMark())]
        assert call.chat.extras == {}


class TestBrokenBodies:
    @pytest.mark.parametrize(
        ("body", "told"),
        [
            (b"", "empty"),
            (b'{"model": }', "byte 10"),
            (b'{"model": "m"', "byte 13"),
            (b'{"model": "m"} x', "byte 16"),
            (b'{"model": "\xff"}', "not UTF-8 (byte 11)"),
            (b"[1]", "an array"),
            (b'"text"', "a string"),
            (b"null", "null"),
            (b'{"seed": 1e999 }', "out of range"),
            (b"[" * 100_000, "nested too deeply"),
        ],
    )
    def test_names_the_body_and_the_place(self, body: bytes, told: str) -> None:
        with pytest.raises(InvalidRequest, match="request body") as caught:
            read_whole(client, body)
        assert caught.value.param == "request_body"
        assert caught.value.status == 400
        assert told in caught.value.message

    def test_nesting_that_could_not_be_written_again_is_refused(self) -> None:
        deep: object = 1
        for _ in range(100):
            deep = [deep]
        assert "nested" in refusal(unknown=deep).message
        assert refusal(metadata={"a": deep}).param == "metadata"


class TestOptions:
    def test_absent_and_null_mean_the_same(self) -> None:
        names = "temperature top_p stop tools tool_choice response_format user metadata n seed stream_options thinking"
        null, absent = read(**dict.fromkeys(names.split())), read()
        assert null.chat == absent.chat
        assert (null.end_user, null.metadata, null.include_usage) == (None, {}, False)

    def test_absent_model_is_none(self) -> None:
        assert read(model=None).model is None
        assert read(model="").model is None

    def test_later_name_of_the_output_limit_wins(self) -> None:
        assert read(max_tokens=5).chat.max_output_tokens == 5
        assert read(max_tokens=5, max_completion_tokens=7).chat.max_output_tokens == 7

    def test_stop_as_string_or_list(self) -> None:
        assert read(stop="END").chat.stop == ["END"]
        assert read(stop=["a", "b"]).chat.stop == ["a", "b"]

    def test_sampling(self) -> None:
        chat = read(temperature=0, top_p=0.5, top_k=40, service_tier="flex", parallel_tool_calls=False).chat
        assert (chat.temperature, chat.top_p, chat.top_k) == (0.0, 0.5, 40)
        assert (chat.service_tier, chat.parallel_tool_calls) == ("flex", False)

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"reasoning_effort": "high"}, Reasoning(effort="high")),
            ({"reasoning_effort": "none"}, Reasoning(effort="none")),
            ({"reasoning_effort": "xhigh"}, Reasoning(effort="xhigh")),
            ({"reasoning": {"effort": "minimal"}}, Reasoning(effort="minimal")),
            ({"output_config": {"effort": "max"}}, Reasoning(effort="max")),
            ({"reasoning_effort": "low", "output_config": {"effort": "max"}}, Reasoning(effort="low")),
            ({"thinking": {"type": "adaptive"}}, Reasoning(mode="adaptive")),
            ({"thinking": {"type": "disabled"}}, Reasoning(mode="disabled")),
            (
                {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
                Reasoning(mode="adaptive", effort="low"),
            ),
        ],
    )
    def test_reasoning(self, fields: dict[str, object], expected: Reasoning) -> None:
        call = read(**fields)
        assert call.chat.reasoning == expected
        assert call.chat.extras == {}

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ({"type": "text"}, None),
            ({"type": "json_object"}, ResponseFormat()),
            (
                {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True}},
                ResponseFormat(name="a", schema=Raw(b'{"type":"object"}'), strict=True),
            ),
        ],
    )
    def test_response_format(self, value: object, expected: ResponseFormat | None) -> None:
        assert read(response_format=value).chat.response_format == expected

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"tool_choice": "none"}, ToolChoice("none")),
            ({"tool_choice": "required"}, ToolChoice("any")),
            ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, ToolChoice("tool", "f")),
            ({"function_call": "auto"}, ToolChoice("auto")),
            ({"function_call": {"name": "f"}}, ToolChoice("tool", "f")),
        ],
    )
    def test_tool_choice(self, fields: dict[str, object], expected: ToolChoice) -> None:
        assert read(**fields).chat.tool_choice == expected

    def test_tools(self) -> None:
        schema = {"type": "object", "properties": {"x": {"type": "number", "multipleOf": 0.5}}}
        long = {"name": "a", "description": "d", "parameters": schema, "strict": True}
        marked = {"type": "function", "function": {"name": "b"}, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
        a, b, c = read(tools=[{"type": "function", "function": long}, marked], functions=[{"name": "c"}]).chat.tools
        assert (a.name, a.description, a.strict, a.cache) == ("a", "d", True, None)
        assert json.loads(bytes(a.schema)) == schema
        assert (b.name, b.cache) == ("b", CacheMark("1h"))
        assert json.loads(bytes(c.schema)) == {"type": "object", "properties": {}}

    def test_what_concerns_the_gateway(self) -> None:
        call = read(
            user="u-1",
            metadata={"tags": ["a", "b"], "session_id": "s-1", "other": 1},
            tags=["b", "c"],
            fallbacks=["x", {"model": "y"}],
            num_retries=0,
            timeout=1.5,
            drop_params=False,
        )
        assert (call.end_user, call.session_id, call.tags) == ("u-1", "s-1", ["b", "c", "a"])
        assert call.metadata["other"] == 1
        assert (call.fallbacks, call.num_retries, call.timeout, call.drop_params) == (["x", "y"], 0, 1.5, False)

    def test_fallbacks_as_the_configuration_has_them_count_for_the_model_asked_for(self) -> None:
        mapped = [{"claude": ["x"], "*": ["y"]}, {"another": ["z"]}, "w"]
        assert read(model="claude", fallbacks=mapped).fallbacks == ["x", "y", "w"]
        assert read(model="other", fallbacks=mapped).fallbacks == ["y", "w"]

    def test_session_of_the_body_comes_before_that_of_the_metadata(self) -> None:
        metadata = {"session_id": "inner", "trace_id": "trace"}
        assert read(litellm_session_id="outer", metadata=metadata).session_id == "outer"
        assert read(metadata=metadata).session_id == "inner"
        assert read(metadata={"trace_id": "trace"}).session_id == "trace"
        assert read(metadata={"session_id": 5}).session_id is None


class TestExtras:
    def test_neutral_defaults_are_left_out(self) -> None:
        neutral = {"n": 1, "presence_penalty": 0, "frequency_penalty": 0.0, "modalities": ["text"], "logprobs": False}
        assert read(**neutral, store=False, logit_bias={}, verbosity="medium", prediction=None).chat.extras == {}

    def test_what_changes_the_answer_is_kept_under_its_name(self) -> None:
        extras = {
            "n": 2,
            "seed": 7,
            "logprobs": True,
            "top_logprobs": 3,
            "logit_bias": {"50256": -100},
            "presence_penalty": 0.5,
            "prediction": {"type": "content", "content": "x"},
            "modalities": ["text", "audio"],
            "web_search_options": {},
            "verbosity": "low",
            "store": True,
            "prompt_cache_key": "k",
            "safety_identifier": "s",
            "something_new": [1, {"a": None}],
        }
        assert read(**extras).chat.extras == extras

    def test_litellms_own_fields_never_get_there(self) -> None:
        own = {"litellm_anything": 1, "mock_response": "x", "cache": {"no-cache": True}, "caching": True, "tags": []}
        assert read(**own, api_key="sk-secret", api_base="http://elsewhere", drop_params=True).chat.extras == {}

    def test_members_that_are_not_read_stay_under_their_holders_name(self) -> None:
        extras = read(
            thinking={"type": "adaptive", "display": "omitted"},
            reasoning={"effort": "low", "summary": "auto"},
            output_config={"effort": "low", "format": {"type": "json_schema"}},
        ).chat.extras
        assert extras == {
            "thinking": {"display": "omitted"},
            "reasoning": {"summary": "auto"},
            "output_config": {"format": {"type": "json_schema"}},
        }

    def test_extra_body_is_unwrapped_and_gives_way(self) -> None:
        call = read(temperature=0.5, extra_body={"temperature": 1, "top_k": 3, "new": 1})
        assert (call.chat.temperature, call.chat.top_k, call.chat.extras) == (0.5, 3, {"new": 1})


class TestRefusals:
    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"model": 5}, "model"),
            ({"messages": None}, "messages"),
            ({"messages": []}, "messages"),
            ({"messages": "hi"}, "messages"),
            ({"temperature": 2.1}, "temperature"),
            ({"temperature": "hot"}, "temperature"),
            ({"temperature": True}, "temperature"),
            ({"top_p": -0.1}, "top_p"),
            ({"top_k": 1.5}, "top_k"),
            ({"max_tokens": 0}, "max_tokens"),
            ({"max_completion_tokens": 10**30}, "max_completion_tokens"),
            ({"stop": 5}, "stop"),
            ({"stop": ["a", 5]}, "stop[1]"),
            ({"stop": ""}, "stop"),
            ({"stream": "yes"}, "stream"),
            ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
            ({"parallel_tool_calls": 0}, "parallel_tool_calls"),
            ({"response_format": "json"}, "response_format"),
            ({"response_format": {"type": "xml"}}, "response_format.type"),
            ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
            (
                {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": []}}},
                "response_format.json_schema.schema",
            ),
            ({"reasoning_effort": "huge"}, "reasoning_effort"),
            ({"reasoning": {"effort": 5}}, "reasoning.effort"),
            ({"thinking": {"type": "on"}}, "thinking.type"),
            ({"thinking": {"type": "enabled", "budget_tokens": "1"}}, "thinking.budget_tokens"),
            ({"tools": [{"type": "function"}]}, "tools[0].function"),
            ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
            (
                {"tools": [{"type": "function", "function": {"name": "a", "parameters": "x"}}]},
                "tools[0].function.parameters",
            ),
            ({"tool_choice": "maybe"}, "tool_choice"),
            ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
            ({"user": 5}, "user"),
            ({"metadata": []}, "metadata"),
            ({"metadata": {"tags": [1]}}, "metadata.tags[0]"),
            ({"fallbacks": [5]}, "fallbacks[0]"),
            ({"fallbacks": [{"model": 5}]}, "fallbacks[0].model"),
            ({"fallbacks": [{"claude": "x"}]}, "fallbacks[0].claude"),
            ({"fallbacks": [{"claude": [5]}]}, "fallbacks[0].claude[0]"),
            ({"num_retries": -1}, "num_retries"),
            ({"timeout": 0}, "timeout"),
            ({"n": 0}, "n"),
            ({"seed": "7"}, "seed"),
            ({"logit_bias": []}, "logit_bias"),
            ({"frequency_penalty": 3}, "frequency_penalty"),
            ({"extra_body": 5}, "extra_body"),
        ],
    )
    def test_names_the_field(self, fields: dict[str, object], param: str) -> None:
        error = refusal(**fields)
        assert error.param == param
        assert f"`{param}`" in error.message

    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"tools": [{"type": "custom", "custom": {"name": "a"}}]}, "tools[0].type"),
            ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.type"),
            ({"fallbacks": [{"model": "a", "messages": []}]}, "fallbacks[0]"),
        ],
    )
    def test_what_cannot_be_carried_is_unsupported(self, fields: dict[str, object], param: str) -> None:
        error = refusal(**fields)
        assert isinstance(error, Unsupported)
        assert error.param == param

    def test_unsupported_tool_type_is_named(self) -> None:
        assert "'web_search'" in refusal(tools=[{"type": "web_search"}]).message

    def test_long_values_are_not_repeated(self) -> None:
        secret = "s" * 1000
        assert secret not in refusal(reasoning_effort=secret).message
        assert len(refusal(tools=[{"type": secret}]).message) < 200
