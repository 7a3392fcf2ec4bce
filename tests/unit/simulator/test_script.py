"""The scripted model driven as an agent drives it, with its tools played by the test."""

from typing import Any

import pytest
from tests.support.bedrock import CLAUDE, TOOLS, assistant, tool_result, tool_spec, user

from sekisho.core.usage import Usage
from sekisho.simulator.script import play
from sekisho.simulator.wires.base import Said
from sekisho.simulator.wires.converse.read import read_converse
from sekisho.simulator.wires.converse.rules import check_converse
from sekisho.simulator.wires.converse.write import write_converse

TASK = "Create a file named `hello.txt` with the content `hi`, then run the command `cat hello.txt`."
SYSTEM = [{"text": "You are an agent.\nWorking directory: /w\n"}]


def turn(messages: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """The model's next message, as it would be sent back in the next request."""
    body = {"messages": messages, "system": SYSTEM, "toolConfig": TOOLS, **more}
    prompt = read_converse(CLAUDE, body)
    check_converse(prompt)
    said = Said(id="1", created=0, prompt=prompt, answer=play(prompt), usage=Usage(), latency_ms=0)
    message: dict[str, Any] = write_converse(said)["output"]["message"]
    return message


def uses_of(message: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(b["toolUse"]["name"], b["toolUse"]["input"]) for b in message["content"] if "toolUse" in b]


def answer_to(message: dict[str, Any], text: str = "ok", **more: Any) -> dict[str, Any]:
    uses = [block["toolUse"] for block in message["content"] if "toolUse" in block]
    return user(*(tool_result(use["toolUseId"], text, **more) for use in uses))


def text_of(message: dict[str, Any]) -> str:
    return "".join(block.get("text", "") for block in message["content"])


def test_a_task_is_done_step_by_step_and_then_summed_up() -> None:
    messages = [user(TASK)]
    seen = []
    for _ in range(3):
        said = turn(messages)
        seen.append(uses_of(said))
        messages += [said, answer_to(said, "fine")] if uses_of(said) else [said]
    assert seen == [
        [("write", {"path": "/w/hello.txt", "content": "hi"})],
        [("bash", {"command": "cat hello.txt"})],
        [],
    ]
    assert "SIMULATED: done" in text_of(messages[-1])
    assert "fine" in text_of(messages[-1])
    ids = {b["toolUse"]["toolUseId"] for m in messages for b in m["content"] if "toolUse" in b}
    assert len(ids) == 2


@pytest.mark.parametrize(
    "failure",
    [
        {"text": "no room", "status": "error"},
        {"text": '{"result":"no room","success":false}'},
        {"text": '{"error":"no room"}'},
    ],
)
def test_a_failed_tool_ends_the_task(failure: dict[str, Any]) -> None:
    said = turn([user(TASK)])
    final = turn([user(TASK), said, answer_to(said, **failure)])
    assert not uses_of(final)
    assert "failed" in text_of(final)
    assert "no room" in text_of(final)


def test_what_the_agent_adds_beside_a_result_does_not_stop_the_task() -> None:
    said = turn([user(TASK)])
    result = answer_to(said)
    result["content"].append({"text": "<environment_details>it is late</environment_details>"})
    assert uses_of(turn([user(TASK), said, result])) == [("bash", {"command": "cat hello.txt"})]


def test_a_finished_task_is_not_begun_again() -> None:
    messages = [user(TASK), assistant("SIMULATED: done."), user("Thank you!")]
    said = turn(messages)
    assert not uses_of(said)
    assert "Thank you!" in text_of(said)


def test_a_new_task_follows_an_old_one() -> None:
    said = turn([user(TASK), assistant("done"), user("Now run the command `pwd`.")])
    assert uses_of(said) == [("bash", {"command": "pwd"})]


def test_an_agent_that_wants_to_be_told_is_told() -> None:
    finisher = tool_spec("attempt_completion", ("result",), result={"type": "string"})
    config = {"tools": [*TOOLS["tools"], finisher]}
    messages = [user("Run the command `pwd`.")]
    first = turn(messages, toolConfig=config)
    messages += [first, answer_to(first)]
    second = turn(messages, toolConfig=config)
    ((name, tool_input),) = uses_of(second)
    assert name == "attempt_completion"
    assert "SIMULATED: done" in tool_input["result"]
    assert not uses_of(turn([*messages, second, answer_to(second)], toolConfig=config))


def test_an_agent_that_forces_tools_always_gets_one() -> None:
    config = {**TOOLS, "toolChoice": {"any": {}}}
    assert uses_of(turn([user(TASK)], toolConfig=config)) == [("write", {"path": "/w/hello.txt", "content": "hi"})]
    assert len(uses_of(turn([user("hello")], toolConfig=config))) == 1


def test_without_a_fitting_tool_it_says_so() -> None:
    said = turn([user(TASK)], toolConfig={"tools": [tool_spec("think", ("thought",), thought={"type": "string"})]})
    assert "none of the 1 tools can do this" in text_of(said)
    assert "SIMULATED answer" in text_of(turn([user(TASK)], toolConfig=None))
