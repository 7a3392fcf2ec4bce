"""Bodies that are passed on to an upstream of the same format, with their bytes."""

import json

import pytest
from tests.support.openai_wire import read_call

from sekisho.core.model import ModelFacts
from sekisho.core.wire import WireRequest, WriteOptions
from sekisho.dialects.openai_chat import client, upstream

HELLO = '[{"role":"user", "content":"\\u00fc", "x_new": 1.50}]'


def send(body: str, model: str = "qwen3", *, drop_params: bool = False) -> WireRequest:
    call = read_call(client, body.encode())
    wire = upstream.pass_request(
        call, ModelFacts(), WriteOptions(model=model, stream=call.stream, drop_params=drop_params)
    )
    assert wire is not None
    assert wire.native
    return wire


def test_only_the_model_is_edited() -> None:
    wire = send('{"model":"alias","messages":' + HELLO + ',"x_new":{"b": 1.0,"a":[]},"temperature":0.50,"n": 2}')
    assert wire.body == (
        b'{"model":"qwen3","messages":' + HELLO.encode() + b',"x_new":{"b": 1.0,"a":[]},"temperature":0.50,"n":2}'
    )
    assert wire.dropped == ()


def test_model_from_the_path_is_added() -> None:
    assert json.loads(send('{"messages":[]}').body) == {"messages": [], "model": "qwen3"}


def test_what_is_for_the_gateway_ends_here() -> None:
    own = {
        "drop_params": True,
        "litellm_session_id": "s",
        "litellm_anything": 1,
        "tags": ["a"],
        "fallbacks": ["b"],
        "num_retries": 1,
        "timeout": 5,
        "metadata": {"tags": ["a"]},
        "api_key": "sk-secret",
        "api_base": "http://elsewhere",
        "mock_response": "x",
        "extra_body": {"tags": ["c"], "top_k": 5},
    }
    body = json.dumps({"model": "m", "messages": [], "user": "u"} | own)
    assert json.loads(send(body).body) == {"model": "qwen3", "messages": [], "user": "u", "top_k": 5}


def test_metadata_are_passed_with_what_is_to_be_stored() -> None:
    body = '{"messages":[],"store":true,"metadata":{"a": "b"}}'
    assert b'"metadata":{"a": "b"}' in send(body).body


class TestUsageOfStreams:
    def test_is_asked_for(self) -> None:
        assert json.loads(send('{"messages":[],"stream":true}').body)["stream_options"] == {"include_usage": True}

    def test_beside_other_options(self) -> None:
        body = send('{"messages":[],"stream":true,"stream_options":{"x":1.50,"include_usage":false}}').body
        assert b'"stream_options":{"x":1.50,"include_usage":true}' in body

    @pytest.mark.parametrize("options", ['{ "include_usage": true }', "null"])
    def test_is_not_touched_otherwise(self, options: str) -> None:
        body = (
            '{"messages":[],"stream":'
            + ("true" if options != "null" else "false")
            + ',"stream_options":'
            + options
            + "}"
        )
        assert options.encode() in send(body).body


class TestOpenAIsOwnModels:
    def test_the_output_limit_goes_by_the_name_they_know(self) -> None:
        body = '{"messages":[],"max_tokens":5}'
        assert json.loads(send(body, "gpt-5.1").body) == {
            "messages": [],
            "model": "gpt-5.1",
            "max_completion_tokens": 5,
        }
        assert json.loads(send(body, "gpt-4o").body)["max_tokens"] == 5
        both = '{"messages":[],"max_tokens":5,"max_completion_tokens":7}'
        assert json.loads(send(both, "o3").body) == {"messages": [], "model": "o3", "max_completion_tokens": 7}

    def test_foreign_members_are_taken_out_and_all_others_keep_their_bytes(self) -> None:
        marked = '{"role":"system","content":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}]}'
        thought = '{"role":"assistant","content":"a","reasoning_content":"hm","thinking_blocks":[]}'
        plain = '{"role":"user", "content":"b", "x": 1.50}'
        tools = (
            '[{"type":"function","function":{"name":"f", "parameters":{"cache_control": 1.0}}},'
            '{"type":"function","function":{"name":"g"},"cache_control":{"type":"ephemeral"}}]'
        )
        body = '{"messages":[' + f"{marked},{plain},{thought}" + '],"tools":' + tools + "}"
        wire = send(body, "gpt-4o")
        written = json.loads(wire.body)
        assert written["messages"] == [
            {"role": "system", "content": [{"type": "text", "text": "s"}]},
            {"role": "user", "content": "b", "x": 1.5},
            {"role": "assistant", "content": "a"},
        ]
        assert plain.encode() in wire.body
        assert written["tools"] == [
            {"type": "function", "function": {"name": "f", "parameters": {"cache_control": 1.0}}},
            {"type": "function", "function": {"name": "g"}},
        ]
        assert wire.dropped == ("cache_control",)
        assert json.loads(send(body).body)["messages"] == json.loads(body)["messages"]

    def test_other_vendors_fields_are_dropped_on_request(self) -> None:
        body = '{"messages":[],"thinking":{"type":"adaptive"},"top_k":5}'
        assert json.loads(send(body, "gpt-4o").body).keys() == {"messages", "thinking", "top_k", "model"}
        wire = send(body, "gpt-4o", drop_params=True)
        assert json.loads(wire.body).keys() == {"messages", "model"}
        assert wire.dropped == ("thinking", "top_k")

    @pytest.mark.parametrize(
        "messages", ["5", '["cache_control"]', '{"cache_control":1}', '[{"content":["cache_control"]}]']
    )
    def test_odd_messages_are_for_the_upstream_to_refuse(self, messages: str) -> None:
        assert json.loads(send('{"messages":' + messages + "}", "gpt-4o").body)["messages"] == json.loads(messages)


@pytest.mark.parametrize(("model", "translated"), [("gpt-5.1", True), ("qwen3", False)])
def test_tool_names_that_openai_refuses_are_translated(model: str, translated: bool) -> None:
    tools = [{"type": "function", "function": {"name": "files.read"}}, {"type": "custom", "custom": {"name": "p"}}]
    call = read_call(client, json.dumps({"messages": [], "tools": tools}).encode())
    assert (upstream.pass_request(call, ModelFacts(), WriteOptions(model=model)) is None) is translated
