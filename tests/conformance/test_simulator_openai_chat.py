"""The openai SDK judges chat completions and completions, of OpenAI and of Bedrock's path."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.chat import completion_create_params as chat_params
from tests.support.bedrock import call, sim

from sekisho.simulator.wires import completions
from sekisho.simulator.wires.chat import read as chat

MODEL = "gpt-4o"
BASH: Any = {
    "type": "function",
    "function": {
        "name": "bash",
        "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
    },
}
KEY = {"authorization": "Bearer any"}
TWO = [{"name": "bash", "input": {"command": command}} for command in ("ls", "日本語")]
PIXEL = "data:image/png;base64,aGk="


def user(content: Any) -> Any:
    return {"role": "user", "content": content}


@pytest.fixture(params=["/v1", "/openai/v1"])
def client(request: pytest.FixtureRequest, simulator: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=simulator + request.param, api_key="any", max_retries=0) as made:
        yield made


def last_call(simulator: str) -> dict[str, Any]:
    seen: dict[str, Any] = call("GET", f"{simulator}/_simulator/calls")[1]["calls"][-1]
    return seen


def ask(client: OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(**{"model": MODEL, "messages": [user("hi")], **fields})


def test_the_fields_the_sdk_knows_are_known() -> None:
    assert set(chat_params.CompletionCreateParamsBase.__annotations__) | {"stream"} == chat.KNOWN_FIELDS
    sdk = openai.types.completion_create_params.CompletionCreateParamsBase.__annotations__
    assert set(sdk) | {"stream"} == completions.KNOWN_FIELDS


def test_a_stream_says_the_same_as_a_whole_answer(client: OpenAI) -> None:
    question: Any = {"model": MODEL, "messages": [user(sim(text="so 日本", tools=TWO))], "tools": [BASH]}
    whole = ask(client, **question)
    with client.chat.completions.stream(**question, stream_options={"include_usage": True}) as stream:
        streamed = stream.get_final_completion()
    message = whole.choices[0].message
    assert message.content == streamed.choices[0].message.content == "so 日本"
    calls = [json.loads(use.function.arguments) for use in message.tool_calls]
    assert calls == [wish["input"] for wish in TWO]
    for use, other in zip(message.tool_calls, streamed.choices[0].message.tool_calls or (), strict=True):
        assert (use.id, use.function.name, use.function.arguments) == (
            other.id,
            other.function.name,
            other.function.arguments,
        )
    assert whole.choices[0].finish_reason == streamed.choices[0].finish_reason == "tool_calls"
    assert streamed.usage is not None
    assert streamed.usage.total_tokens == whole.usage.total_tokens


def test_tool_results_lead_on_even_empty_ones(client: OpenAI) -> None:
    first = ask(client, messages=[user(sim(tools=TWO))], tools=[BASH]).choices[0].message
    results = [{"role": "tool", "tool_call_id": use.id, "content": ""} for use in first.tool_calls]
    turns = [user(sim(tools=TWO)), first.model_dump(exclude_none=True), *results]
    second = ask(client, messages=turns, tools=[BASH])
    assert second.choices[0].finish_reason == "stop"
    with pytest.raises(openai.BadRequestError, match="did not have response messages: call_"):
        ask(client, messages=turns[:-1], tools=[BASH])
    with pytest.raises(openai.BadRequestError, match="must be a response to a preceeding message"):
        ask(client, messages=[turns[0], results[0]], tools=[BASH])


def test_usage_in_a_stream_must_be_asked_for(client: OpenAI) -> None:
    chunks = list(ask(client, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.prompt_tokens == 1


def test_reasoning_is_counted_and_shown_by_compatible_servers_only(client: OpenAI) -> None:
    question: Any = {"messages": [user(sim(thinking="hm hm hm", text="so"))], "reasoning_effort": "low"}
    own, other = ask(client, **question), ask(client, **question, model="qwen3-coder")
    assert own.usage.completion_tokens_details.reasoning_tokens == 2
    assert not hasattr(own.choices[0].message, "reasoning_content")
    assert other.choices[0].message.reasoning_content == "hm hm hm"
    streamed = ask(client, **question, model="qwen3-coder", stream=True)
    pieces = [getattr(chunk.choices[0].delta, "reasoning_content", None) or "" for chunk in streamed]
    assert "".join(pieces) == "hm hm hm"


def test_free_form_tools_take_text(client: OpenAI) -> None:
    tool = {"type": "custom", "custom": {"name": "patch"}}
    question: Any = {
        "messages": [user(sim(tools=[{"name": "patch", "input": {"input": "*** free"}}]))],
        "tools": [tool],
    }
    (use,) = ask(client, **question).choices[0].message.tool_calls
    assert (use.type, use.custom.name, use.custom.input) == ("custom", "patch", "*** free")


def test_pictures_files_and_instructions_are_read(client: OpenAI) -> None:
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}},
    ]
    turns = [{"role": "system", "content": "be kind"}, user(parts), {"role": "developer", "content": "now"}]
    assert ask(client, messages=turns).usage.prompt_tokens == 2 + 1 + 1500 + 1500 + 1
    assert ask(client, messages=turns[:1]).choices[0].finish_reason == "stop"


def test_prefixes_are_cached_without_marks(client: OpenAI, simulator: str) -> None:
    turns = [user(f"{simulator} {client.base_url} " + "remember this. " * 30)]
    first, second = (ask(client, messages=turns).usage for _ in range(2))
    assert first.prompt_tokens_details.cached_tokens == 0
    assert second.prompt_tokens_details.cached_tokens == second.prompt_tokens == first.prompt_tokens


def test_limits_stops_choices_and_schemas(client: OpenAI) -> None:
    words = [user(sim(repeat=100))]
    answer = ask(client, messages=words, max_completion_tokens=10)
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 10)
    answer = ask(client, messages=words, stop=[" word3", "x", "y", "z"])
    assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == ("stop", "word1 word2")
    forced = ask(client, tools=[BASH], tool_choice={"type": "function", "function": {"name": "bash"}})
    assert forced.choices[0].message.tool_calls[0].function.name == "bash"
    assert ask(client, messages=[user(sim(tools=TWO))], tools=[BASH], tool_choice="none").choices[0].message.content
    one = ask(client, messages=[user(sim(tools=TWO))], tools=[BASH], parallel_tool_calls=False)
    assert len(one.choices[0].message.tool_calls) == 1
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wish = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    assert ask(client, response_format=wish).choices[0].message.content == '{"n":0}'
    wish["json_schema"]["strict"] = True  # type: ignore[index]  # a literal of two levels
    with pytest.raises(openai.BadRequestError, match="'additionalProperties' is required"):
        ask(client, response_format=wish)


REFUSED: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "an unknown field": ({"drop_params": True}, "Unrecognized request argument supplied: drop_params", None),
    "unknown fields": (
        {"drop_params": True, "litellm_session_id": "s"},
        "Unrecognized request arguments supplied: drop_params, litellm_session_id",
        None,
    ),
    "five stops": ({"stop": list("abcde")}, "Expected an array with maximum length 4", "stop"),
    "a dot in a name": (
        {"tools": [{"type": "function", "function": {"name": "a.b"}}]},
        "string does not match pattern",
        "tools[0].function.name",
    ),
    "a long name": (
        {"tools": [{"type": "function", "function": {"name": "a" * 80}}]},
        "maximum length 64, but got a string with length 80",
        "tools[0].function.name",
    ),
    "no model": ({"model": None}, "you must provide a model parameter", None),
    "no messages": ({"messages": []}, "empty array", "messages"),
    "no content": ({"messages": [{"role": "user"}]}, "expected a string, got null", "messages.[0].content"),
    "a wrong role": ({"messages": [{"role": "nobody", "content": "x"}]}, "Invalid enum value", "messages[0].role"),
    "a picture that is none": (
        {"messages": [user([{"type": "image_url", "image_url": {"url": "pixel"}}])]},
        "Invalid image",
        "messages.[0].content.[0].image_url.url",
    ),
    "a picture from a tool": (
        {"messages": [user("x"), {"role": "assistant", "content": [{"type": "image_url"}]}]},
        "Invalid value: 'image_url'",
        "messages.[1].content.[0].type",
    ),
    "usage without a stream": (
        {"stream_options": {"include_usage": True}},
        "only allowed when 'stream'",
        "stream_options",
    ),
    "a choice without tools": ({"tool_choice": "auto"}, "only allowed when 'tools'", "tool_choice"),
    "several answers": ({"n": 2}, "one choice only", "n"),
    "max_tokens for a reasoning model": (
        {"model": "gpt-5.5", "max_tokens": 5},
        "Use 'max_completion_tokens' instead",
        "max_tokens",
    ),
    "json without the word": ({"response_format": {"type": "json_object"}}, "must contain the word 'json'", "messages"),
    "a field of vLLM": ({"top_k": 3}, "Unrecognized request argument supplied: top_k", None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused(simulator: str, case: str) -> None:
    change, message, param = REFUSED[case]
    body = {"model": MODEL, "messages": [user("hi")], **change}
    body = {name: value for name, value in body.items() if value is not None}
    status, document = call("POST", f"{simulator}/v1/chat/completions", body, KEY)
    assert (status, document["error"]["type"]) == (400, "invalid_request_error")
    assert message in document["error"]["message"]
    assert document["error"]["param"] == param


def test_what_is_not_known_yet_is_accepted(client: OpenAI) -> None:
    assert ask(client, extra_body={"x_new": {"deep": [1]}}).choices
    assert ask(client, model="qwen3-coder", extra_body={"top_k": 3}).choices


def test_a_key_is_needed(simulator: str) -> None:
    body = {"model": MODEL, "messages": [user("hi")]}
    status, document = call("POST", f"{simulator}/v1/chat/completions", body)
    assert (status, document["error"]["type"]) == (401, "invalid_request_error")
    assert call("POST", f"{simulator}/openai/v1/chat/completions", body)[0] == 401
    assert call("POST", f"{simulator}/v1/chat/completions", body, {"api-key": "any"})[0] == 200


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ({"kind": "throttle"}, openai.RateLimitError, "rate_limit_exceeded"),
        ({"kind": "error"}, openai.InternalServerError, "server_error"),
        ({"kind": "error", "type": "insufficient_quota"}, openai.RateLimitError, "insufficient_quota"),
        ({"kind": "error", "type": "context_length_exceeded"}, openai.BadRequestError, "context_length_exceeded"),
        ({"kind": "access_denied"}, openai.PermissionDeniedError, "permission_denied"),
        ({"kind": "exception_event"}, openai.InternalServerError, "server_error"),
    ],
)
def test_faults_are_worded_as_openais(
    client: OpenAI, simulator: str, fault: dict[str, Any], error: type[openai.APIStatusError], code: str
) -> None:
    call("POST", f"{simulator}/_simulator/faults", {"fault": fault, "match": {"operation": "ChatCompletion"}})
    with pytest.raises(error) as refused:
        ask(client)
    assert refused.value.code == code


@pytest.mark.parametrize("kind", ["exception_event", "cut", "garbage"])
def test_a_broken_stream_does_not_end_cleanly(client: OpenAI, simulator: str, kind: str) -> None:
    call("POST", f"{simulator}/_simulator/faults", {"fault": {"kind": kind, "after": 2, "message": "broke"}})
    with pytest.raises(Exception, match=r"broke|peer closed|incomplete|JSON|Expecting|[Uu]nterminated|Connection"):
        list(ask(client, stream=True))
    seen = last_call(simulator)
    assert (seen["operation"], seen["complete"], seen["usage"]["output"]) == ("ChatCompletionStream", False, 3)


def test_completions_go_on_with_a_text(simulator: str) -> None:
    with OpenAI(base_url=f"{simulator}/v1", api_key="any", max_retries=0) as client:
        question: Any = {"model": "gpt-3.5-turbo-instruct", "prompt": sim(repeat=100)}
        whole = client.completions.create(**question)
        assert whole.usage is not None
        assert (whole.choices[0].finish_reason, whole.usage.completion_tokens) == ("length", 16)
        chunks = list(client.completions.create(stream=True, stream_options={"include_usage": True}, **question))
        assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == whole.choices[0].text
        assert chunks[-1].usage == whole.usage
        assert client.completions.create(**question, echo=True).choices[0].text.startswith("[[sim")
        assert client.completions.create(model="m", prompt=[1, 2, 3]).choices[0].text
        with pytest.raises(openai.BadRequestError, match="one prompt a call"):
            client.completions.create(model="m", prompt=["a", "b"])


def test_models_are_listed(simulator: str) -> None:
    with OpenAI(base_url=f"{simulator}/v1", api_key="any", max_retries=0) as client:
        assert "gpt-4o" in [model.id for model in client.models.list()]
