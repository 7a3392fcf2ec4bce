"""What is charged of calls that end halfway: the client leaves, time is up, a later part fails. Once, and in truth."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.support.gateway import Gateway, Simulator, run_gateway

CONFIG = """
model_list:
  - model_name: sonnet
    litellm_params: &sonnet
      model: bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0
      aws_region_name: us-east-1
  - model_name: titan
    litellm_params: &titan
      model: bedrock/amazon.titan-embed-text-v2:0
      aws_region_name: us-east-1
  - model_name: titan-elsewhere
    litellm_params: {<<: *titan, aws_region_name: eu-west-1}
router_settings:
  num_retries: 2
"""
TITAN = {"model": "amazon.titan-embed-text-v2:0", "region": "us-east-1"}
CHAT: dict[str, object] = {"model": "sonnet", "messages": [{"role": "user", "content": '[[sim: {"repeat": 40}]]'}]}
TEXTS = ["one text", "another text of more words", "a third"]


@pytest.fixture(scope="module")
def gateway(running_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("home"), CONFIG, running_simulator.environment) as running:
        yield running


def leave(gateway: Gateway, simulator: Simulator, key: str, path: str, body: dict[str, Any]) -> None:
    """Send a call, and hang up when it has reached the counterpart."""
    host, text = urlsplit(gateway.url), json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(text)}\r\n\r\n"
    with socket.create_connection((host.hostname, host.port), timeout=30) as connection:
        connection.sendall(head.encode() + text)
        for _ in range(10_000):
            if simulator.calls():
                return
    raise AssertionError("the call has not reached the counterpart")


def wait_for_row(gateway: Gateway, key: str) -> dict[str, Any]:
    """The only row of a key, which comes when its call is over."""
    for _ in range(5_000):
        if rows := gateway.get(f"/spend/logs?api_key={key}").json():
            (row,) = rows
            spent = gateway.get(f"/key/info?key={key}").json()["info"]["spend"]
            assert round(spent * 1e9) == row["metadata"]["cost_nano"]
            found: dict[str, Any] = row
            return found
    raise AssertionError("no usage row appeared")


def test_an_answer_that_the_client_did_not_wait_for_is_charged_as_it_was(
    gateway: Gateway, simulator: Simulator
) -> None:
    key = gateway.make_key(max_budget=1)
    simulator.fault({}, {"kind": "slow", "first_ms": 1_000})
    leave(gateway, simulator, key, "/v1/chat/completions", CHAT)
    row = wait_for_row(gateway, key)
    (call,) = simulator.calls()
    assert (row["status"], row["metadata"]["estimated"]) == ("client_closed", False)
    assert (call["disconnected"], call["complete"]) == (False, True)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (call["usage"]["input"], call["usage"]["output"])
    assert row["completion_tokens"] > 0


def test_what_fails_after_the_client_has_left_costs_nothing_and_is_not_tried_again(
    gateway: Gateway, simulator: Simulator
) -> None:
    key = gateway.make_key()
    simulator.fault({}, {"kind": "cut", "first_ms": 1_000})
    leave(gateway, simulator, key, "/v1/chat/completions", CHAT)
    row = wait_for_row(gateway, key)
    assert (row["status"], row["metadata"]["cost_nano"], len(simulator.calls())) == ("client_closed", 0, 1)


def test_an_answer_that_nobody_can_wait_for_is_charged_for_what_such_answers_have(
    gateway: Gateway, simulator: Simulator
) -> None:
    key = gateway.make_key()
    simulator.fault({}, {"kind": "slow", "first_ms": 60_000})
    answer = gateway.post("/v1/chat/completions", {**CHAT, "timeout": 0.5}, key)
    row = wait_for_row(gateway, key)
    assert (answer.status, row["status"], row["metadata"]["estimated"]) == (504, "failure", True)
    assert row["completion_tokens"] > 0


def test_parts_that_were_answered_are_charged_when_a_later_one_fails(gateway: Gateway, simulator: Simulator) -> None:
    whole = gateway.make_key()
    assert gateway.post("/v1/embeddings", {"model": "titan", "input": TEXTS[:1]}, whole).status == 200
    first = wait_for_row(gateway, whole)
    key = gateway.make_key()
    fail_later(simulator)
    answer = gateway.post("/v1/embeddings", {"model": "titan", "input": TEXTS}, key)
    row = wait_for_row(gateway, key)
    assert (answer.status, row["status"]) == (400, "failure")
    assert row["metadata"]["cost_nano"] == first["metadata"]["cost_nano"] > 0
    assert row["prompt_tokens"] == first["prompt_tokens"] > 0
    assert row["metadata"]["estimated"] is False
    assert row["metadata"]["price_version"] == first["metadata"]["price_version"]


def test_a_fallback_is_charged_besides_the_parts_that_were_answered_before(
    gateway: Gateway, simulator: Simulator
) -> None:
    key = gateway.make_key()
    fail_later(simulator, status=503, type="ServiceUnavailableException")
    body = {"model": "titan", "input": TEXTS, "fallbacks": ["titan-elsewhere"], "num_retries": 0}
    answer = gateway.post("/v1/embeddings", body, key)
    row = wait_for_row(gateway, key)
    assert (answer.status, row["status"], row["metadata"]["estimated"]) == (200, "success", False)
    used = sum(call["usage"]["input"] for call in simulator.calls() if call["status"] == 200)
    assert row["prompt_tokens"] == used > answer.json()["usage"]["prompt_tokens"]


def test_parts_are_charged_that_were_answered_before_the_client_left(gateway: Gateway, simulator: Simulator) -> None:
    key = gateway.make_key()
    simulator.fault({}, {"kind": "slow", "first_ms": 1_000})
    leave(gateway, simulator, key, "/v1/embeddings", {"model": "titan", "input": TEXTS})
    row = wait_for_row(gateway, key)
    (call,) = simulator.calls()
    assert (row["status"], row["metadata"]["estimated"]) == ("client_closed", False)
    assert row["prompt_tokens"] == call["usage"]["input"] > 0


def fail_later(simulator: Simulator, status: int = 400, type: str = "ValidationException") -> None:
    """Let the counterpart answer one request, and refuse all that follow in this region."""
    simulator.reset()
    simulator.fault(TITAN, {"kind": "slow"}, times=1)
    simulator.fault(TITAN, {"kind": "error", "status": status, "type": type, "message": "no"})
