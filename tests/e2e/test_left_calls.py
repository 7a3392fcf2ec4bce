"""What is charged of calls that end halfway: the client leaves, time is up, a later part fails. Once, and in truth."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
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
  - model_name: unreachable
    litellm_params:
      model: openai/any
      api_key: sk-any
      api_base: https://127.0.0.1:{port}/v1
      input_cost_per_token: 1
      output_cost_per_token: 1
router_settings:
  num_retries: 2
"""
TITAN = {"model": "amazon.titan-embed-text-v2:0", "region": "us-east-1"}
LONG = [{"role": "user", "content": '[[sim: {"repeat": 400}]]'}]
CHAT: dict[str, object] = {"model": "sonnet", "messages": [{"role": "user", "content": '[[sim: {"repeat": 40}]]'}]}
STREAMS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"model": "sonnet", "messages": LONG, "stream": True}),
    ("/v1/messages", {"model": "sonnet", "messages": LONG, "stream": True, "max_tokens": 900}),
    ("/v1/responses", {"model": "sonnet", "input": LONG[0]["content"], "stream": True}),
    (
        "/model/sonnet/converse-stream",
        {"messages": [{"role": "user", "content": [{"text": LONG[0]["content"]}]}]},
    ),
]
_TODAY = datetime.now(UTC).date()
DAYS = f"start_date={_TODAY - timedelta(1)}&end_date={_TODAY + timedelta(1)}"
TEXTS = ["one text", "another text of more words", "a third"]


@pytest.fixture(scope="module")
def silent() -> Iterator[socket.socket]:
    """A server that never speaks TLS to those who connect."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server


@pytest.fixture(scope="module")
def gateway(
    running_simulator: Simulator, silent: socket.socket, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    config = CONFIG.replace("{port}", str(silent.getsockname()[1]))
    with run_gateway(tmp_path_factory.mktemp("home"), config, running_simulator.environment) as running:
        yield running


@contextmanager
def connect(gateway: Gateway, key: str, path: str, body: dict[str, Any]) -> Iterator[socket.socket]:
    """A connection on which a call was sent; leaving it hangs up."""
    host, text = urlsplit(gateway.url), json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(text)}\r\n\r\n"
    with socket.create_connection((host.hostname, host.port), timeout=30) as connection:
        connection.sendall(head.encode() + text)
        yield connection


def leave(gateway: Gateway, simulator: Simulator, key: str, path: str, body: dict[str, Any]) -> None:
    """Send a call, and hang up when it has reached the counterpart."""
    with connect(gateway, key, path, body):
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
            (day,) = gateway.get(f"/user/daily/activity?{DAYS}&api_key={row['api_key']}").json()["results"]
            assert round(day["metrics"]["spend"] * 1e9) == row["metadata"]["cost_nano"]
            assert day["metrics"]["api_requests"] == 1
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


@pytest.mark.parametrize(("path", "body"), STREAMS, ids=[path for path, _ in STREAMS])
@pytest.mark.parametrize("begun", [False, True], ids=["before the first token", "after it"])
def test_a_stream_is_cut_when_the_client_leaves_and_charged_for_what_came(
    gateway: Gateway, simulator: Simulator, begun: bool, path: str, body: dict[str, Any]
) -> None:
    key = gateway.make_key(max_budget=1, max_parallel_requests=1)
    simulator.fault({}, {"kind": "slow", "event_ms": 100} if begun else {"kind": "slow", "first_ms": 60_000})
    if begun:
        with connect(gateway, key, path, body) as connection:
            received = b""
            while b"word3" not in received:
                received += connection.recv(65_536)
    else:
        leave(gateway, simulator, key, path, body)
    row = wait_for_row(gateway, key)
    (call,) = simulator.calls()
    assert (row["status"], row["metadata"]["estimated"]) == ("client_closed", True)
    assert (call["disconnected"], call["complete"]) == (True, False)
    assert row["prompt_tokens"] > 0
    assert (row["completion_tokens"] > 0) is begun
    assert row["completion_tokens"] < 300
    simulator.reset()
    assert gateway.post(path, body, key).status == 200  # nothing is held, and the line is free


def test_a_stream_that_was_left_before_its_request_was_sent_costs_nothing(
    gateway: Gateway, silent: socket.socket
) -> None:
    key = gateway.make_key(max_budget=10_000)
    body = {**CHAT, "model": "unreachable", "stream": True, "max_tokens": 5}
    with connect(gateway, key, "/v1/chat/completions", body):
        upstream, _ = silent.accept()
    with upstream:
        row = wait_for_row(gateway, key)
    assert (row["status"], row["total_tokens"], row["metadata"]["cost_nano"]) == ("client_closed", 0, 0)


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
