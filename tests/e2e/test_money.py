"""What is used is counted once, priced exactly, and held against every limit."""

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.support.gateway import Gateway, Simulator


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
    host = urlsplit(gateway.url)
    body = json.dumps(chat('[[sim: {"repeat": 400}]]', stream=True)).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection((host.hostname, host.port), timeout=30) as connection:
        connection.sendall(head + body)
        received = b""
        while b"word3" not in received:
            received += connection.recv(4096)
    row = wait_for_row(gateway, key)
    assert row["status"] == "client_closed"
    assert row["metadata"]["estimated"] is True
    assert 0 < row["completion_tokens"] < 300
    assert row["completion_tokens"] * 4 >= len("word1 word2 word3")
    assert row["spend"] > 0
    (call,) = simulator.calls()
    assert call["disconnected"] is True


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
