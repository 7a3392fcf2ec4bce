"""Each limit of the service model and each known pitfall of Bedrock is a case that must be refused."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.bedrock import (
    BASH,
    CLAUDE,
    LLAMA,
    NEWEST_CLAUDE,
    TOOLS,
    assistant,
    call,
    sim,
    tool_result,
    tool_use,
    user,
)

HELLO = user("hello")
POINT = {"cachePoint": {"type": "default"}}
MARKED: list[str | dict[str, Any]] = ["text", POINT]


def thinking(budget: int = 1024) -> dict[str, Any]:
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def image(data: Any) -> dict[str, Any]:
    return {"image": {"format": "png", "source": {"bytes": data}}}


def reasoning(text: str = "hm", **more: str) -> dict[str, Any]:
    return {"reasoningContent": {"reasoningText": {"text": text, **more}}}


MODEL_CASES: dict[str, tuple[dict[str, Any], str]] = {
    "temperature over 1": ({"inferenceConfig": {"temperature": 1.5}}, "value less than or equal to 1"),
    "maxTokens of 0": ({"inferenceConfig": {"maxTokens": 0}}, "value greater than or equal to 1"),
    "maxTokens as a fraction": ({"inferenceConfig": {"maxTokens": 1.5}}, "must be a integer"),
    "a role nobody has": ({"messages": [{"role": "tool", "content": [{"text": "x"}]}]}, "enum value set"),
    "no content": ({"messages": [{"role": "user"}]}, "'messages.1.member.content' failed.*must not be null"),
    "two kinds in one block": ({"messages": [user({"text": "a", **POINT})]}, "exactly one of"),
    "an empty block": ({"messages": [user({})]}, "exactly one of"),
    "17 metadata pairs": ({"requestMetadata": {str(n): "x" for n in range(17)}}, "length less than or equal to 16"),
    "a bad metadata value": ({"requestMetadata": {"a": "語"}}, "regular expression"),
    "a tool id of 65 characters": (
        {"messages": [HELLO, assistant(tool_use("x" * 65)), user(tool_result("x" * 65))], "toolConfig": TOOLS},
        "length less than or equal to 64",
    ),
    "a tool name with a dot": (
        {"toolConfig": {"tools": [{"toolSpec": {**BASH["toolSpec"], "name": "a.b"}}]}},
        "regular",
    ),
    "no tools in toolConfig": ({"toolConfig": {"tools": []}}, "length greater than or equal to 1"),
    "an empty stop sequence": ({"inferenceConfig": {"stopSequences": [""]}}, "length greater than or equal to 1"),
    "an empty system text": ({"system": [{"text": ""}]}, "length greater than or equal to 1"),
    "an image of a strange format": (
        {"messages": [user({"image": {"format": "bmp", "source": {"bytes": b"pixel"}}})]},
        "enum value set",
    ),
}

# What boto3 cannot write.
RAW_CASES: dict[str, tuple[dict[str, Any], str]] = {
    "temperature as text": ({"inferenceConfig": {"temperature": "1"}}, "must be a float"),
    "an unknown field": ({"max_tokens": 5}, "'max_tokens' failed to satisfy constraint: Member is not known"),
    "a tool choice of none": ({"toolConfig": {**TOOLS, "toolChoice": {"none": {}}}}, "toolChoice.none' failed"),
    "bytes that are not base64": ({"messages": [user(image("no base64"))]}, "must be a base64 string"),
    "messages as a text": ({"messages": "hello"}, "must be a list"),
}

RULE_CASES: dict[str, tuple[dict[str, Any], str]] = {
    "no messages": ({"messages": []}, "must start with a user message"),
    "an assistant first": ({"messages": [assistant("hi"), HELLO]}, "must start with a user message"),
    "two users in a row": ({"messages": [HELLO, HELLO]}, "must alternate"),
    "blank text": ({"messages": [user(" \n")]}, "messages.0.content.0 is blank"),
    "an empty turn": ({"messages": [user()]}, "messages.0 is empty"),
    "an empty tool output": (
        {"messages": [HELLO, assistant(tool_use("a")), user(tool_result("a", ""))], "toolConfig": TOOLS},
        "is blank",
    ),
    "tools in the past but no toolConfig": (
        {"messages": [HELLO, assistant(tool_use("a")), user(tool_result("a"))]},
        "toolConfig field must be defined",
    ),
    "a call without a result": (
        {"messages": [HELLO, assistant(tool_use("a"), tool_use("b")), user(tool_result("a"))], "toolConfig": TOOLS},
        "Expected toolResult blocks at messages.2.content for the following Ids: b",
    ),
    "a call at the end": ({"messages": [HELLO, assistant(tool_use("a"))], "toolConfig": TOOLS}, "Expected toolResult"),
    "a result without a call": (
        {"messages": [HELLO, assistant("hi"), user(tool_result("a"))], "toolConfig": TOOLS},
        "exceeds the number of toolUse blocks",
    ),
    "a result at the start": ({"messages": [user(tool_result("a"))], "toolConfig": TOOLS}, "exceeds the number"),
    "an id used twice": (
        {
            "messages": [HELLO, *([assistant(tool_use("a")), user(tool_result("a"))] * 2)],
            "toolConfig": TOOLS,
        },
        "ids must be unique",
    ),
    "two tools of one name": ({"toolConfig": {"tools": [BASH, BASH]}}, "names must be unique"),
    "a choice of a tool that is not there": (
        {"toolConfig": {**TOOLS, "toolChoice": {"tool": {"name": "gone"}}}},
        "'gone' not found",
    ),
    "five cache points": ({"messages": [user(*MARKED * 5)]}, "maximum of 4 blocks"),
    "1h after 5m": (
        {"system": [{"text": "a"}, POINT, {"text": "b"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]},
        "must not come after",
    ),
    "a thinking budget under 1024": ({"additionalModelRequestFields": thinking(1023)}, "1024"),
    "a budget over maxTokens": (
        {"additionalModelRequestFields": thinking(), "inferenceConfig": {"maxTokens": 1024}},
        "`max_tokens` must be greater",
    ),
    "temperature while thinking": (
        {"additionalModelRequestFields": thinking(), "inferenceConfig": {"temperature": 0.5}},
        "`temperature` may only be set to 1",
    ),
    "a forced tool while thinking": (
        {"additionalModelRequestFields": thinking(), "toolConfig": {**TOOLS, "toolChoice": {"any": {}}}},
        "Thinking may not be enabled",
    ),
    "a tool turn without its reasoning": (
        {
            "messages": [HELLO, assistant(tool_use("a")), user(tool_result("a"))],
            "toolConfig": TOOLS,
            "additionalModelRequestFields": thinking(),
        },
        "messages.1.content.0.type: Expected `thinking`",
    ),
    "reasoning without a signature": (
        {"messages": [HELLO, assistant(reasoning(), "x"), HELLO]},
        "signature: Field required",
    ),
    "reasoning with a foreign signature": (
        {"messages": [HELLO, assistant(reasoning(signature="x"), "x"), HELLO]},
        "Invalid `signature`",
    ),
    "temperature and top_p": ({"inferenceConfig": {"temperature": 0.5, "topP": 0.5}}, "cannot both be specified"),
    "temperature for the newest": (
        {"modelId": NEWEST_CLAUDE, "inferenceConfig": {"temperature": 0}},
        "`temperature` is deprecated",
    ),
    "top_k for the newest": (
        {"modelId": "global.anthropic.claude-sonnet-5", "additionalModelRequestFields": {"top_k": 3}},
        "`top_k` is deprecated",
    ),
    "a document with a file name": (
        {"messages": [user("read", {"document": {"name": "a.pdf", "format": "pdf", "source": {"bytes": b"pdf"}}})]},
        "document file name",
    ),
    "a bad directive": ({"messages": [user(sim(words=3))]}, "unknown field `words`"),
}


@pytest.mark.parametrize("case", [*MODEL_CASES, *RULE_CASES])
def test_is_refused(runtime: Any, case: str) -> None:
    fields, message = (MODEL_CASES | RULE_CASES)[case]
    with pytest.raises(runtime.exceptions.ValidationException, match=message):
        runtime.converse(**{"modelId": CLAUDE, "messages": [HELLO], **fields})


@pytest.mark.parametrize("case", RAW_CASES)
def test_is_refused_on_the_wire(simulator: str, case: str) -> None:
    fields, message = RAW_CASES[case]
    body = {"messages": [HELLO], **fields}
    status, document = call("POST", f"{simulator}/model/{CLAUDE}/converse", body, {"authorization": "Bearer any"})
    assert status == 400
    assert message in document["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [user("look", image(b"pixel"))]},
        {"modelId": LLAMA, "inferenceConfig": {"temperature": 0.5, "topP": 0.5}},
        {"modelId": NEWEST_CLAUDE, "additionalModelRequestFields": {"thinking": {"type": "adaptive"}}},
        {"inferenceConfig": {"temperature": 1}, "additionalModelRequestFields": thinking()},
        {"messages": [{"role": "system", "content": [{"text": "be kind"}]}, HELLO]},
        {"messages": [user(*MARKED * 4)]},
        # A finished tool turn needs no reasoning any more.
        {
            "messages": [HELLO, assistant(tool_use("a")), user(tool_result("a")), assistant("done"), HELLO],
            "toolConfig": TOOLS,
            "additionalModelRequestFields": thinking(),
        },
    ],
)
def test_is_accepted(runtime: Any, fields: dict[str, Any]) -> None:
    answer = runtime.converse(**{"modelId": CLAUDE, "messages": [HELLO], **fields})
    assert answer["stopReason"] == "end_turn"


def test_caching_is_refused_by_models_that_cannot(runtime: Any) -> None:
    with pytest.raises(runtime.exceptions.AccessDeniedException, match="prompt caching"):
        runtime.converse(modelId=LLAMA, messages=[user("hello", POINT)])


def test_several_violations_are_named_together(runtime: Any) -> None:
    with pytest.raises(ClientError, match=r"2 validation errors detected: .*topP.*; .*maxTokens|maxTokens.*; .*topP"):
        runtime.converse(modelId=CLAUDE, messages=[HELLO], inferenceConfig={"topP": 2, "maxTokens": 0})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"anthropic_version": None}, "anthropic_version"),
        ({"anthropic_version": "2026-10-21"}, "not supported by this model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"model": "claude"}, "model: Extra inputs"),
        ({"stream": True}, "stream: Extra inputs"),
        ({"messages": []}, "at least one message"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]}]},
            "exceeds the number",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "sound"}]}]}, "Input tag 'sound'"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "text: Field required"),
        ({"temperature": 0.5, "top_p": 0.5}, "cannot both be specified"),
    ],
)
def test_a_messages_body_is_refused(runtime: Any, change: dict[str, Any], message: str) -> None:
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    body = {name: value for name, value in {**body, **change}.items() if value is not None}
    with pytest.raises(runtime.exceptions.ValidationException, match=message):
        runtime.invoke_model(modelId=CLAUDE, body=json.dumps(body))
