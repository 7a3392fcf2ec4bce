"""What every scope may carry, as calls feel it: models, blocks, soft budgets, and the model that really answered."""

import json
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.e2e.conftest import CONFIG
from tests.support.gateway import Answer, Gateway, Simulator, run_gateway

CHAT = "/v1/chat/completions"
NO_SONNET = {"model": "us.anthropic.claude-sonnet-4-5-20250929-v1:0"}


def ask(gateway: Gateway, key: str | None, **more: object) -> Answer:
    message = {"role": "user", "content": '[[sim: {"text": "short"}]]'}
    return gateway.post(CHAT, {"model": "sonnet", "messages": [message], **more}, key)


def info_of(gateway: Gateway, key: str) -> dict[str, Any]:
    info: dict[str, Any] = gateway.get(f"/key/info?key={key}").json()["info"]
    return info


def wait_for_alert(gateway: Gateway, kind: str, name: str | None) -> dict[str, Any]:
    """The alert of a level, which is given a moment after the call."""
    for _ in range(5_000):
        alerts = gateway.get("/budget/alerts").json()["alerts"]
        if found := [one for one in alerts if (one["kind"], one["alias"]) == (kind, name)]:
            assert len(found) == 1
            alert: dict[str, Any] = found[0]
            return alert
    raise AssertionError(f"no alert of {kind} {name}")


def test_a_soft_budget_is_told_once_and_stops_nothing(gateway: Gateway) -> None:
    limits = {"soft_budget": 0.000001, "budget_duration": "1d"}
    team = gateway.post("/team/new", {"team_alias": "thrifty", **limits}).json()["team_id"]
    key = gateway.make_key(team_id=team, key_alias="eager", max_budget=1, **limits)
    assert ask(gateway, key).status == 200
    for kind, name in (("key", "eager"), ("team", "thrifty")):
        alert = wait_for_alert(gateway, kind, name)
        assert alert["soft_budget"] == 0.000001
        assert alert["spend"] >= alert["soft_budget"]
    assert ask(gateway, key).status == 200
    later = gateway.make_key(key_alias="later", soft_budget=0.000001)
    assert ask(gateway, later).status == 200
    wait_for_alert(gateway, "key", "later")  # a look that saw the second call of the first key, too
    assert wait_for_alert(gateway, "key", "eager")
    assert gateway.errors().count("soft budget passed scope=key name='eager'") == 1
    assert info_of(gateway, key)["soft_budget_reached"] is True
    trail = gateway.get("/audit?table_name=budget_alerts").json()["audit_logs"]
    assert {one["updated_values"]["alias"] for one in trail} == {"eager", "thrifty", "later"}
    assert {one["changed_by"] for one in trail} == {"sekisho"}


def test_spend_is_counted_in_the_window_of_a_duration_without_a_budget(gateway: Gateway) -> None:
    key = gateway.make_key(budget_duration="1d")
    assert ask(gateway, key).status == 200
    info = info_of(gateway, key)
    assert info["spend"] == info["total_spend"] > 0


def test_a_fallback_that_its_own_budget_does_not_pay_is_not_taken(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault(NO_SONNET, {"kind": "error", "status": 503, "type": "ServiceUnavailableException"})
    key = gateway.make_key(model_max_budget={"haiku": 0.000001})
    refused = ask(gateway, key, num_retries=0)
    assert refused.status == 503
    assert info_of(gateway, key)["total_spend"] == 0
    simulator.reset()
    assert ask(gateway, key).status == 200  # what was held for nothing is free again
    assert ask(gateway, key, model="haiku").status == 402


def test_a_fallback_is_paid_from_the_budget_of_the_model_that_answers(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault(NO_SONNET, {"kind": "throttle"})
    key = gateway.make_key(model_max_budget={"sonnet": 1, "haiku": 1})
    answer = ask(gateway, key)
    assert (answer.status, answer.headers["x-litellm-model-group"]) == (200, "haiku")
    info = info_of(gateway, key)
    assert info["model_spend"]["sonnet"] == 0
    assert info["model_spend"]["haiku"] == info["total_spend"] > 0


@pytest.mark.parametrize("kind", ["customer", "tag"])
def test_a_customer_or_tag_may_be_blocked_and_kept_to_models(gateway: Gateway, kind: str) -> None:
    name = {"customer": {"user_id": "scoped"}, "tag": {"name": "scoped"}}[kind]
    call: dict[str, object] = {"user": "scoped"} if kind == "customer" else {"metadata": {"tags": ["scoped"]}}
    key = gateway.make_key()
    assert gateway.post(f"/{kind}/new", {**name, "models": ["haiku"]}).status == 200
    refused = ask(gateway, key, **call)
    assert (refused.status, refused.json()["error"]["type"]) == (403, f"{kind}_model_access_denied")
    assert ask(gateway, key, model="haiku", **call).status == 200
    gateway.post(f"/{kind}/update", {**name, "blocked": True})
    refused = ask(gateway, key, model="haiku", **call)
    assert (refused.status, f"The {kind} 'scoped' is blocked" in refused.json()["error"]["message"]) == (403, True)
    gateway.post(f"/{kind}/update", {**name, "blocked": False, "expires": "2020-01-01"})
    assert "has expired" in ask(gateway, key, model="haiku", **call).json()["error"]["message"]


def test_a_members_budget_in_an_organization_holds_on_its_keys(gateway: Gateway) -> None:
    organization = gateway.post("/organization/new", {"organization_alias": "o"}).json()["organization_id"]
    team = gateway.post("/team/new", {"organization_id": organization}).json()["team_id"]
    member = {"user_id": "spender"}
    body = {"organization_id": organization, "member": member, "max_budget_in_organization": 0.000001}
    assert gateway.post("/organization/member_add", body).status == 200
    refused = ask(gateway, gateway.make_key(team_id=team, user_id="spender"))
    assert refused.status == 402
    assert "organization member 'spender'" in refused.json()["error"]["message"]
    assert ask(gateway, gateway.make_key(team_id=team)).status == 200


@pytest.mark.parametrize(
    ("limits", "status", "words"),
    [
        ({"max_budget": 0}, 402, "budget of key 'nothing' is used up: $0.000000 of $0.000000"),
        ({"budget_limits": [{"budget_duration": "1d", "max_budget": 0}]}, 402, "budget of key 'nothing' is used up"),
        ({"model_max_budget": {"sonnet": 0}}, 402, "for the model 'sonnet' is used up"),
        ({"rpm_limit": 0}, 403, "Key 'nothing' may make no calls: its limit is 0 requests per minute."),
        ({"tpm_limit": 0}, 403, "its limit is 0 tokens per minute."),
        ({"tpd_limit": 0}, 403, "its limit is 0 tokens per day."),
        ({"max_parallel_requests": 0}, 403, "its limit is 0 parallel requests."),
        ({"model_rpm_limit": {"sonnet": 0}}, 403, "its limit is 0 requests per minute for the model 'sonnet'."),
        ({"model_tpm_limit": {"sonnet": 0}}, 403, "its limit is 0 tokens per minute for the model 'sonnet'."),
    ],
)
def test_a_limit_of_nothing_refuses_and_no_agent_tries_again(
    gateway: Gateway, limits: dict[str, object], status: int, words: str
) -> None:
    key = gateway.make_key(key_alias="nothing", **limits)
    refused = ask(gateway, key)
    assert (refused.status, refused.headers["x-should-retry"]) == (status, "false")
    assert "retry-after" not in refused.headers
    assert words in refused.json()["error"]["message"]
    gateway.post("/key/delete", {"keys": [key]})


@pytest.mark.parametrize(
    ("path", "change", "status"),
    [("/key/block", {}, 401), ("/key/delete", {}, 401), ("/key/update", {"models": ["haiku"]}, 403)],
)
def test_what_was_changed_while_the_body_still_came_counts(
    gateway: Gateway, simulator: Simulator, path: str, change: dict[str, object], status: int
) -> None:
    key = gateway.make_key()
    body = json.dumps({"model": "sonnet", "messages": [{"role": "user", "content": "Hi"}]})
    with closing(HTTPConnection(urlsplit(gateway.url).netloc, timeout=30)) as connection:
        connection.putrequest("POST", CHAT)
        for name, value in (("Authorization", f"Bearer {key}"), ("Content-Length", len(body))):
            connection.putheader(name, str(value))
        connection.putheader("Expect", "100-continue")  # is answered once the key was accepted
        connection.endheaders()
        sock = connection.sock
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        named: dict[str, object] = {"keys": [key]} if path == "/key/delete" else {"key": key}
        assert gateway.post(path, {**named, **change}).status == 200
        connection.send(body.encode())
        assert connection.getresponse().status == status
    assert simulator.calls() == []


def test_the_whole_installation_has_limits(tmp_path: Path, simulator: Simulator) -> None:
    limits = """
  installation_limits:
    models: [sonnet, "hai*"]
    soft_budget: 0.000001
    budget_limits: [{max_budget: 5, budget_duration: 1h}]
    rpm_limit: 100
    model_max_budget: {haiku: 0.000001}
    model_rpm_limit: {sonnet: 2}
"""
    settings = "  budget_exceeded_status_code: 403\n  timezone: Asia/Tokyo\n"
    config = CONFIG.rstrip().replace("litellm_settings:\n", f"litellm_settings:\n{settings}") + limits
    with run_gateway(tmp_path, config, simulator.environment) as gateway:
        key = gateway.make_key(max_budget=1, budget_duration="1d")
        assert info_of(gateway, key)["budget_reset_at"].endswith("T15:00:00.000Z")
        for caller in (key, None):  # the master key, too
            assert ask(gateway, caller, model="nova").status == 403
            refused = ask(gateway, caller, model="haiku")
            assert (refused.status, refused.json()["error"]["type"]) == (403, "budget_exceeded")
            assert "this installation for the model 'haiku'" in refused.json()["error"]["message"]
        answers = [ask(gateway, key) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert answers[0].headers["x-ratelimit-limit-requests"] == "2"
        assert wait_for_alert(gateway, "installation", None)["soft_budget"] == 0.000001
