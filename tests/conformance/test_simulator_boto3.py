"""boto3 judges the simulator's answers: each must parse, and say what was asked for."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.support.bedrock import (
    CLAUDE,
    LLAMA,
    TOOLS,
    assistant,
    call,
    sim,
    tool_result,
    user,
)

THINKING = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
LONG = "a paragraph to remember. " * 20


def read_stream(answer: dict[str, Any]) -> tuple[list[str], dict[int, dict[str, Any]], dict[str, Any]]:
    """The names of a stream's events in order, its blocks put together, and its metadata."""
    names: list[str] = []
    blocks: dict[int, dict[str, Any]] = {}
    metadata: dict[str, Any] = {}
    for event in answer["stream"]:
        ((name, value),) = event.items()
        names.append(name)
        if name == "contentBlockStart":
            blocks[value["contentBlockIndex"]] = {**value["start"]["toolUse"], "input": ""}
        elif name == "contentBlockDelta":
            block = blocks.setdefault(value["contentBlockIndex"], {"text": "", "thinking": "", "signature": ""})
            delta = value["delta"]
            block["text"] = block.get("text", "") + delta.get("text", "")
            block["thinking"] = block.get("thinking", "") + delta.get("reasoningContent", {}).get("text", "")
            block["signature"] = block.get("signature", "") + delta.get("reasoningContent", {}).get("signature", "")
            block["input"] = block.get("input", "") + delta.get("toolUse", {}).get("input", "")
        elif name in ("metadata", "messageStop"):
            metadata |= value
    return names, blocks, metadata


def test_converse_answers_a_text_that_says_what_it_is(runtime: Any) -> None:
    answer = runtime.converse(modelId=CLAUDE, messages=[user("Why is the sky blue?")])
    text = answer["output"]["message"]["content"][0]["text"]
    assert "SIMULATED" in text
    assert "Why is the sky blue?" in text
    assert answer["stopReason"] == "end_turn"
    assert answer["usage"]["inputTokens"] == 5  # 20 bytes
    assert answer["usage"]["outputTokens"] == -(-len(text.encode()) // 4)
    assert answer["usage"]["totalTokens"] == answer["usage"]["inputTokens"] + answer["usage"]["outputTokens"]
    assert answer["ResponseMetadata"]["RequestId"]


def test_a_stream_says_the_same_as_a_whole_answer(runtime: Any) -> None:
    question: dict[str, Any] = {
        "modelId": CLAUDE,
        "messages": [user(sim(text="a text", thinking="hm", tools=[{"name": "bash", "input": {"command": "ls -la"}}]))],
        "toolConfig": TOOLS,
        "inferenceConfig": {"maxTokens": 4000},
        "additionalModelRequestFields": THINKING,
    }
    whole = runtime.converse(**question)
    names, blocks, metadata = read_stream(runtime.converse_stream(**question))
    thinking, text, tool = whole["output"]["message"]["content"]
    assert blocks[0]["thinking"] == thinking["reasoningContent"]["reasoningText"]["text"] == "hm"
    assert blocks[0]["signature"] == thinking["reasoningContent"]["reasoningText"]["signature"]
    assert blocks[1]["text"] == text["text"] == "a text"
    assert json.loads(blocks[2]["input"]) == tool["toolUse"]["input"] == {"command": "ls -la"}
    assert blocks[2]["toolUseId"] == tool["toolUse"]["toolUseId"]
    assert metadata["usage"] == whole["usage"]
    assert metadata["stopReason"] == whole["stopReason"] == "tool_use"
    assert names[0] == "messageStart"
    assert names[-2:] == ["messageStop", "metadata"]
    assert names.count("contentBlockStart") == 1  # the tool's; text and thinking have none
    assert names.count("contentBlockStop") == 3


def test_parallel_tools_are_called_in_one_turn_and_their_results_summed_up(runtime: Any) -> None:
    tools = [{"name": "bash", "input": {"command": "a"}}, {"name": "write", "input": {"path": "p", "content": "c"}}]
    question = user(sim(tools=tools))
    first = runtime.converse(modelId=CLAUDE, messages=[question], toolConfig=TOOLS)
    calls = [block["toolUse"] for block in first["output"]["message"]["content"]]
    assert [(use["name"], use["input"]) for use in calls] == [(tool["name"], tool["input"]) for tool in tools]
    assert len({use["toolUseId"] for use in calls}) == 2
    results = user(*(tool_result(use["toolUseId"], "fine") for use in calls))
    second = runtime.converse(
        modelId=CLAUDE, messages=[question, first["output"]["message"], results], toolConfig=TOOLS
    )
    assert second["stopReason"] == "end_turn"
    assert "fine" in second["output"]["message"]["content"][0]["text"]


def test_thinking_goes_round_with_its_signature(runtime: Any) -> None:
    question = user(sim(thinking="let me see", tools=[{"name": "bash", "input": {"command": "ls"}}]))
    more: dict[str, Any] = {
        "modelId": CLAUDE,
        "toolConfig": TOOLS,
        "inferenceConfig": {"maxTokens": 4000},
        "additionalModelRequestFields": THINKING,
    }
    said = runtime.converse(messages=[question], **more)["output"]["message"]
    result = user(tool_result(said["content"][1]["toolUse"]["toolUseId"]))
    answer = runtime.converse(messages=[question, said, result], **more)
    assert "reasoningContent" in answer["output"]["message"]["content"][0]
    with pytest.raises(ClientError, match="Expected `thinking` or `redacted_thinking`, but found `tool_use`"):
        runtime.converse(messages=[question, assistant(said["content"][1]), result], **more)
    said["content"][0]["reasoningContent"]["reasoningText"]["text"] = "let me lie"
    with pytest.raises(ClientError, match="Invalid `signature` in `thinking` block"):
        runtime.converse(messages=[question, said, result], **more)


def test_a_forced_tool_and_a_json_answer_satisfy_their_schemas(runtime: Any) -> None:
    forced = {**TOOLS, "toolChoice": {"tool": {"name": "write"}}}
    answer = runtime.converse(modelId=CLAUDE, messages=[user("hello")], toolConfig=forced)
    use = answer["output"]["message"]["content"][0]["toolUse"]
    assert use["name"] == "write"
    assert set(use["input"]) == {"path", "content"}
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
    text_format = {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(schema), "name": "n"}}}
    answer = runtime.converse(
        modelId=CLAUDE, messages=[user("hello")], outputConfig={"textFormat": text_format, "effort": "low"}
    )
    assert json.loads(answer["output"]["message"]["content"][0]["text"]) == {"n": 3}


def test_the_answer_ends_at_the_token_limit_and_at_a_stop_sequence(runtime: Any) -> None:
    answer = runtime.converse(modelId=CLAUDE, messages=[user(sim(repeat=100))], inferenceConfig={"maxTokens": 10})
    assert answer["stopReason"] == "max_tokens"
    assert answer["usage"]["outputTokens"] == 10
    answer = runtime.converse(
        modelId=CLAUDE,
        messages=[user(sim(repeat=100))],
        inferenceConfig={"stopSequences": ["nowhere", " word3"]},
        additionalModelResponseFieldPaths=["/stop_sequence"],
    )
    assert answer["stopReason"] == "stop_sequence"
    assert answer["output"]["message"]["content"][0]["text"] == "word1 word2"
    assert answer["additionalModelResponseFields"] == {"stop_sequence": " word3"}


def test_a_tool_call_cut_by_the_token_limit_has_no_whole_input(runtime: Any) -> None:
    question: dict[str, Any] = {
        "modelId": CLAUDE,
        "messages": [user(sim(tools=[{"name": "bash", "input": {"command": "x" * 100}}]))],
        "toolConfig": TOOLS,
        "inferenceConfig": {"maxTokens": 10},
    }
    assert runtime.converse(**question)["output"]["message"]["content"][0]["toolUse"]["input"] == {}
    _, blocks, metadata = read_stream(runtime.converse_stream(**question))
    assert blocks[0]["input"].startswith('{"command":"xxx')
    assert not blocks[0]["input"].endswith("}")
    assert metadata["stopReason"] == "max_tokens"


def test_cache_points_are_accounted_by_scope(runtime: Any, simulator: str) -> None:
    point = {"cachePoint": {"type": "default"}}
    hour = {"cachePoint": {"type": "default", "ttl": "1h"}}
    remembered = f"{simulator} {LONG}"
    system = [{"text": remembered}, hour]
    first_turn = user(LONG, point)
    first = runtime.converse(modelId=CLAUDE, system=system, messages=[first_turn])["usage"]
    written = {detail["ttl"]: detail["inputTokens"] for detail in first["cacheDetails"]}
    assert first["cacheReadInputTokens"] == 0
    assert written == {"1h": -(-len(remembered) // 4), "5m": 125}
    assert first["inputTokens"] == 0
    assert first["totalTokens"] == first["cacheWriteInputTokens"] + first["outputTokens"]
    # The next turn marks a later place only: the earlier prefix is read all the same.
    turns = [user(LONG), assistant("I see."), user("And now?", point)]
    second = runtime.converse(modelId=CLAUDE, system=system, messages=turns)["usage"]
    assert second["cacheReadInputTokens"] == first["cacheWriteInputTokens"]
    assert second["cacheDetails"] == [{"ttl": "5m", "inputTokens": 4}]
    other = runtime.converse(modelId="us.anthropic.claude-haiku-4-5-v1:0", system=system, messages=[first_turn])
    assert other["usage"]["cacheReadInputTokens"] == 0


def test_count_tokens_agrees_with_what_is_billed(runtime: Any) -> None:
    messages = [user("Why is the sky blue?"), assistant("Because."), user("Of what?")]
    counted = runtime.count_tokens(modelId=CLAUDE, input={"converse": {"messages": messages}})["inputTokens"]
    assert counted == runtime.converse(modelId=CLAUDE, messages=messages)["usage"]["inputTokens"] == 5 + 2 + 2
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 10,
        "messages": [{"role": "user", "content": "12345"}],
    }
    answer = runtime.count_tokens(modelId=CLAUDE, input={"invokeModel": {"body": json.dumps(body).encode()}})
    assert answer["inputTokens"] == 2


def test_an_arn_in_the_path_is_decoded_and_signed(runtime: Any, simulator: str) -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    runtime.converse(modelId=arn, messages=[user("hello")])
    (seen,) = call("GET", f"{simulator}/_simulator/calls")[1]["calls"]
    assert seen["model"] == arn
    assert seen["status"] == 200


def test_calls_are_remembered_without_their_content(runtime: Any, simulator: str) -> None:
    answer = runtime.converse(modelId=LLAMA, messages=[user("a secret")], requestMetadata={"team": "blue"})
    with pytest.raises(ClientError):
        runtime.converse(modelId=LLAMA, messages=[])
    _, document = call("GET", f"{simulator}/_simulator/calls")
    good, bad = document["calls"]
    assert good["operation"] == "Converse"
    assert good["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert (good["account"], good["region"], good["model"]) == ("000000000000", "us-east-1", LLAMA)
    assert good["usage"]["input"] == answer["usage"]["inputTokens"]
    assert good["usage"]["output"] == answer["usage"]["outputTokens"]
    assert good["request_metadata"] == {"team": "blue"}
    assert (good["complete"], good["disconnected"], good["stop_reason"]) == (True, False, "end_turn")
    assert (bad["status"], bad["error"]) == (400, "ValidationException")
    assert "a secret" not in json.dumps(document)
