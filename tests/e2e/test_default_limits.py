"""The limits that the configuration gives to end users and tags which have none of their own."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import CONFIG
from tests.support.gateway import Answer, Gateway, Simulator, run_gateway

DEFAULTS = CONFIG.replace(
    "litellm_settings:\n",
    """litellm_settings:
  max_end_user_budget_id: free-tier
  max_end_user_budget: 0.00002
  tag_budget_config:
    "team:search": {max_budget: 0.00002, budget_duration: 1d}
    "old:words": {budget_limit: 0.00002, time_period: 7d}
""",
)


@pytest.fixture(scope="module")
def gateway(running_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home: Path = tmp_path_factory.mktemp("home")
    with run_gateway(home, DEFAULTS, running_simulator.environment, workers=2) as gateway:
        assert "there is no budget 'free-tier'" in gateway.errors()
        yield gateway


def ask(gateway: Gateway, key: str, **more: object) -> Answer:
    message = {"role": "user", "content": '[[sim: {"text": "short"}]]'}
    body = {"model": "sonnet", "messages": [message], "max_tokens": 5, **more}
    return gateway.post("/v1/chat/completions", body, key)


def customer(gateway: Gateway, name: str) -> dict[str, Any]:
    answer = gateway.get(f"/customer/info?end_user_id={name}")
    assert answer.status == 200, answer.body
    shown: dict[str, Any] = answer.json()
    return shown


def tag(gateway: Gateway, name: str) -> dict[str, Any]:
    answer = gateway.post("/tag/info", {"names": [name]})
    assert answer.status == 200, answer.body
    shown: dict[str, Any] = answer.json()[name]
    return shown


def wait_for_spend(read: Callable[[Gateway, str], dict[str, Any]], gateway: Gateway, name: str) -> dict[str, Any]:
    """What is shown once a worker has written what was spent."""
    deadline = time.monotonic() + 5
    while not (shown := read(gateway, name))["spend"] and time.monotonic() < deadline:
        pass
    assert shown["spend"] > 0
    return shown


def wait_for(gateway: Gateway, key: str, status: int, **more: object) -> Answer:
    """The first answer of this status, which must come soon after a change, by whichever worker."""
    deadline = time.monotonic() + 5
    while (answer := ask(gateway, key, **more)).status != status and time.monotonic() < deadline:
        pass
    assert answer.status == status, answer.body
    return answer


def test_an_end_user_that_nobody_made_known_has_the_plain_default(gateway: Gateway) -> None:
    key = gateway.make_key()
    refused = ask(gateway, key, user="stranger")
    assert refused.status == 402
    assert "customer 'stranger'" in refused.json()["error"]["message"]
    assert ask(gateway, key).status == 200
    shown = customer(gateway, "stranger")
    assert (shown["spend"], shown["litellm_budget_table"]["max_budget"]) == (0, 0.00002)


def test_the_default_budget_holds_from_when_it_is_made_and_as_it_is_changed(gateway: Gateway) -> None:
    key = gateway.make_key()
    made = gateway.post("/budget/new", {"budget_id": "free-tier", "max_budget": 1, "budget_duration": "30d"})
    assert made.status == 200
    wait_for(gateway, key, 200, user="guest")
    shown = wait_for_spend(customer, gateway, "guest")
    budget = shown["litellm_budget_table"]
    assert (budget["budget_id"], budget["max_budget"], budget["budget_duration"]) == ("free-tier", 1, "30d")
    gateway.post("/budget/update", {"budget_id": "free-tier", "max_budget": shown["spend"]})
    refused = wait_for(gateway, key, 402, user="guest")
    assert "customer 'guest'" in refused.json()["error"]["message"]
    gateway.post("/budget/update", {"budget_id": "free-tier", "max_budget": 1, "rpm_limit": 0})
    assert "customer 'guest'" in wait_for(gateway, key, 403, user="guest").json()["error"]["message"].lower()
    gateway.post("/budget/update", {"budget_id": "free-tier", "max_budget": None, "rpm_limit": None})
    wait_for(gateway, key, 402, user="other guest")  # of the plain default
    kept = gateway.post("/budget/delete", {"id": "free-tier"})
    assert (kept.status, "max_end_user_budget_id" in kept.json()["error"]["message"]) == (400, True)


def test_a_customer_with_limits_of_its_own_has_only_those(gateway: Gateway) -> None:
    key = gateway.make_key()
    assert gateway.post("/customer/new", {"user_id": "vip", "max_budget": 5}).status == 200
    assert ask(gateway, key, user="vip").status == 200
    assert customer(gateway, "vip")["litellm_budget_table"]["max_budget"] == 5
    assert gateway.post("/customer/update", {"user_id": "vip", "max_budget": None}).status == 200
    wait_for(gateway, key, 402, user="vip")


@pytest.mark.parametrize(("name", "duration"), [("team:search", "1d"), ("old:words", "7d")])
def test_a_tag_has_the_budget_of_the_configuration(gateway: Gateway, name: str, duration: str) -> None:
    key = gateway.make_key()
    carrying = {"metadata": {"tags": [name]}}
    refused = ask(gateway, key, **carrying)
    assert refused.status == 402
    assert f"tag '{name}'" in refused.json()["error"]["message"]
    budget = tag(gateway, name)["litellm_budget_table"]
    assert (budget["max_budget"], budget["budget_duration"]) == (0.00002, duration)
    assert budget["budget_reset_at"]
    assert gateway.post("/tag/new", {"name": name, "max_budget": 1}).status == 200
    wait_for(gateway, key, 200, **carrying)
    assert wait_for_spend(tag, gateway, name)["max_budget"] == 1


def test_other_tags_have_no_budget(gateway: Gateway) -> None:
    key = gateway.make_key()
    assert ask(gateway, key, metadata={"tags": ["team:other"]}).status == 200
    assert gateway.post("/tag/info", {"names": ["never-used"]}).status == 404
    for _ in range(5_000):
        if gateway.post("/tag/info", {"names": ["team:other"]}).status == 200:
            break
    shown = tag(gateway, "team:other")
    assert (shown["max_budget"], shown["spend"] > 0, shown["created_at"]) == (None, True, None)
    assert gateway.get("/customer/info?end_user_id=never-seen").status == 200  # it would have the default
