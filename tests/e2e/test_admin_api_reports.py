"""Spend, models and documentation of the admin API, over HTTP, on each kind of database."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.support.admin import ENDPOINTS, Admin, error_of, hash_of, serve_on_each_database

from sekisho.core.usage import Usage

DAY = 86_400_000
MIDNIGHT = 1_699_920_000_000
"""2023-11-14, in milliseconds."""


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def admin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin]:
    """The admin API over one database that the tests of this module share."""
    yield from serve_on_each_database(request.param, tmp_path_factory.mktemp("store"))


# Spend


def test_a_call_is_shown_as_litellm_shows_it(admin: Admin) -> None:
    row = admin.record(
        123_456_789,
        key_hash="ab" * 32,
        key_alias="ci",
        user_id="u",
        team_id="t",
        model_group="sonnet",
        deployment_id="d",
        provider="bedrock",
        upstream_model="us.anthropic.claude",
        account="123456789012",
        region="us-east-1",
        usage=Usage(1, 2, 3, 4, 5, 1),
        price_version="v1",
        ttft_ms=250,
        queued_ms=31,
        session_id="s",
        agent="codex",
        agent_version="0.169.0",
        agent_id="t2",
        parent_id="t1",
        end_user="e",
        tags=("a", "b"),
        requester_ip="127.0.0.1",
        simulated=True,
    )
    (log,) = admin.read("/spend/logs", request_id=row.id)
    metadata = log.pop("metadata")
    assert log == {
        "request_id": row.id,
        "litellm_call_id": row.id,
        "call_type": "acompletion",
        "api_key": "ab" * 32,
        "spend": 0.123456789,
        "total_tokens": 15,
        "prompt_tokens": 13,
        "completion_tokens": 2,
        "startTime": "2023-11-14T22:13:20.000Z",
        "endTime": "2023-11-14T22:13:21.500Z",
        "completionStartTime": "2023-11-14T22:13:20.250Z",
        "request_duration_ms": 1_500,
        "model": "us.anthropic.claude",
        "model_id": "d",
        "model_group": "sonnet",
        "custom_llm_provider": "bedrock",
        "api_base": "",
        "user": "u",
        "cache_hit": "False",
        "cache_key": "",
        "request_tags": ["a", "b"],
        "team_id": "t",
        "organization_id": None,
        "end_user": "e",
        "requester_ip_address": "127.0.0.1",
        "messages": {},
        "response": {},
        "proxy_server_request": {},
        "session_id": "s",
        "agent": "codex",
        "agent_version": "0.169.0",
        "status": "success",
    }
    wanted = {
        "cost_nano": 123_456_789,
        "price_version": "v1",
        "ttft_ms": 250,
        "queue_ms": 31,
        "region": "us-east-1",
        "simulated": True,
        "agent": "codex",
        "agent_version": "0.169.0",
        "agent_id": "t2",
        "parent_id": "t1",
    }
    assert {name: metadata[name] for name in wanted} == wanted
    assert metadata["usage"]["cache_read"] == 3


def test_a_call_without_a_price_is_shown_as_unpriced_and_not_as_free(admin: Admin) -> None:
    row = admin.record(None, status="failure", http_status=503, error_class="UpstreamUnavailable")
    (log,) = admin.read("/spend/logs", request_id=row.id)
    assert (log["spend"], log["metadata"]["cost_nano"], log["status"]) == (None, None, "failure")
    assert log["metadata"]["error_class"] == "UpstreamUnavailable"


def test_calls_are_filtered(admin: Admin) -> None:
    key = admin.new_key(user_id="filter")
    rows = [
        admin.record(1, key_hash=hash_of(key), user_id="filter", started_at=MIDNIGHT + day * DAY, ended_at=MIDNIGHT)
        for day in (-2, -1, 0)
    ]
    newest_first = [row.id for row in reversed(rows)]

    def ids(**query: Any) -> list[str]:
        return [log["request_id"] for log in admin.read("/spend/logs", **query)]

    assert ids(api_key=key) == ids(api_key=hash_of(key)) == ids(user_id="filter") == newest_first
    assert ids(user_id="filter", limit=1, offset=1) == newest_first[1:2]
    assert ids(request_id=rows[0].id, user_id="filter") == [rows[0].id]
    assert ids(request_id=rows[0].id, user_id="somebody else") == []
    assert ids(request_id="chatcmpl-1") == []
    assert ids(user_id="filter", start_date="2023-11-13") == newest_first[:2]
    assert ids(user_id="filter", end_date="2023-11-13") == newest_first[1:]
    assert ids(user_id="filter", end_date="20231113") == newest_first[1:]
    assert ids(user_id="filter", start_date="2023-11-13", end_date="2023-11-13") == [rows[1].id]
    assert ids(user_id="filter", start_date="2023-11-13T00:00:01", end_date="2023-11-14T00:00:00") == []
    assert ids(user_id="filter", start_date="2023-11-13T09:00:00+09:00", end_date="2023-11-14") == newest_first[:2]
    for bad in ("yesterday", "2023-13-01"):
        assert error_of(admin.get("/spend/logs", start_date=bad), 400)["param"] == "start_date"
    assert error_of(admin.get("/spend/logs", end_date="9999-12-31"), 400)["param"] == "end_date"


def test_spend_is_summed_by_day(admin: Admin) -> None:
    past = MIDNIGHT - 1_000 * DAY  # 2021-02-17
    for cost, day, model in (
        (100_000_000, 0, "sonnet"),
        (200_000_000, 0, "mystery"),
        (5, 1, "sonnet"),
        (7, 2, "sonnet"),
    ):
        start = past + day * DAY
        admin.record(cost, key_hash="cd" * 32, user_id="sum", model=model, started_at=start, ended_at=start)
    dates = {"start_date": "2021-02-17", "end_date": "2021-02-18"}
    assert admin.read("/spend/logs", **dates) == [
        {
            "cd" * 32: 0.3,
            "startTime": "2021-02-17",
            "spend": 0.3,
            "users": {"sum": 0.3},
            "models": {"sonnet": 0.1, "mystery": 0.2},
        },
        {
            "cd" * 32: 5e-9,
            "startTime": "2021-02-18",
            "spend": 5e-9,
            "users": {"sum": 5e-9},
            "models": {"sonnet": 5e-9},
        },
    ]
    assert len(admin.read("/spend/logs", **dates, summarize="false")) == 3
    assert len(admin.read("/spend/logs", **dates, user_id="sum")) == 3


def test_everyone_sees_only_their_own_calls(admin: Admin) -> None:
    lonely = admin.new_key()
    keys = [admin.make("/user/new", {"user_id": f"own-{number}"})["key"] for number in range(2)]
    for number, key in enumerate(keys):
        admin.record(number + 1, key_hash=hash_of(key), user_id=f"own-{number}")
    admin.record(4, key_hash=hash_of(lonely))
    seen = [[log["metadata"]["cost_nano"] for log in admin.read("/spend/logs", by=key)] for key in (*keys, lonely)]
    assert seen == [[1], [2], [4]]
    assert admin.read("/spend/logs", by=keys[0], api_key=keys[1]) == []
    error_of(admin.get("/spend/logs", by=keys[0], user_id="own-1"), 403)
    (day,) = admin.read("/spend/logs", by=keys[1], start_date="2023-11-14", end_date="2023-11-14")
    assert (day["spend"], day["users"]) == (2e-9, {"own-1": 2e-9})


def test_spend_agrees_everywhere_while_calls_come_in(admin: Admin) -> None:
    team = admin.make("/team/new", {})["team_id"]
    made = admin.make("/user/new", {"team_id": team})
    user, token = made["user_id"], made["token"]

    def spend(_: int) -> None:
        for cost in range(20):
            admin.record(cost, key_hash=token, user_id=user, team_id=team)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(spend, range(4)))
    logs = admin.read("/spend/logs", api_key=token)
    assert len(logs) == 80
    assert sum(log["metadata"]["cost_nano"] for log in logs) == 760
    assert admin.read("/key/info", key=token)["info"]["spend"] == 760e-9
    assert admin.read("/user/info", user_id=user)["user_info"]["spend"] == 760e-9
    assert admin.read("/team/info", team_id=team)["team_info"]["spend"] == 760e-9


# Models


@pytest.mark.parametrize("path", ["/model/info", "/v1/model/info"])
def test_models_are_described_with_limits_abilities_and_prices(admin: Admin, path: str) -> None:
    sonnet, mystery = admin.read(path)["data"]
    assert sonnet["model_name"] == "sonnet"
    assert sonnet["litellm_params"] == {"model": "bedrock/us.anthropic.claude-sonnet", "aws_region_name": "us-east-1"}
    wanted = {
        "id": "deployment-1",
        "key": "us.anthropic.claude-sonnet",
        "mode": "chat",
        "litellm_provider": "bedrock",
        "max_tokens": 64_000,
        "max_output_tokens": 64_000,
        "max_input_tokens": 200_000,
        "supports_vision": True,
        "supports_prompt_caching": True,
        "supports_reasoning": True,
        "input_cost_per_token": 3e-6,
        "output_cost_per_token": 1.5e-5,
        "cache_read_input_token_cost": 3e-7,
        "cache_creation_input_token_cost": 3.75e-6,
        "input_cost_per_token_above_200k_tokens": 6e-6,
    }
    assert {name: sonnet["model_info"][name] for name in wanted} == wanted
    assert {"tools", "reasoning_effort"} <= set(sonnet["model_info"]["supported_openai_params"])
    unknown = mystery["model_info"]
    assert (unknown["input_cost_per_token"], unknown["max_tokens"]) == (None, None)
    assert (unknown["supports_vision"], unknown["supports_prompt_caching"], unknown["supports_reasoning"]) == (
        (False,) * 3
    )
    assert not {"tools", "temperature", "stop"} & set(unknown["supported_openai_params"])
    limited = admin.new_key(models=["mystery"])
    assert [model["model_name"] for model in admin.read(path, by=limited)["data"]] == ["mystery"]
    (found,) = admin.read(path, litellm_model_id="deployment-2")["data"]
    assert found == mystery
    assert admin.read(path, by=limited, litellm_model_id="deployment-1")["data"] == []


# Documentation


def test_the_openapi_document_names_every_endpoint(admin: Admin) -> None:
    answer = admin.get("/openapi.json", by=None)
    assert answer.status == 200
    document = answer.json()
    assert document["paths"].keys() == ENDPOINTS
    assert document["info"]["version"] == "1.2.3"
    text = answer.body.decode()
    assert "HTTPValidationError" not in text
    assert '"422"' not in text
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["description"]
            assert operation["security"]
    fields = document["components"]["schemas"]["GenerateKey"]["properties"]
    assert {"key_alias", "duration", "models", "max_budget", "rpm_limit"} <= fields.keys()


def test_the_documentation_needs_nothing_from_elsewhere(admin: Admin) -> None:
    answer = admin.get("/docs", by=None)
    page = answer.body.decode()
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"https?://|//[a-z]|<script|@import|url\(|\bsrc=", page)
    for path in ENDPOINTS:
        assert f" {path}<" in page
    assert "key_alias" in page
