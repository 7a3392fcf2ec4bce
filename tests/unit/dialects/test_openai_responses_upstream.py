"""Requests to and answers of upstreams that speak the Responses API."""

import json
from typing import Any

import pytest
from msgspec import Raw
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import TypeAdapter
from tests.support.openai_wire import encode, read_call

from sekisho.core.chat import (
    ChatRequest,
    Citation,
    ClientCall,
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
from sekisho.core.errors import InvalidRequest, Unsupported
from sekisho.core.events import ChatAnswer, Finish
from sekisho.core.model import ModelFacts
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, WireAnswer, WireFault, WireRequest, WriteOptions
from sekisho.dialects.common.sealed import SealedReasoning, SealedThinking, seal
from sekisho.dialects.openai_responses import OpenAIResponses, client
from sekisho.dialects.openai_responses import upstream as untyped

assert isinstance(untyped, OpenAIResponses)
upstream = untyped
FACTS = ModelFacts(family="gpt", vision=True, documents=True, thinking="effort_field", max_output_tokens=1000)
OPTIONS = WriteOptions(model="gpt-5.1", stream=True)
LENIENT = WriteOptions(model="gpt-5.1", drop_params=True)
OBJECT = Raw(b'{"type":"object","properties":{}}')
create_params = TypeAdapter[Any](ResponseCreateParams)
PNG = "iVBORw0KGgoAAAAA"


def user(*parts: Part) -> Message:
    return Message(role="user", parts=list(parts))


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=list(parts))


def write(chat: ChatRequest, facts: ModelFacts = FACTS, options: WriteOptions = OPTIONS) -> tuple[WireRequest, Any]:
    wire = upstream.write_request(chat, facts, options)
    body = json.loads(wire.body)
    create_params.validate_python(body)
    return wire, body


def ask(*messages: Message, **fields: Any) -> ChatRequest:
    return ChatRequest(system=[], messages=list(messages) or [user(Text(text="hi"))], **fields)


def test_a_conversation_with_everything_is_what_the_sdk_would_send() -> None:
    chat = ChatRequest(
        system=[Text(text="Be brief."), Text(text="Be kind.")],
        messages=[
            user(
                Text(text="see"),
                Image(media_type="image/png", data=PNG),
                Image(url="https://x.org/a.png"),
                Document(name="a.pdf", media_type="application/pdf", data="AAAA"),
                Document(name="a.txt", media_type="text/plain", data="aGVsbG8="),
                Document(name="b", url="https://x.org/b.pdf"),
            ),
            assistant(Text(text="ok"), ToolCall(id="c1", name="a.b", arguments="{}")),
            user(
                ToolResult(
                    call_id="c1", parts=[Text(text="x"), Image(media_type="image/png", data=PNG)], is_error=True
                ),
                Text(text="go on"),
            ),
        ],
        tools=[Tool(name="a.b", description="d", schema=OBJECT), Tool(name="c", schema=OBJECT, strict=True)],
        tool_choice=ToolChoice("tool", "a.b"),
        parallel_tool_calls=False,
        max_output_tokens=5_000,
        temperature=0.5,
        top_p=0.9,
        reasoning=Reasoning(effort="high"),
        response_format=ResponseFormat("n", "d", OBJECT, True),
        service_tier="flex",
        extras={"verbosity": "low", "prompt_cache_key": "k", "seed": 1},
    )
    wire, body = write(chat)
    assert (body["model"], body["store"], body["stream"]) == ("gpt-5.1", False, True)
    assert (body["instructions"], body["include"]) == ("Be brief.\n\nBe kind.", ["reasoning.encrypted_content"])
    assert (body["max_output_tokens"], body["reasoning"], body["service_tier"]) == (1_000, {"effort": "high"}, "flex")
    assert body["text"]["verbosity"] == "low"
    assert body["text"]["format"]["schema"] == json.loads(bytes(OBJECT))
    alias = body["tools"][0]["name"]
    assert wire.tool_names == {alias: "a.b"}
    assert body["tool_choice"] == {"type": "function", "name": alias}
    assert [tool["strict"] for tool in body["tools"]] == [False, True]
    assert wire.dropped == ("seed",)
    seen, said, call, output, rest = body["input"]
    kinds = ["input_text", "input_image", "input_image", "input_file", "input_text", "input_file"]
    assert [part["type"] for part in seen["content"]] == kinds
    assert seen["content"][1]["image_url"] == f"data:image/png;base64,{PNG}"
    assert "hello" in seen["content"][4]["text"]
    assert said == {"type": "message", "role": "assistant", "content": "ok"}
    assert call == {"type": "function_call", "call_id": "c1", "name": alias, "arguments": "{}"}
    assert [part["type"] for part in output["output"]] == ["input_text", "input_text", "input_image"]
    assert output["output"][0]["text"] == "Error:"
    assert rest["content"] == [{"type": "input_text", "text": "go on"}]


def test_only_openais_own_reasoning_goes_back() -> None:
    own = seal(SealedReasoning("rs_1", "gAAAAA"))
    chat = ask(
        user(Text(text="hi")),
        assistant(
            Thinking(text="claude's", signature="sig"),
            Thinking(text="unsigned"),
            RedactedThinking(data="AAAA"),
            Thinking(text="plan", signature=own),
            Text(text="ok"),
            Thinking(text="cut off", signature=own),
        ),
        user(Text(text="go")),
    )
    _, body = write(chat)
    assert [item["type"] for item in body["input"]] == ["message", "reasoning", "message", "message"]
    assert body["input"][1] == {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "plan"}],
        "encrypted_content": "gAAAAA",
    }


def test_calls_and_outputs_are_paired() -> None:
    chat = ask(
        user(Text(text="hi")),
        assistant(ToolCall(id="c" * 80, name="t", arguments=""), ToolCall(id="c2", name="t", arguments="{}")),
        user(ToolResult(call_id="c2", parts=[]), ToolResult(call_id="lost", parts=[Text(text="x")])),
        tools=[Tool(name="t", schema=OBJECT)],
    )
    _, body = write(chat)
    items = body["input"]
    calls = [item["call_id"] for item in items if item["type"] == "function_call"]
    outputs = [item["call_id"] for item in items if item["type"] == "function_call_output"]
    assert sorted(calls) == sorted(outputs)
    assert max(map(len, calls)) <= 64
    assert "lost" in items[-1]["content"][0]["text"]
    assert items[1]["arguments"] == "{}"


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"stop": ["x"]}, "stop"),
        ({"extras": {"n": 2}}, "n"),
        ({"extras": {"logit_bias": {"1": 2}}}, "logit_bias"),
        ({"tool_choice": ToolChoice("tool", "z"), "tools": [Tool(name="t", schema=OBJECT)]}, "tool_choice"),
    ],
)
def test_what_the_format_has_not_is_refused_or_dropped_by_name(fields: dict[str, Any], name: str) -> None:
    with pytest.raises(Unsupported) as caught:
        write(ask(**fields))
    assert caught.value.param == name
    wire, _ = write(ask(**fields), options=LENIENT)
    assert wire.dropped == (name,)


def test_a_model_without_reasoning_is_not_asked_for_any() -> None:
    wire, body = write(ask(reasoning=Reasoning(effort="low")), ModelFacts(), WriteOptions(model="llama"))
    assert "reasoning" not in body
    assert "include" not in body
    assert wire.dropped == ("reasoning_effort",)


def test_pictures_for_a_model_known_to_be_blind_are_refused() -> None:
    chat = ask(user(Image(media_type="image/png", data=PNG)))
    write(chat, ModelFacts(), OPTIONS)
    with pytest.raises(Unsupported):
        write(chat, ModelFacts(family="gpt"), OPTIONS)


def test_an_output_limit_is_never_below_what_openai_takes() -> None:
    assert write(ask(max_output_tokens=1))[1]["max_output_tokens"] == 16


def passed(call: ClientCall, options: WriteOptions = OPTIONS) -> WireRequest | None:
    return upstream.pass_request(call, FACTS, options)


def test_a_clients_own_body_keeps_its_bytes() -> None:
    unknown = '{"deep" :  [1.50, "\\u00e9", {"x":null}]}'
    items = '[{"role":"user","content":"hi","new":1e2}]'
    body = (
        f'{{"model":"alias", "input" :{items},"store":false,"x_new":{unknown},"drop_params":true,'
        '"litellm_session_id":"s","tags":["a"],"metadata":{"a":"b"},"client_metadata":{"c":1}}'
    )
    wire = passed(read_call(client, body.encode()))
    assert wire is not None
    assert wire.native
    expected = f'{{"model":"gpt-5.1","input":{items},"store":false,"x_new":{unknown},'
    assert wire.body.decode() == expected + '"metadata":{"a":"b"},"client_metadata":{"c":1}}'


@pytest.mark.parametrize("store", [{}, {"store": True}, {"store": None}])
def test_nothing_is_stored_upstream_and_reasoning_comes_in_a_form_to_keep(store: dict[str, Any]) -> None:
    wire = passed(read_call(client, encode(model="m", input="x", metadata={"tags": ["a"]}, include=["a"], **store)))
    assert wire is not None
    body = json.loads(wire.body)
    assert body["store"] is False
    assert body["include"] == ["a", "reasoning.encrypted_content"]
    assert "metadata" not in body


@pytest.mark.parametrize(
    "item",
    [
        {"type": "reasoning", "summary": [], "encrypted_content": seal(SealedThinking("x", "sig"))},
        {"type": "compaction_trigger"},
    ],
)
def test_what_only_we_can_read_is_translated(item: object) -> None:
    assert passed(read_call(client, encode(model="m", input=[{"role": "user", "content": "x"}, item]))) is None


@pytest.mark.parametrize(
    "fields", [{"previous_response_id": "resp_1"}, {"conversation": "c"}, {"prompt": {"id": "p"}}, {"background": True}]
)
def test_what_openai_has_kept_is_never_reached(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        passed(read_call(client, encode(model="m", input="x", **fields)))
    assert caught.value.param in fields


def test_counting_asks_with_what_counts() -> None:
    native = read_call(client, encode(model="m", input="x", store=False, max_output_tokens=9, tags=["a"], tools=[]))
    body = json.loads(upstream.write_count_request(native, FACTS, OPTIONS).body)
    assert body == {"model": "gpt-5.1", "input": "x", "tools": []}
    chat = ask(max_output_tokens=20)
    other = ClientCall(model="m", body=b"{}", family="openai_chat", path="/", read=lambda: chat)
    body = json.loads(upstream.write_count_request(other, FACTS, OPTIONS).body)
    assert body.keys() == {"model", "input"}
    assert upstream.read_count(WireAnswer({}, b'{"object":"response.input_tokens","input_tokens":7}')) == 7
    with pytest.raises(WireFault):
        upstream.read_count(WireAnswer({}, b"{}"))


def read(request: WireRequest | None = None, **fields: Any) -> ChatAnswer:
    body = json.dumps({"id": "resp_1", "status": "completed", "output": [], **fields}).encode()
    return upstream.read_answer(WireAnswer({}, body), request or WireRequest(body=b""))


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": words, **fields}]}


def test_a_whole_answer_of_every_kind() -> None:
    cited = {"type": "url_citation", "url": "https://x.org/", "title": "X", "start_index": 0, "end_index": 1}
    answer = read(
        WireRequest(body=b"", tool_names={"alias": "a.b"}),
        output=[
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}]},
            {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAA"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed", "arguments": {"new": 1}},
            text("hi", annotations=[cited, {"type": "file_citation", "file_id": "f"}]),
            {"type": "function_call", "call_id": "c1", "name": "alias", "arguments": ""},
            {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "x\n"},
        ],
        usage={
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 15,
        },
    )
    assert answer.parts == [
        Thinking(text="s"),
        Thinking(text="", signature=seal(SealedReasoning("rs_2", "gAAA"))),
        Text(text="hi", citations=[Citation(kind="web", title="X", url="https://x.org/")]),
        ToolCall(id="c1", name="a.b", arguments="{}"),
        ToolCall(id="c2", name="patch", arguments='{"input":"x\\n"}'),
    ]
    assert answer.finish == Finish("tool_calls", "completed")
    assert answer.usage == Usage(input=3, output=5, cache_read=4, cache_write_5m=3, reasoning=2)


@pytest.mark.parametrize(
    ("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("new", "length")]
)
def test_why_an_answer_was_cut_off(reason: str, finish: Any) -> None:
    answer = read(status="incomplete", incomplete_details={"reason": reason})
    assert answer.finish == Finish(finish, reason)


def test_a_refusal_is_told_as_one() -> None:
    answer = read(output=[{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}])
    assert (answer.parts, answer.finish) == ([Text(text="no")], Finish("content_filter", "refusal"))
    assert read(output=[text("x")]).finish == Finish("stop", "completed")


def test_a_failed_answer_is_a_fault_with_the_upstreams_code() -> None:
    with pytest.raises(WireFault) as caught:
        read(status="failed", error={"code": "rate_limit_exceeded", "message": "slow down"})
    assert (caught.value.code, caught.value.message) == ("rate_limit_exceeded", "slow down")


def test_what_is_no_answer_is_corrupt() -> None:
    for body in (b"", b"[]", b"<html>", b'{"output":null}', b'{"output":[{"type":"message","content":5}]}'):
        with pytest.raises(WireFault, match="corrupt"):
            upstream.read_answer(WireAnswer({}, body), WireRequest(body=b""))


def feed(*events: dict[str, Any] | str) -> list[Any]:
    reader = upstream.stream_reader(WireRequest(body=b"", tool_names={"alias": "a.b"}))
    encoded = (event if isinstance(event, str) else json.dumps(event) for event in events)
    pieces = reader.feed("".join(f"data: {event}\n\n" for event in encoded).encode())
    assert len(pieces) == len(events)
    return [[event for piece in pieces for event in piece.events], reader.complete]


def test_items_that_come_without_deltas_are_read_at_their_end() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "alias", "arguments": '{"a":1}'}
    shown = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "s"}]}
    events, complete = feed(
        {"type": "response.output_item.done", "output_index": 0, "item": shown},
        {"type": "response.output_item.done", "output_index": 1, "item": text("hi")},
        {"type": "response.output_item.done", "output_index": 2, "item": call},
        {"type": "response.something_new", "delta": {"x": 1}},
        {"type": "response.completed", "response": {"status": "completed", "output": []}},
        "[DONE]",
    )
    kinds = [type(event).__name__ for event in events]
    assert kinds == ["ThinkingDelta", "TextDelta", "ToolCallStart", "ToolCallDelta", "Finish"]
    assert complete


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "m"}}}, "server_error"),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "m", "param": None}, "rate_limit_exceeded"),
        ({"type": "error", "error": {"type": "overloaded", "message": "m"}}, "overloaded"),
        ({"type": "response.output_text.delta", "delta": 5}, "corrupt"),
        ({"type": "response.function_call_arguments.delta", "delta": "x", "output_index": 9}, "corrupt"),
        ("{", "corrupt"),
    ],
)
def test_a_stream_that_fails_is_a_fault(event: dict[str, Any] | str, code: str) -> None:
    with pytest.raises(WireFault) as caught:
        feed({"type": "response.created"}, event)
    assert caught.value.code == code


def test_openais_reasoning_survives_the_way_through_another_client() -> None:
    """Out of an upstream of OpenAI's, to a client of the same format that needs translation, and back."""
    answer = read(output=[{"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAA"}, text("ok")])
    head = AnswerHead(call_id="1", model="m", created=0)
    first = read_call(client, encode(model="m", input="x"))
    output = json.loads(client.write_answer(answer, head, first, None))["output"]
    again = read_call(client, encode(model="m", input=[{"role": "user", "content": "x"}, *output]))
    assert passed(again) is None
    _, body = write(again.chat)
    assert body["input"][1] == {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAA"}


@pytest.mark.parametrize("kind", ["function", "custom"])
def test_tool_names_that_openai_refuses_are_translated(kind: str) -> None:
    def ask(name: str) -> ClientCall:
        tools = [{"type": "web_search"}, {"type": kind, "name": name, "parameters": {}}]
        return read_call(client, encode(model="m", input="x", tools=tools))

    assert passed(ask("files.read")) is None
    assert passed(ask("files_read")) is not None
