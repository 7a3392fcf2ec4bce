"""What is used is counted once, priced exactly, and held against every limit."""

import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.e2e.conftest import CONFIG
from tests.support.gateway import Answer, Gateway, Simulator, run_gateway
from tests.support.postgres import create_database, find_binaries, run_server, skip_or_fail, start_server, stop_server

CHAT = "/v1/chat/completions"


def chat(text: str = '[[sim: {"text": "short"}]]', **more: object) -> dict[str, object]:
    return {"model": "sonnet", "messages": [{"role": "user", "content": text}], **more}


def rows_of(gateway: Gateway, key: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = gateway.get(f"/spend/logs?api_key={key}").json()
    return rows


def test_rows_key_and_counterpart_agree(gateway: Gateway, simulator: Simulator) -> None:
    user = gateway.post("/user/new", {"user_email": "alice@example.com", "auto_create_key": False}).json()["user_id"]
    team = gateway.post("/team/new", {"team_alias": "backend"}).json()["team_id"]
    key = gateway.make_key(user_id=user, team_id=team, key_alias="laptop")
    for number in range(3):
        body = chat(stream=number == 1, litellm_session_id="task-1", metadata={"tags": ["ticket-7"]})
        assert gateway.post("/v1/chat/completions", body, key).status == 200
    rows = rows_of(gateway, key)
    calls = simulator.calls()
    assert len(rows) == len(calls) == 3
    for name, counted in (("prompt_tokens", "input"), ("completion_tokens", "output")):
        assert sum(row[name] for row in rows) == sum(call["usage"][counted] for call in calls)
    exact = sum(row["metadata"]["cost_nano"] for row in rows)
    assert exact > 0
    info = gateway.get(f"/key/info?key={key}").json()["info"]
    assert round(info["spend"] * 1e9) == exact
    assert round(gateway.get(f"/team/info?team_id={team}").json()["team_info"]["spend"] * 1e9) == exact
    assert round(gateway.get(f"/user/info?user_id={user}").json()["user_info"]["spend"] * 1e9) == exact
    row = rows[0]
    assert (row["status"], row["model_group"], row["session_id"]) == ("success", "sonnet", "task-1")
    assert row["request_tags"] == ["ticket-7"]
    assert (row["metadata"]["region"], row["metadata"]["simulated"]) == ("us-east-1", False)
    assert {call["request_metadata"]["sekisho_call_id"] for call in calls} == {row["request_id"] for row in rows}


def test_an_unpriced_model_is_shown_as_unpriced(gateway: Gateway) -> None:
    key = gateway.make_key()
    answer = gateway.post("/v1/chat/completions", chat(model="unpriced"), key)
    assert "cost" not in answer.json()["usage"]
    assert "x-litellm-response-cost" not in answer.headers
    (row,) = rows_of(gateway, key)
    assert row["spend"] is None
    assert row["metadata"]["cost_nano"] is None
    assert row["metadata"]["price_version"] is None


def test_refused_and_failed_calls_leave_a_row_that_costs_nothing(gateway: Gateway, simulator: Simulator) -> None:
    key = gateway.make_key(models=["haiku"])
    gateway.post("/v1/chat/completions", chat(), key)
    simulator.fault({}, {"kind": "error", "status": 400, "type": "ValidationException", "message": "no"})
    gateway.post("/v1/chat/completions", chat(model="haiku"), key)
    denied, rejected = sorted(rows_of(gateway, key), key=lambda row: row["startTime"])
    assert (denied["status"], denied["metadata"]["error_class"]) == ("failure", "AccessDenied")
    assert rejected["metadata"]["error_class"].startswith("UpstreamRejected")
    assert denied["spend"] == rejected["spend"] == 0


def test_a_stream_cut_by_the_client_is_charged_for_what_was_produced(gateway: Gateway, simulator: Simulator) -> None:
    key = gateway.make_key()
    simulator.fault({}, {"kind": "slow", "event_ms": 100})
    with open_stream(gateway, key):
        pass
    row = wait_for_row(gateway, key)
    assert row["status"] == "client_closed"
    assert row["metadata"]["estimated"] is True
    assert 0 < row["completion_tokens"] < 300
    assert row["completion_tokens"] * 4 >= len("word1 word2 word3")
    assert row["spend"] > 0
    (call,) = simulator.calls()
    assert call["disconnected"] is True
    assert spend_of(gateway, key) == row["metadata"]["cost_nano"]
    assert len(rows_of(gateway, key)) == 1


@contextmanager
def open_stream(gateway: Gateway, key: str) -> Iterator[socket.socket]:
    """A connection on which a slow stream has begun; leaving it hangs up."""
    host = urlsplit(gateway.url)
    body = json.dumps(chat('[[sim: {"repeat": 400}]]', stream=True)).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection((host.hostname, host.port), timeout=30) as connection:
        connection.sendall(head + body)
        received = b""
        while b"word3" not in received:
            received += connection.recv(4096)
        yield connection


def spend_of(gateway: Gateway, key: str) -> int:
    """What the key's own page says that it has spent, in nano-dollars."""
    spend: float = gateway.get(f"/key/info?key={key}").json()["info"]["spend"]
    return round(spend * 1e9)


def wait_for_row(gateway: Gateway, key: str) -> dict[str, Any]:
    """The row of a call that nobody waits for any more; asking is what the gateway's clients would do."""
    for _ in range(1000):
        if rows := rows_of(gateway, key):
            return rows[0]
    raise AssertionError("no usage row appeared")


def test_a_budget_stops_calls_and_can_be_raised_at_any_moment(gateway: Gateway) -> None:
    key = gateway.make_key(max_budget=0.000001)
    refused = gateway.post("/v1/chat/completions", chat(), key)
    assert refused.status == 402
    error = refused.json()["error"]
    assert error["type"] == "budget_exceeded"
    assert not any(word in error["message"].lower() for word in ("rate limit", "too many tokens", "context"))
    assert "retry-after" not in refused.headers
    gateway.post("/key/update", {"key": key, "max_budget": 10})
    assert gateway.post("/v1/chat/completions", chat(), key).status == 200


@pytest.mark.parametrize("scope", ["key", "user", "team"])
def test_requests_per_minute_of_every_scope(gateway: Gateway, scope: str) -> None:
    fields: dict[str, object] = {"rpm_limit": 2}
    if scope == "user":
        fields = {"user_id": gateway.post("/user/new", {**fields, "auto_create_key": False}).json()["user_id"]}
    if scope == "team":
        fields = {"team_id": gateway.post("/team/new", {**fields, "team_alias": "hasty"}).json()["team_id"]}
    key = gateway.make_key(**fields)
    assert [gateway.post("/v1/chat/completions", chat(), key).status for _ in range(3)] == [200, 200, 429]
    refused = gateway.post("/v1/chat/completions", chat(), key)
    assert refused.json()["error"]["type"] == "throttling_error"
    assert "rate limit" in refused.json()["error"]["message"].lower()
    assert 1 <= int(refused.headers["retry-after"]) <= 61


def test_tokens_per_minute(gateway: Gateway) -> None:
    key = gateway.make_key(tpm_limit=20)
    statuses = [gateway.post("/v1/chat/completions", chat(), key).status for _ in range(3)]
    assert statuses[0] == 200
    assert statuses[-1] == 429


def test_limits_are_told_with_every_answer(gateway: Gateway) -> None:
    key = gateway.make_key(rpm_limit=2, tpm_limit=100_000)
    first = gateway.post(CHAT, chat(), key)
    told = {name.removeprefix("x-ratelimit-"): value for name, value in first.headers.items() if "ratelimit" in name}
    assert (told["limit-requests"], told["remaining-requests"]) == ("2", "1")
    assert told["limit-tokens"] == "100000"
    assert 0 < int(told["remaining-tokens"]) < 100_000
    assert told["reset-requests"].endswith("s")
    gateway.post(CHAT, chat(), key)
    refused = gateway.post(CHAT, chat(), key)
    assert refused.status == 429
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    assert "x-should-retry" not in refused.headers
    assert not any("ratelimit" in name for name in gateway.post(CHAT, chat(), gateway.make_key()).headers)


def test_agents_are_told_not_to_try_again_when_that_cannot_help(gateway: Gateway) -> None:
    spent = gateway.post(CHAT, chat(), gateway.make_key(max_budget=0.000001))
    denied = gateway.post(CHAT, chat(), gateway.make_key(models=["haiku"]))
    for refused, status in ((spent, 402), (denied, 403)):
        assert (refused.status, refused.headers["x-should-retry"]) == (status, "false")


def test_a_model_without_a_price_is_not_for_keys_with_a_budget(gateway: Gateway, simulator: Simulator) -> None:
    refused = gateway.post(CHAT, chat(model="unpriced"), gateway.make_key(max_budget=10))
    assert refused.status == 403
    assert "input_cost_per_token" in refused.json()["error"]["message"]
    assert simulator.calls() == []


def test_calls_under_way_are_limited_until_their_stream_ends(gateway: Gateway, simulator: Simulator) -> None:
    key = gateway.make_key(max_parallel_requests=1)
    simulator.fault({}, {"kind": "slow", "event_ms": 100}, times=1)
    with open_stream(gateway, key):
        refused = gateway.post(CHAT, chat(), key)
        assert refused.status == 429
        assert "parallel" in refused.json()["error"]["message"]
    wait_for_row(gateway, key)
    assert gateway.post(CHAT, chat(), key).status == 200


def test_the_narrowest_scope_without_room_is_named(gateway: Gateway) -> None:
    team = gateway.post("/team/new", {"team_alias": "poor", "max_budget": 0.000001}).json()["team_id"]
    refused = gateway.post(CHAT, chat(), gateway.make_key(team_id=team, max_budget=5))
    assert "team 'poor'" in refused.json()["error"]["message"]
    refused = gateway.post(CHAT, chat(), gateway.make_key(team_id=team, key_alias="poorer", max_budget=0.0000001))
    assert "key 'poorer'" in refused.json()["error"]["message"]


def test_a_users_own_budget_holds_on_the_keys_of_a_team(gateway: Gateway) -> None:
    new = {"auto_create_key": False, "user_alias": "Bo", "max_budget": 0.000001}
    user = gateway.post("/user/new", new).json()["user_id"]
    team = gateway.post("/team/new", {"team_alias": "rich", "max_budget": 100}).json()["team_id"]
    refused = gateway.post(CHAT, chat(), gateway.make_key(team_id=team, user_id=user))
    assert (refused.status, "user 'Bo'" in refused.json()["error"]["message"]) == (402, True)


def test_customers_and_tags_have_budgets_of_their_own(gateway: Gateway) -> None:
    key = gateway.make_key()
    assert gateway.post("/customer/new", {"user_id": "acme", "max_budget": 0.000001}).status == 200
    assert gateway.post("/tag/new", {"name": "ticket-9", "max_budget": 0.000001}).status == 200
    assert gateway.post(CHAT, chat(), key).status == 200
    refused = gateway.post(CHAT, chat(user="acme"), key)
    assert (refused.status, "customer 'acme'" in refused.json()["error"]["message"]) == (402, True)
    refused = gateway.post(CHAT, chat(metadata={"tags": ["ticket-9"]}), key)
    assert (refused.status, "tag 'ticket-9'" in refused.json()["error"]["message"]) == (402, True)
    gateway.post("/customer/block", {"user_ids": ["acme"]})
    assert gateway.post(CHAT, chat(user="acme"), key).status == 403


def test_six_small_calls_at_once_on_ten_cents_all_pass(gateway: Gateway) -> None:
    key = gateway.make_key(max_budget=0.10)
    assert statuses(send_at_once(gateway, key, 6)) == [200] * 6


def test_small_calls_one_after_the_other_on_a_half_used_budget_all_pass(gateway: Gateway) -> None:
    key = gateway.make_key(max_budget=0.02)
    while spend_of(gateway, key) < 10_000_000:
        assert gateway.post(CHAT, chat('[[sim: {"repeat": 200}]]'), key).status == 200
    assert statuses([gateway.post(CHAT, chat(), key) for _ in range(15)]) == [200] * 15


@pytest.mark.parametrize("budget", [0.0003, 0.0013, 0.004])
def test_a_small_budget_is_never_passed(gateway: Gateway, budget: float) -> None:
    key = gateway.make_key(max_budget=budget)
    for _ in range(50):
        answer = gateway.post(CHAT, chat('[[sim: {"repeat": 60}]]'), key)
        if answer.status != 200:
            break
    assert answer.status == 402
    assert spend_of(gateway, key) <= round(budget * 1e9)


def test_what_is_left_limits_how_much_a_model_may_write(gateway: Gateway, simulator: Simulator) -> None:
    key = gateway.make_key(max_budget=0.03)
    answer = gateway.post(CHAT, chat('[[sim: {"repeat": 5000}]]'), key)
    assert answer.status == 200
    ceiling = int(answer.headers["x-sekisho-max-output-tokens"])
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    assert answer.json()["usage"]["completion_tokens"] <= ceiling
    assert spend_of(gateway, key) <= 30_000_000


def test_a_window_that_is_added_to_a_used_key_begins_empty(gateway: Gateway) -> None:
    key = gateway.make_key(max_budget=1)
    while spend_of(gateway, key) < 6_000_000:
        gateway.post(CHAT, chat('[[sim: {"repeat": 200}]]'), key)
    window = {"budget_duration": "1d", "max_budget": 0.005}
    assert gateway.post("/key/update", {"key": key, "budget_limits": [window]}).status == 200
    assert gateway.post(CHAT, chat(), key).status == 200


def test_of_two_windows_the_tighter_refuses_and_both_count(gateway: Gateway) -> None:
    day, month = ({"budget_duration": each, "max_budget": 5.0} for each in ("1d", "30d"))
    key = gateway.make_key(budget_limits=[day, month | {"max_budget": 0.000001}])
    assert gateway.post(CHAT, chat(), key).status == 402
    gateway.post("/key/update", {"key": key, "budget_limits": [day, month]})
    assert gateway.post(CHAT, chat(), key).status == 200
    (cost,) = [row["spend"] for row in rows_of(gateway, key) if row["spend"]]
    windows = gateway.get(f"/key/info?key={key}").json()["info"]["budget_limits"]
    assert [window["spend"] for window in windows] == [cost, cost]


def test_several_workers_share_one_budget_and_one_rate(
    tmp_path: Path, simulator: Simulator, running_simulator: Simulator
) -> None:
    with run_gateway(tmp_path, CONFIG, running_simulator.environment, workers=4) as gateway:
        key = gateway.make_key(max_budget=0.01)
        answers = send_at_once(gateway, key, 80, '[[sim: {"repeat": 20}]]')
        assert set(statuses(answers)) == {200, 402}
        rows = [row for row in rows_of(gateway, key) if row["status"] == "success"]
        assert len(rows) == len(simulator.calls()) == statuses(answers).count(200)
        spent = sum(row["metadata"]["cost_nano"] for row in rows)
        assert spent == spend_of(gateway, key) <= 10_000_000
        assert spent > 5_000_000
        hasty = gateway.make_key(rpm_limit=10)
        assert statuses(send_at_once(gateway, hasty, 40)).count(200) == 10


def test_a_call_whose_worker_is_killed_is_booked_once(tmp_path: Path, simulator: Simulator) -> None:
    simulator.fault({}, {"kind": "slow", "event_ms": 100}, times=1)
    with run_gateway(tmp_path, CONFIG, simulator.environment) as gateway:
        key = gateway.make_key(max_budget=1)
        with open_stream(gateway, key):
            gateway.stop(signal.SIGKILL)
    for _ in range(2):
        with run_gateway(tmp_path, CONFIG, simulator.environment) as gateway:
            (row,) = rows_of(gateway, key)
            assert (row["status"], row["metadata"]["error_class"]) == ("failure", "WorkerDied")
            assert row["metadata"]["estimated"] is True
            assert spend_of(gateway, key) == row["metadata"]["cost_nano"] > 0
    assert len(simulator.calls()) == 1


def test_known_keys_go_on_within_their_leases_while_the_database_is_away(tmp_path: Path, simulator: Simulator) -> None:
    if find_binaries() is None:
        skip_or_fail("there is no PostgreSQL here")
    with run_server() as folder:
        environment = {**simulator.environment, "DATABASE_URL": create_database(folder)}
        with run_gateway(tmp_path, CONFIG, environment) as gateway:
            key, stranger = gateway.make_key(max_budget=1), gateway.make_key()
            assert statuses(send_at_once(gateway, key, 4)) == [200] * 4
            stop_server(folder)
            assert statuses([gateway.post(CHAT, chat(), key) for _ in range(2)]) == [200, 200]
            assert gateway.post(CHAT, chat(), stranger).status == 503
            start_server(folder)
            rows = [row for row in rows_of(gateway, key) if row["status"] == "success"]
            assert len(rows) == len(simulator.calls()) == 6
            assert spend_of(gateway, key) == sum(row["metadata"]["cost_nano"] for row in rows)


def send_at_once(gateway: Gateway, key: str, count: int, text: str = '[[sim: {"text": "short"}]]') -> list[Answer]:
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda _: gateway.post(CHAT, chat(text), key), range(count)))


def statuses(answers: list[Answer]) -> list[int]:
    return [answer.status for answer in answers]
