"""Calls page by page, and what a call would cost, over HTTP, on each kind of database."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.admin import error_of, serve_on_each_database
from tests.support.spending import SONNET, World


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    for admin in serve_on_each_database(request.param, tmp_path_factory.mktemp("store")):
        yield World(admin)


# Calls


def test_calls_are_paged(world: World) -> None:
    pages = [world.read("/spend/logs/v2", page=page, page_size=2) for page in (1, 2, 3, 4)]
    assert [len(page["data"]) for page in pages] == [2, 2, 1, 0]
    assert {(page["total"], page["total_pages"]) for page in pages} == {(5, 3)}
    starts = [call["startTime"] for page in pages for call in page["data"]]
    assert starts == sorted(starts, reverse=True)
    for query in ({"page_size": 101}, {"page": 0}, {"page": 1_000_000}, {"status_filter": "odd"}):
        error_of(world.admin.get("/spend/logs/v2", **query), 400)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"user_id": "ron"}, 2),
        ({"organization_id": "{organization}"}, 4),
        ({"team_id": "{red}", "status_filter": "failure"}, 1),
        ({"status_filter": "client_closed"}, 1),
        ({"min_spend": 2, "max_spend": 3}, 2),
        ({"model": SONNET}, 3),
        ({"end_user": "customer-1"}, 1),
        ({"start_date": "2023-11-12 00:00:01", "end_date": "2023-11-14 00:00:00"}, 0),
        ({"start_date": "2023-11-12", "end_date": "2023-11-14"}, 4),
        ({"request_id": "no-uuid"}, 0),
        ({"request_id": "01890a5d-ac96-774b-bcce-b302099a8057"}, 0),
        ({"key_alias": "nobody's"}, 0),
    ],
)
def test_calls_are_filtered(world: World, query: dict[str, Any], count: int) -> None:
    names = {"organization": world.organization, "red": world.teams["Red"]}
    filled = {name: value.format(**names) if isinstance(value, str) else value for name, value in query.items()}
    found = world.read("/spend/logs/v2", **filled)
    assert (found["total"], len(found["data"])) == (count, count)


def test_everyone_sees_calls_they_may_see(world: World) -> None:
    def count(by: str, **query: Any) -> int:
        total: int = world.read("/spend/logs/v2", by=by, **query)["total"]
        return total

    assert (count("ron"), count("lonely"), count("rita"), count("chief")) == (2, 1, 1, 0)
    assert count("rita", team_id=world.teams["Red"]) == 3
    assert count("ron", team_id=world.teams["Red"]) == 2
    assert count("chief", organization_id=world.organization) == 4
    world.refused("/spend/logs/v2", 403, by="ron", team_id=world.teams["Blue"])
    world.refused("/spend/logs/v2", 403, by="rita", user_id="ron")
    world.refused("/spend/logs/v2", 403, by="lonely", organization_id=world.organization)


# What a call would cost


@pytest.mark.parametrize(
    ("body", "cost"),
    [
        ({"model": "sonnet", "usage": {"prompt_tokens": 1_000, "completion_tokens": 100}}, 0.0045),
        (
            {
                "completion_response": {
                    "model": SONNET,
                    "usage": {"input_tokens": 10, "output_tokens": 100, "cache_read_input_tokens": 1_000},
                }
            },
            0.00183,
        ),
        (
            {
                "model": "sonnet",
                "usage": {
                    "prompt_tokens": 1_000,
                    "completion_tokens": 0,
                    "prompt_tokens_details": {"cached_tokens": 1_000},
                },
            },
            0.0003,
        ),
    ],
)
def test_a_call_is_priced_by_its_usage(world: World, body: dict[str, Any], cost: float) -> None:
    assert world.admin.make("/spend/calculate", body) == {"cost": cost}


def test_a_call_is_priced_before_it_is_made(world: World) -> None:
    def cost(words: int) -> float:
        message = {"role": "user", "content": "word " * words}
        answer = world.admin.make("/spend/calculate", {"model": "sonnet", "messages": [message]})
        return float(answer["cost"])

    assert 0 < cost(10) < cost(1_000) < 0.01


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"model": "sonnet"},
        {"model": "nobody", "messages": []},
        {"model": "mystery", "messages": []},
        {"model": "sonnet", "usage": {"tokens": 5}},
        {"model": "sonnet", "usage": {"prompt_tokens": -5}},
        {"completion_response": {"model": 5}},
    ],
)
def test_what_cannot_be_priced_is_refused(world: World, body: dict[str, Any]) -> None:
    error_of(world.admin.post("/spend/calculate", body), 400)


def test_nobody_learns_prices_of_models_they_may_not_use(world: World) -> None:
    limited = world.admin.new_key(models=["mystery"])
    error_of(world.admin.post("/spend/calculate", {"model": "sonnet", "messages": []}, by=limited), 400)
