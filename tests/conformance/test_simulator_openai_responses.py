"""The openai SDK judges the Responses API, of OpenAI and of Bedrock's path."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.responses import input_token_count_params, response_create_params
from tests.support.bedrock import call, sim

from sekisho.simulator.wires.responses import read

MODEL = "gpt-5.5"
BASH: Any = {"type": "function", "name": "bash", "parameters": {"type": "object"}, "strict": False}
PATCH: Any = {"type": "custom", "name": "apply_patch"}
SPACE: Any = {"type": "namespace", "name": "files", "description": "", "tools": [{**BASH, "name": "read"}]}
TOOLS: Any = [BASH, PATCH, SPACE, {"type": "web_search"}]
WISHES = [
    {"name": "bash", "input": {"command": "日本語"}},
    {"name": "apply_patch", "input": {"input": '*** "free"\n' * 4}},
    {"name": "read", "input": {}},
]
TASK = sim(text="so", thinking="hm hm", tools=WISHES)
THINK: Any = {"effort": "low", "summary": "auto"}
INCLUDE: Any = ["reasoning.encrypted_content"]
SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "Zm9yZ2Vk"}


@pytest.fixture(params=["/v1", "/openai/v1"])
def client(request: pytest.FixtureRequest, simulator: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=simulator + request.param, api_key="any", max_retries=0) as made:
        yield made


def ask(client: OpenAI, **fields: Any) -> Any:
    return client.responses.create(**{"model": MODEL, "input": "hi", "store": False, **fields})


def test_the_fields_the_sdk_knows_are_known() -> None:
    sdk = set(response_create_params.ResponseCreateParamsBase.__annotations__)
    assert sdk | {"stream"} <= read.KNOWN_FIELDS
    assert set(input_token_count_params.InputTokenCountParams.__annotations__) == read.COUNTED_FIELDS


def test_a_stream_says_the_same_as_a_whole_answer(client: OpenAI) -> None:
    question: Any = {"model": MODEL, "input": TASK, "tools": TOOLS, "reasoning": THINK, "store": False}
    whole = ask(client, **question)
    kinds = [item.type for item in whole.output]
    assert kinds == ["reasoning", "message", "function_call", "custom_tool_call", "function_call"]
    assert whole.output_text == "so"
    assert whole.output[0].summary[0].text == "hm hm"
    assert json.loads(whole.output[2].arguments) == WISHES[0]["input"]
    assert whole.output[3].input == WISHES[1]["input"]["input"]  # type: ignore[index]  # a literal of two levels
    assert whole.output[4].namespace == "files"
    with client.responses.stream(**question) as stream:
        events = list(stream)
        streamed = stream.get_final_response()
    assert [strip(item) for item in streamed.output] == [strip(item) for item in whole.output]
    assert streamed.usage is not None
    assert streamed.usage.total_tokens == whole.usage.total_tokens
    assert whole.usage.output_tokens_details.reasoning_tokens == 2
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"


def strip(item: Any) -> dict[str, Any]:
    """An item without what differs from call to call and what the SDK adds."""
    fields: dict[str, Any] = item.model_dump(exclude_none=True, exclude={"id", "parsed_arguments"})
    for part in fields.get("content", ()):
        part.pop("parsed", None)
    return fields


def test_the_events_of_a_message_come_in_their_order(client: OpenAI) -> None:
    kinds = [event.type for event in ask(client, input=sim(text="one"), stream=True)]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


def test_reasoning_and_calls_go_round(client: OpenAI) -> None:
    more: Any = {"tools": TOOLS, "reasoning": {"effort": "low"}, "include": INCLUDE}
    first = ask(client, input=TASK, **more)
    assert first.output[0].summary == []
    items = [item.model_dump(exclude_none=True) for item in first.output]
    results = [
        {
            "type": "custom_tool_call_output" if item["type"] == "custom_tool_call" else "function_call_output",
            "call_id": item["call_id"],
            "output": [{"type": "input_text", "text": "fine"}] if item["name"] == "bash" else "",
        }
        for item in items
        if "call_id" in item
    ]
    turns = [{"role": "user", "content": TASK}, *items, *results]
    second = ask(client, input=turns, **more)
    assert "fine" in second.output_text
    with pytest.raises(openai.BadRequestError, match="No tool output found for function call call_"):
        ask(client, input=turns[:-1], **more)
    with pytest.raises(openai.BadRequestError, match="No tool call found"):
        ask(client, input=[turns[0], results[0]], **more)
    forged = {**items[0], "encrypted_content": "Zm9yZ2Vk"}
    with pytest.raises(openai.BadRequestError, match="could not be verified") as refused:
        ask(client, input=[turns[0], forged, *turns[2:]], **more)
    assert refused.value.code == "invalid_encrypted_content"


def test_an_answer_that_is_too_long_is_incomplete(client: OpenAI) -> None:
    question: Any = {"input": sim(repeat=100), "max_output_tokens": 16}
    answer = ask(client, **question)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.output[-1].status == "incomplete"
    assert list(ask(client, stream=True, **question))[-1].type == "response.incomplete"


def test_choices_schemas_and_instructions(client: OpenAI) -> None:
    forced = ask(client, tools=TOOLS, tool_choice={"type": "custom", "name": "apply_patch"})
    assert forced.output[0].type == "custom_tool_call"
    assert len(ask(client, input=sim(tools=WISHES), tools=TOOLS, parallel_tool_calls=False).output) == 1
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    wish = {"type": "json_schema", "name": "n", "schema": schema}
    assert ask(client, text={"format": wish}).output_text == '{"n":0}'
    with pytest.raises(openai.BadRequestError, match="'additionalProperties' is required"):
        ask(client, text={"format": {**wish, "strict": True}})
    picture = {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"}
    turns = [{"role": "developer", "content": "kind"}, {"role": "user", "content": [picture]}]
    assert ask(client, instructions="be", input=turns).usage.input_tokens == 1 + 1 + 1500


def test_tokens_are_counted_as_they_are_billed(simulator: str) -> None:
    with OpenAI(base_url=f"{simulator}/v1", api_key="any", max_retries=0) as client:
        question: Any = {"model": MODEL, "input": "Why is the sky blue?", "tools": [BASH]}
        counted = client.responses.input_tokens.count(**question)
        assert counted.input_tokens == ask(client, **question).usage.input_tokens


REFUSED: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "an unknown field": ({"drop_params": True}, "Unrecognized request argument supplied: drop_params", None),
    "an earlier response": ({"previous_response_id": "resp_1"}, "not found", "previous_response_id"),
    "a conversation": ({"conversation": "conv_1"}, "not served", "conversation"),
    "no input": ({"input": None}, "Missing required parameter: 'input'", "input"),
    "too little output": ({"max_output_tokens": 1}, "Expected a value >= 16", "max_output_tokens"),
    "a foreign item id": (
        {"input": [{"type": "message", "id": "x", "role": "user", "content": "hi"}]},
        "begins with 'msg'",
        "input[0].id",
    ),
    "a part of the wrong side": (
        {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]},
        "'output_text', 'refusal'",
        "input[0].content[0]",
    ),
    "reasoning without what follows": ({"input": [{**SEALED, "encrypted_content": None}]}, "not found", "input"),
    "a name with a dot": ({"tools": [{**BASH, "name": "a.b"}]}, "does not match pattern", "tools[0].name"),
    "a tool nobody has": ({"tools": [{"type": "magic"}]}, "Invalid value: 'magic'", "tools[0].type"),
    "an item nobody has": ({"input": [{"type": "magic"}]}, "Invalid value: 'magic'", "input[0].type"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused(simulator: str, case: str) -> None:
    change, message, param = REFUSED[case]
    body = {"model": MODEL, "input": "hi", **change}
    headers = {"authorization": "Bearer any"}
    status, document = call("POST", f"{simulator}/v1/responses", body, headers)
    assert status in (400, 404)
    assert message in document["error"]["message"]
    assert document["error"]["param"] == param


@pytest.mark.parametrize("kind", ["exception_event", "cut", "garbage"])
def test_a_broken_stream_does_not_end_cleanly(client: OpenAI, simulator: str, kind: str) -> None:
    fault = {"kind": kind, "after": 5, "message": "broke", "type": "throttlingException"}
    call("POST", f"{simulator}/_simulator/faults", {"fault": fault, "match": {"operation": "ResponseStream"}})
    kinds = []
    try:
        for event in ask(client, stream=True):
            kinds.append(event.type)
            if event.type == "response.failed":
                assert (event.response.error.code, event.response.error.message) == ("rate_limit_exceeded", "broke")
                assert event.sequence_number == 5
    except Exception:  # noqa: BLE001 - what a cut or spoiled stream raises is the SDK's affair
        assert kind != "exception_event"
    else:
        assert kinds[-1] == "response.failed"
    assert len(kinds) >= 4
    seen = call("GET", f"{simulator}/_simulator/calls")[1]["calls"][-1]
    assert (seen["operation"], seen["complete"]) == ("ResponseStream", False)
