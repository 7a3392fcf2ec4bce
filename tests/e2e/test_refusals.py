"""Bad input gets a clear error in LiteLLM's shape, and nothing is lost or leaked."""

import json
import socket
from urllib.parse import urlsplit

import pytest
from tests.support.gateway import Gateway, Simulator, call

CHAT = {"model": "sonnet", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def key(running_gateway: Gateway) -> str:
    return running_gateway.make_key(key_alias="refusals")


def error_of(body: bytes) -> dict[str, str]:
    error: dict[str, str] = json.loads(body)["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    return error


@pytest.mark.parametrize(
    ("body", "param", "word"),
    [
        (b"{", "request_body", "JSON"),
        (b'{"model": "sonnet", "messages": "\xff"}', "request_body", ""),
        (b"[]", "request_body", "object"),
        (b"", "request_body", ""),
        ({"model": "sonnet"}, "messages", "messages"),
        ({"model": "sonnet", "messages": []}, "messages", ""),
        ({"model": "sonnet", "messages": "Hi"}, "messages", ""),
        ({"model": 3, "messages": CHAT["messages"]}, "model", ""),
        ({**CHAT, "temperature": "hot"}, "temperature", ""),
        ({**CHAT, "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]", ""),
        ({**CHAT, "messages": [{"role": "wizard", "content": "Hi"}]}, "messages[0].role", "wizard"),
        ({**CHAT, "max_tokens": 0}, "max_tokens", ""),
    ],
)
def test_what_cannot_be_read_is_named(
    gateway: Gateway, key: str, simulator: Simulator, body: object, param: str, word: str
) -> None:
    answer = gateway.post("/v1/chat/completions", body, key)
    assert answer.status == 400
    error = error_of(answer.body)
    assert error["type"] == "invalid_request_error"
    assert error["param"].startswith(param)
    assert word in error["message"]
    assert error["code"] == "400"
    assert simulator.calls() == []


def test_an_unknown_model_is_answered_with_the_nearest(gateway: Gateway, key: str) -> None:
    answer = gateway.post("/v1/chat/completions", {**CHAT, "model": "sonet"}, key)
    assert answer.status == 400
    assert "sonnet" in error_of(answer.body)["message"]


def test_no_model_means_the_default_model(gateway: Gateway, key: str) -> None:
    answer = gateway.post("/v1/chat/completions", {"messages": CHAT["messages"]}, key)
    assert (answer.status, answer.json()["model"]) == (200, "sonnet")


def test_too_large_is_413_before_it_is_read(gateway: Gateway, key: str) -> None:
    body = {**CHAT, "messages": [{"role": "user", "content": "x" * (2 * 1024 * 1024)}]}
    answer = gateway.post("/v1/chat/completions", body, key)
    assert answer.status == 413
    assert "max_request_size_mb" in error_of(answer.body)["message"]


def test_keys_that_open_nothing(gateway: Gateway) -> None:
    url = f"{gateway.url}/v1/chat/completions"
    missing = call(url, CHAT)
    assert (missing.status, error_of(missing.body)["type"]) == (401, "auth_error")
    unknown = call(url, CHAT, "sk-nobody-knows-this-one")
    assert (unknown.status, error_of(unknown.body)["type"]) == (401, "token_not_found_in_db")
    assert "nobody-knows" not in unknown.body.decode()
    blocked = gateway.make_key()
    assert gateway.post("/key/block", {"key": blocked}).status == 200
    refused = call(url, CHAT, blocked)
    assert (refused.status, error_of(refused.body)["type"]) == (401, "auth_error")
    gateway.post("/key/unblock", {"key": blocked})
    assert call(url, CHAT, blocked).status == 200
    gateway.post("/key/delete", {"keys": [blocked]})
    assert call(url, CHAT, blocked).status == 401
    expired = gateway.make_key(duration="1s")
    while (refused := call(url, CHAT, expired)).status == 200:
        pass
    assert (refused.status, error_of(refused.body)["type"]) == (401, "expired_key")


@pytest.mark.parametrize("header", ["x-api-key", "api-key", "x-litellm-api-key"])
def test_the_key_is_found_where_clients_put_it(gateway: Gateway, key: str, header: str) -> None:
    assert call(f"{gateway.url}/chat/completions", CHAT, headers={header: key}).status == 200


def test_a_model_that_is_not_allowed_is_403(gateway: Gateway, simulator: Simulator) -> None:
    only_haiku = gateway.make_key(models=["haiku"])
    refused = gateway.post("/v1/chat/completions", CHAT, only_haiku)
    assert refused.status == 403
    error = error_of(refused.body)
    assert (error["type"], error["param"]) == ("key_model_access_denied", "model")
    assert simulator.calls() == []
    assert gateway.post("/v1/chat/completions", {**CHAT, "model": "haiku"}, only_haiku).status == 200
    team = gateway.post("/team/new", {"team_alias": "readers", "models": ["haiku"]}).json()["team_id"]
    team_key = gateway.make_key(team_id=team)
    refused = gateway.post("/v1/chat/completions", CHAT, team_key)
    assert (refused.status, error_of(refused.body)["type"]) == (403, "team_model_access_denied")
    user = gateway.post("/user/new", {"models": ["haiku"], "auto_create_key": False}).json()["user_id"]
    refused = gateway.post("/v1/chat/completions", CHAT, gateway.make_key(user_id=user))
    assert (refused.status, error_of(refused.body)["type"]) == (403, "user_model_access_denied")


def test_other_methods_and_paths_get_json_too(gateway: Gateway) -> None:
    for path, status in (("/v1/chat/completions", 405), ("/nowhere", 404)):
        answer = gateway.get(path)
        assert answer.status == status
        assert error_of(answer.body)["message"]


def test_a_client_that_never_finishes_its_headers_is_cut_off(gateway: Gateway) -> None:
    host = urlsplit(gateway.url)
    with socket.create_connection((host.hostname, host.port), timeout=30) as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert connection.recv(1) == b""


def test_nothing_secret_or_said_is_in_the_log(gateway: Gateway, key: str, simulator: Simulator) -> None:
    simulator.fault({}, {"kind": "error", "status": 500, "type": "InternalServerException"})
    secret = "my-very-private-prompt"
    gateway.post("/v1/chat/completions", {**CHAT, "messages": [{"role": "user", "content": secret}]}, key)
    log = gateway.errors()
    assert "upstream attempt failed" in log
    for hidden in (secret, key, gateway.master_key, simulator.environment["AWS_SECRET_ACCESS_KEY"]):
        assert hidden not in log
