"""Calls wait for room instead of failing: one deployment for all, and what its teams see of it."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from tests.support.gateway import Answer, Gateway, Simulator, run_gateway
from tests.support.workers import connect_to, find_workers

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
TEXT = '[[sim: {"text": "served in full"}]]'


def entry(name: str, region: str, more: str = "") -> str:
    return f"""
  - model_name: {name}
    litellm_params: {{model: bedrock/converse/{SONNET}, aws_region_name: {region}{more}}}"""


CONFIG = f"""
model_list:
{entry("solo", "us-east-1")}
{entry("narrow", "us-west-2", ", max_parallel_requests: 1")}
{entry("other", "eu-west-1")}
{entry("known", "eu-central-1", ", rpm: 1")}
router_settings:
  num_retries: 0
  queue: {{max_seconds: 20, max_depth: 30, team_weights: {{heavy: 3}}}}
"""


@pytest.fixture(scope="module")
def running_gateway(running_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("home"), CONFIG, running_simulator.environment) as gateway:
        yield gateway


def body_of(model: str, **more: object) -> dict[str, object]:
    """A call of a session of its own."""
    messages = [{"role": "user", "content": TEXT}]
    return {"model": model, "messages": messages, "max_tokens": 50, "litellm_session_id": str(uuid4()), **more}


def ask(gateway: Gateway, model: str, key: str | None = None, **more: object) -> Answer:
    return gateway.post("/v1/chat/completions", body_of(model, **more), key)


def queue_ms_in_logs(gateway: Gateway, answer: Answer) -> int | None:
    told = gateway.get(f"/spend/logs?request_id={answer.headers['x-litellm-call-id']}").json()
    milliseconds: int | None = told[0]["metadata"]["queue_ms"]
    return milliseconds


def statuses(simulator: Simulator) -> list[int]:
    return [call["status"] for call in simulator.calls()]


@pytest.mark.parametrize("stream", [False, True])
def test_a_throttled_call_waits_for_as_long_as_the_upstream_says(
    gateway: Gateway, simulator: Simulator, stream: bool
) -> None:
    simulator.fault({"region": "us-east-1"}, {"kind": "throttle", "retry_after": 1}, times=1)
    answer = ask(gateway, "solo", stream=stream)
    assert answer.status == 200, answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n") if stream else b"served in full" in answer.body
    assert statuses(simulator) == [429, 200]
    assert 900 <= int(answer.headers["x-sekisho-queue-ms"]) <= 15_000
    assert float(answer.headers["x-sekisho-overhead-ms"]) < int(answer.headers["x-sekisho-queue-ms"])
    assert queue_ms_in_logs(gateway, answer) == int(answer.headers["x-sekisho-queue-ms"])
    answer = ask(gateway, "solo", stream=stream)
    assert "x-sekisho-queue-ms" not in answer.headers
    assert queue_ms_in_logs(gateway, answer) is None


def test_a_wait_that_would_be_too_long_is_refused_at_once(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({"region": "eu-west-1"}, {"kind": "throttle", "retry_after": 3600}, times=1)
    for _ in range(2):
        answer = ask(gateway, "other")
        assert answer.status == 429
        assert 3500 <= int(answer.headers["retry-after"]) <= 3600
        assert "rate limit" in answer.json()["error"]["message"]
    assert statuses(simulator) == [429]


def test_a_quota_that_is_known_is_waited_for_and_never_exceeded(gateway: Gateway, simulator: Simulator) -> None:
    assert ask(gateway, "known").status == 200
    answer = ask(gateway, "known", timeout=0.3)
    assert answer.status == 429
    assert 30 <= int(answer.headers["retry-after"]) <= 62
    assert statuses(simulator) == [200]


def test_who_hangs_up_leaves_the_line(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({"region": "us-east-1"}, {"kind": "throttle", "retry_after": 2}, times=1)
    body = json.dumps(body_of("solo")).encode()
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        head += f"Authorization: Bearer {gateway.master_key}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        wait_until_seen(simulator, 1)
    assert ask(gateway, "solo").status == 200  # it waits for as long, and behind the other
    assert statuses(simulator) == [429, 200]


def wait_until_seen(simulator: Simulator, count: int) -> None:
    deadline = monotonic() + 20
    while len([call for call in simulator.calls() if call["status"]]) < count:
        assert monotonic() < deadline, f"not {count} calls: {simulator.calls()}"
        sleep(0.02)


def make_team(gateway: Gateway, team_id: str) -> str:
    assert gateway.post("/team/new", {"team_id": team_id, "team_alias": team_id}).status == 200
    return gateway.make_key(team_id=team_id)


def test_teams_share_what_is_free_by_weight_however_much_one_of_them_sends(
    gateway: Gateway, simulator: Simulator
) -> None:
    """One at a time may go. A burst of one team waits already when the other, of three times its weight, comes."""
    keys = {team: make_team(gateway, team) for team in ("light", "heavy")}
    simulator.fault({"region": "us-west-2"}, {"kind": "slow", "first_ms": 60})
    with ThreadPoolExecutor(32) as pool:
        calls: list[Future[Answer]] = [pool.submit(ask, gateway, "narrow", keys["light"]) for _ in range(12)]
        wait_until_seen(simulator, 2)
        calls += [pool.submit(ask, gateway, "narrow", keys["heavy"]) for _ in range(9)]
        answers = [call.result() for call in calls]
    assert {answer.status for answer in answers} == {200}
    teams = [call["request_metadata"]["team"] for call in simulator.calls()]
    first = teams.index("heavy")
    assert first < 6, "the burst was not overtaken"
    assert 8 <= teams[first : first + 12].count("heavy") <= 10, teams


def test_when_the_line_is_full_whoever_takes_most_of_it_gives_way(gateway: Gateway, simulator: Simulator) -> None:
    keys = {team: make_team(gateway, team) for team in ("many", "few")}
    simulator.fault({"region": "us-west-2"}, {"kind": "slow", "first_ms": 40})
    with ThreadPoolExecutor(48) as pool:
        calls = [pool.submit(ask, gateway, "narrow", keys["many"]) for _ in range(40)]
        wait_until_seen(simulator, 1)
        few = [pool.submit(ask, gateway, "narrow", keys["few"]) for _ in range(3)]
        refused = [answer for call in calls if (answer := call.result()).status == 429]
        assert {call.result().status for call in few} == {200}
    assert refused
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)


def test_workers_tell_each_other_what_rests(simulator: Simulator, tmp_path: Path) -> None:
    config = CONFIG.replace("max_seconds: 20", "max_seconds: 0.5")
    with run_gateway(tmp_path / "home", config, simulator.environment, workers=2) as gateway:
        workers = find_workers(gateway, 2)
        simulator.fault({"region": "us-east-1"}, {"kind": "throttle", "retry_after": 600}, times=1)
        with connect_to(gateway, workers[0], workers) as first, connect_to(gateway, workers[1], workers) as second:
            assert post(first, gateway) == 429
            deadline = monotonic() + 20
            while not tells_rest(second, gateway):
                assert monotonic() < deadline, "the other worker has not heard of the throttle"
                sleep(0.1)
            assert post(second, gateway) == 429
    assert statuses(simulator).count(429) == 1


def post(connection: HTTPConnection, gateway: Gateway, model: str = "solo") -> int:
    headers = {"Authorization": f"Bearer {gateway.master_key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body_of(model)), headers)
    response = connection.getresponse()
    response.read()
    return response.status


def tells_rest(connection: HTTPConnection, gateway: Gateway) -> bool:
    connection.request("GET", "/v1/model/info", headers={"Authorization": f"Bearer {gateway.master_key}"})
    models = json.loads(connection.getresponse().read())["data"]
    return "cooling" in json.dumps([model for model in models if model["model_name"] == "solo"])
