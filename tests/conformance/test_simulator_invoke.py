"""InvokeModel and its stream with Claude's Messages body."""

import json
from typing import Any

from tests.support.bedrock import CLAUDE, call, sim

BASH = {"name": "bash", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}}


def body_of(*content: dict[str, Any], **more: Any) -> bytes:
    fields = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 4000, "tools": [BASH]}
    return json.dumps({**fields, "messages": [{"role": "user", "content": [*content]}], **more}).encode()


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


TASK = text(sim(text="so", thinking="hm", tools=[{"name": "bash", "input": {"command": "ls"}}]))
THINK = {"type": "enabled", "budget_tokens": 1024}


def test_a_whole_answer_has_claudes_form_and_aws_counts(runtime: Any) -> None:
    answer = runtime.invoke_model(modelId=CLAUDE, body=body_of(TASK, thinking=THINK))
    message = json.loads(answer["body"].read())
    assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use"]
    assert message["stop_reason"] == "tool_use"
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-bedrock-input-token-count"] == str(message["usage"]["input_tokens"])
    assert headers["x-amzn-bedrock-output-token-count"] == str(message["usage"]["output_tokens"])


def test_a_stream_says_the_same_as_a_whole_answer(runtime: Any) -> None:
    body = body_of(TASK, thinking=THINK)
    message = json.loads(runtime.invoke_model(modelId=CLAUDE, body=body)["body"].read())
    chunks = runtime.invoke_model_with_response_stream(modelId=CLAUDE, body=body)["body"]
    events = [json.loads(event["chunk"]["bytes"]) for event in chunks]
    assert [event["type"] for event in (events[0], *events[-2:])] == ["message_start", "message_delta", "message_stop"]
    joined: dict[str, str] = {}
    for event in events:
        if event["type"] == "content_block_delta":
            kind = event["delta"].pop("type")
            joined[kind] = joined.get(kind, "") + next(iter(event["delta"].values()))
    thinking, said, tool = message["content"]
    assert joined["thinking_delta"] == thinking["thinking"]
    assert joined["signature_delta"] == thinking["signature"]
    assert joined["text_delta"] == said["text"]
    assert json.loads(joined["input_json_delta"]) == tool["input"]
    assert events[-2]["usage"]["output_tokens"] == message["usage"]["output_tokens"]
    assert events[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == message["usage"]["output_tokens"]


def test_a_tool_turn_goes_on_with_thinking_cache_marks_and_merged_turns(runtime: Any, simulator: str) -> None:
    system = [text(f"{simulator} invoke " + "remember this. " * 30, cache_control={"type": "ephemeral", "ttl": "1h"})]
    first = json.loads(
        runtime.invoke_model(modelId=CLAUDE, body=body_of(TASK, thinking=THINK, system=system))["body"].read()
    )
    assert first["usage"]["cache_creation"]["ephemeral_1h_input_tokens"] > 100
    tool_id = first["content"][2]["id"]
    messages = [
        {"role": "user", "content": [TASK]},
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": tool_id, "content": "fine"}]},
        {"role": "user", "content": "go on"},
    ]
    body = body_of(messages=messages, thinking=THINK, system=system)
    second = json.loads(runtime.invoke_model(modelId=CLAUDE, body=body)["body"].read())
    assert second["stop_reason"] == "end_turn"
    assert "fine" in second["content"][-1]["text"]
    assert second["usage"]["cache_read_input_tokens"] == first["usage"]["cache_creation_input_tokens"]
    seen = call("GET", f"{simulator}/_simulator/calls")[1]["calls"][-1]
    assert seen["usage"]["cache_read"] == second["usage"]["cache_read_input_tokens"]


def test_a_system_turn_between_user_turns_is_accepted(runtime: Any) -> None:
    turns = [("user", "one"), ("system", "be kind"), ("user", "two")]
    body = body_of(messages=[{"role": role, "content": words} for role, words in turns])
    message = json.loads(runtime.invoke_model(modelId=CLAUDE, body=body)["body"].read())
    assert "two" in message["content"][0]["text"]


def test_tools_are_not_called_when_the_choice_is_none(runtime: Any) -> None:
    answer = runtime.invoke_model(modelId=CLAUDE, body=body_of(TASK, tool_choice={"type": "none"}))
    message = json.loads(answer["body"].read())
    assert [block["type"] for block in message["content"]] == ["text"]


def test_request_metadata_travels_in_a_header(runtime: Any, simulator: str) -> None:
    runtime.invoke_model(modelId=CLAUDE, body=body_of(TASK), requestMetadata=json.dumps({"team": "blue"}))
    (seen,) = call("GET", f"{simulator}/_simulator/calls")[1]["calls"]
    assert seen["request_metadata"] == {"team": "blue"}
