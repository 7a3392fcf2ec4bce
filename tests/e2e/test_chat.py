"""The OpenAI SDK as client: what it sends arrives at Bedrock, and what comes back is what it expects."""

import json
from collections.abc import Iterator

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from openai.types.shared_params import ResponseFormatJSONSchema
from tests.support.gateway import Gateway, Simulator

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.make_key(), max_retries=0) as made:
        yield made


def say(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def script(**directive: object) -> str:
    return f"[[sim: {json.dumps(directive)}]]"


def test_an_answer_has_the_alias_the_usage_and_the_cost(client: OpenAI, simulator: Simulator) -> None:
    answer = client.chat.completions.create(model="sonnet", messages=say(script(text="Hello from Bedrock.")))
    assert answer.model == "sonnet"
    assert answer.choices[0].message.content == "Hello from Bedrock."
    assert answer.choices[0].finish_reason == "stop"
    (call,) = simulator.calls()
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == call["usage"]["input"]
    assert answer.usage.completion_tokens == call["usage"]["output"]
    cost = answer.usage.model_extra["cost"] if answer.usage.model_extra else 0
    # Claude Sonnet 4.5 through a regional profile: $3.30 and $16.50 per million tokens.
    assert cost == pytest.approx((answer.usage.prompt_tokens * 3.3 + answer.usage.completion_tokens * 16.5) / 1e6)


def test_a_stream_comes_in_the_order_clients_expect(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="sonnet",
        messages=say(script(text="One two three four five.")),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "One two three four five."
    assert {chunk.model for chunk in chunks} == {"sonnet"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


def test_without_asking_a_stream_has_no_usage_chunk(client: OpenAI) -> None:
    stream = client.chat.completions.create(model="sonnet", messages=say(script(text="Hi.")), stream=True)
    assert all(chunk.usage is None and chunk.choices for chunk in stream)


@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tool_calls_and_their_results(client: OpenAI, simulator: Simulator, streamed: bool) -> None:
    messages = say(script(tools=[{"name": "get_weather", "input": {"city": city}} for city in ("Kyoto", "Nara")]))
    if streamed:
        calls: dict[int, dict[str, str]] = {}
        for chunk in client.chat.completions.create(model="sonnet", messages=messages, tools=[WEATHER], stream=True):
            for delta in chunk.choices[0].delta.tool_calls or []:
                known = calls.setdefault(delta.index, {"id": "", "name": "", "arguments": ""})
                known["id"] += delta.id or ""
                if delta.function:
                    known["name"] += delta.function.name or ""
                    known["arguments"] += delta.function.arguments or ""
        found = [calls[index] for index in sorted(calls)]
    else:
        answer = client.chat.completions.create(model="sonnet", messages=messages, tools=[WEATHER])
        assert answer.choices[0].finish_reason == "tool_calls"
        found = [
            {"id": one.id, "name": one.function.name, "arguments": one.function.arguments}
            for one in answer.choices[0].message.tool_calls or []
            if one.type == "function"
        ]
    assert [one["name"] for one in found] == ["get_weather", "get_weather"]
    assert [json.loads(one["arguments"]) for one in found] == [{"city": "Kyoto"}, {"city": "Nara"}]
    messages.append(
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": one["id"], "type": "function", "function": {"name": one["name"], "arguments": one["arguments"]}}
                for one in found
            ],
        }
    )
    messages += [{"role": "tool", "tool_call_id": one["id"], "content": "sunny"} for one in found]
    final = client.chat.completions.create(model="sonnet", messages=messages, tools=[WEATHER])
    assert final.choices[0].finish_reason == "stop"
    assert [call["status"] for call in simulator.calls()] == [200, 200]


@pytest.mark.parametrize("name", ["server.tools/get-weather", "w" * 80])
def test_names_that_bedrock_does_not_take_come_back_as_they_were(
    client: OpenAI, simulator: Simulator, name: str
) -> None:
    tool: ChatCompletionToolParam = {"type": "function", "function": {**WEATHER["function"], "name": name}}
    answer = client.chat.completions.create(
        model="sonnet",
        messages=say("What is the weather?"),
        tools=[tool],
        tool_choice={"type": "function", "function": {"name": name}},
    )
    (tool_call,) = answer.choices[0].message.tool_calls or []
    assert tool_call.type == "function"
    assert tool_call.function.name == name
    assert [call["status"] for call in simulator.calls()] == [200]


@pytest.mark.parametrize("returns_blocks", [False, True])
def test_signed_reasoning_survives_a_tool_turn(client: OpenAI, simulator: Simulator, returns_blocks: bool) -> None:
    messages = say(script(thinking="I need the weather.", tools=[{"name": "get_weather", "input": {"city": "Kyoto"}}]))
    first = client.chat.completions.create(
        model="sonnet", messages=messages, tools=[WEATHER], reasoning_effort="low", max_tokens=8000
    )
    message = first.choices[0].message
    extra = message.model_extra or {}
    assert extra["reasoning_content"] == "I need the weather."
    assert extra["thinking_blocks"][0]["signature"]
    (tool_call,) = message.tool_calls or []
    assert tool_call.type == "function"
    back: dict[str, object] = {"role": "assistant", "content": None, "tool_calls": [tool_call.model_dump()]}
    if returns_blocks:
        back["thinking_blocks"] = extra["thinking_blocks"]
    messages += [back, {"role": "tool", "tool_call_id": tool_call.id, "content": "sunny"}]  # type: ignore[list-item]
    raw = client.chat.completions.with_raw_response.create(
        model="sonnet", messages=messages, tools=[WEATHER], reasoning_effort="low", max_tokens=8000
    )
    assert "x-sekisho-dropped-params" not in raw.headers
    assert raw.parse().choices[0].finish_reason == "stop"
    assert [call["status"] for call in simulator.calls()] == [200, 200]


def test_pictures_schemas_and_stops(client: OpenAI, simulator: Simulator) -> None:
    picture: list[ChatCompletionMessageParam] = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            ],
        }
    ]
    assert client.chat.completions.create(model="sonnet", messages=picture).choices[0].message.content
    schema: dict[str, object] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wanted: ResponseFormatJSONSchema = {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema},
    }
    for model in ("sonnet", "nova"):
        shaped = client.chat.completions.create(
            model=model,
            messages=say("Answer in JSON."),
            response_format=wanted,
        )
        assert isinstance(json.loads(shaped.choices[0].message.content or "")["n"], int), model
    stopped = client.chat.completions.create(model="sonnet", messages=say(script(text="one STOP two")), stop=["STOP"])
    assert stopped.choices[0].message.content == "one "
    cut = client.chat.completions.create(model="sonnet", messages=say(script(repeat=200)), max_completion_tokens=20)
    assert cut.choices[0].finish_reason == "length"
    assert {call["status"] for call in simulator.calls()} == {200}


def test_what_cannot_be_carried_is_refused_or_dropped_and_named(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="sonnet", messages=say("Hi"), seed=1, user="someone")
    assert raw.headers["x-sekisho-dropped-params"] == "seed"
    refused = client.chat.completions.with_raw_response
    with pytest.raises(Exception, match="logprobs") as error:
        refused.create(model="sonnet", messages=say("Hi"), logprobs=True)
    assert getattr(error.value, "status_code", None) == 400
    dropped = refused.create(model="sonnet", messages=say("Hi"), logprobs=True, extra_body={"drop_params": True})
    assert dropped.headers["x-sekisho-dropped-params"] == "logprobs"


def test_a_repeated_conversation_is_read_from_the_cache(client: OpenAI) -> None:
    system = {"role": "system", "content": "You are careful. " * 1500}
    first = client.chat.completions.create(model="sonnet", messages=[system, *say("Hello")])  # type: ignore[list-item]
    again = client.chat.completions.create(model="sonnet", messages=[system, *say("Hello")])  # type: ignore[list-item]
    assert first.usage is not None
    assert again.usage is not None
    assert (first.usage.model_extra or {})["cache_creation_input_tokens"] > 1000
    assert again.usage.prompt_tokens_details is not None
    assert (again.usage.prompt_tokens_details.cached_tokens or 0) > 1000
    assert again.usage.prompt_tokens == first.usage.prompt_tokens
    assert (again.usage.model_extra or {})["cost"] < (first.usage.model_extra or {})["cost"] / 5


def test_headers_tell_what_served_the_call(gateway: Gateway) -> None:
    key = gateway.make_key(max_budget=1)
    body = {"model": "sonnet", "messages": say("Hi")}
    answer = gateway.post("/chat/completions", body, key)
    assert answer.status == 200
    assert answer.headers["x-litellm-model-group"] == "sonnet"
    assert answer.headers["x-litellm-attempted-retries"] == answer.headers["x-litellm-attempted-fallbacks"] == "0"
    assert float(answer.headers["x-sekisho-overhead-ms"]) > 0
    cost, spend = (float(answer.headers[f"x-litellm-{name}"]) for name in ("response-cost", "key-spend"))
    assert cost == spend > 0
    again = gateway.post("/v1/chat/completions?beta=true", body, key)
    assert float(again.headers["x-litellm-key-spend"]) == pytest.approx(2 * cost)
    assert again.headers["x-litellm-call-id"] != answer.headers["x-litellm-call-id"]
    assert "x-sekisho-simulated" not in answer.headers
