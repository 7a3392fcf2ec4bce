"""Spend reports and daily activity over HTTP, on each kind of database: what they show, and to whom."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.admin import error_of, serve_on_each_database
from tests.support.spending import DAY_MS, DOLLAR, MIDNIGHT, SONNET, TODAY, WEEK, YESTERDAY, World

from sekisho.control.services import reports_daily


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    for admin in serve_on_each_database(request.param, tmp_path_factory.mktemp("store")):
        yield World(admin)


def costs(report: list[dict[str, Any]]) -> dict[str, float]:
    """What each key spent, in a report by key."""
    return {line["api_key"]: line["total_cost"] for line in report}


# Spend reports


def test_the_report_of_teams_shows_days_teams_models_and_keys(world: World) -> None:
    report = world.read("/global/spend/report", **WEEK)
    assert [day["group_by_day"] for day in report] == [f"2023-11-{number:02d}T00:00:00+00:00" for number in (8, 12, 14)]
    assert report[0]["teams"] == [
        {
            "team_name": "Unassigned Team",
            "team_id": None,
            "total_spend": 0.0,
            "metadata": [{"model": "nobody.knows", "api_key": world.hash("lonely"), "spend": 0.0, "total_tokens": 156}],
        }
    ]
    spend = {team["team_name"]: team["total_spend"] for team in report[1]["teams"]}
    assert spend == {"Red": 3.0, "Blue": 4.0}
    (red,) = report[2]["teams"]
    assert (red["team_name"], red["team_id"], red["total_spend"]) == ("Red", world.teams["Red"], 3.0)
    assert {part["api_key"]: part["spend"] for part in red["metadata"]} == {
        world.hash("rita"): 1.0,
        world.hash("ron"): 2.0,
    }


@pytest.mark.parametrize(
    ("group", "name", "expected"),
    [
        ("customer", "customer", {"": 1.0, "customer-1": 2.0}),
        ("user", "user", {"rita": 1.0, "ron": 2.0}),
        ("organization", "organization_name", {"Acme": 3.0}),
    ],
)
def test_reports_group_by_whom_they_are_asked_for(
    world: World, group: str, name: str, expected: dict[str, float]
) -> None:
    (day,) = world.read("/global/spend/report", **TODAY, group_by=group)
    assert {owner[name]: owner["total_spend"] for owner in day[f"{group}s"]} == expected


def test_the_report_of_keys_begins_with_the_costliest(world: World) -> None:
    report = world.read("/global/spend/report", **WEEK, group_by="api_key")
    assert [line["api_key"] for line in report[:3]] == [world.hash("ron"), world.hash("bob"), world.hash("rita")]
    assert report[0] == {
        "api_key": world.hash("ron"),
        "total_cost": 5.0,
        "total_input_tokens": 272,
        "total_output_tokens": 40,
        "model_details": [
            {"model": "sonnet", "total_cost": 3.0, "total_input_tokens": 136, "total_output_tokens": 20},
            {"model": SONNET, "total_cost": 2.0, "total_input_tokens": 136, "total_output_tokens": 20},
        ],
    }


def test_the_global_report_is_narrowed_to_one_owner(world: World) -> None:
    def keys(**query: Any) -> dict[str, float]:
        return costs(world.read("/global/spend/report", **WEEK, **query))

    assert keys(api_key=world.keys["rita"]) == {world.hash("rita"): 1.0}
    assert keys(internal_user_id="bob") == {world.hash("bob"): 4.0}
    assert keys(team_id=world.teams["Red"]) == {world.hash("rita"): 1.0, world.hash("ron"): 5.0}
    assert keys(team_id=world.teams["Red"], customer_id="customer-1") == {world.hash("ron"): 2.0}
    assert keys(organization_id=world.organization, internal_user_id="rita") == {world.hash("rita"): 1.0}


def test_everyone_may_report_on_their_own(world: World) -> None:
    for path in ("/key/spend/report", "/user/spend/report", "/team/spend/report"):
        assert costs(world.read(path, by="ron", **WEEK)) == {world.hash("ron"): 5.0}, path
    assert costs(world.read("/key/spend/report", by="lonely", **WEEK)) == {world.hash("lonely"): 0.0}
    assert costs(world.read("/key/spend/report", by="ron", **WEEK, api_key=world.keys["ron"])) == {
        world.hash("ron"): 5.0
    }
    red = {world.hash("rita"): 1.0, world.hash("ron"): 5.0}
    assert costs(world.read("/team/spend/report", by="rita", **WEEK)) == red
    assert costs(world.read("/team/spend/report", by="rita", **WEEK, team_id=world.teams["Red"])) == red
    everybody = red | {world.hash("bob"): 4.0}
    report = world.read("/organization/spend/report", by="chief", **WEEK)
    assert costs(report) == everybody
    assert {part["team_id"] for line in report for part in line["model_details"]} == set(world.teams.values())
    assert costs(world.read("/organization/spend/report", organization_id=world.organization, **WEEK)) == everybody


def test_nobody_may_report_on_others(world: World) -> None:
    world.refused("/key/spend/report", 403, by="lonely", api_key=world.keys["ron"], **WEEK)
    world.refused("/user/spend/report", 403, by="ron", user_id="rita", **WEEK)
    world.refused("/user/spend/report", 403, by="ron", internal_user_id="rita", **WEEK)
    world.refused("/user/spend/report", 403, by="rita", user_id="bob", **WEEK)
    world.refused("/team/spend/report", 403, by="rita", team_id=world.teams["Blue"], **WEEK)
    world.refused("/organization/spend/report", 403, by="lonely", organization_id=world.organization, **WEEK)
    for path in ("/global/spend/report", "/global/spend", "/audit"):
        world.refused(path, 403, by="chief", **WEEK)
    assert world.read("/key/spend/report", by="ron", **WEEK, api_key=world.keys["rita"]) == []
    assert costs(world.read("/organization/spend/report", by="ron", **WEEK)) == {world.hash("ron"): 5.0}


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({}, "start_date"),
        ({"start_date": "2023-11-08"}, "end_date"),
        ({"start_date": "2023-13-45", "end_date": "2023-11-08"}, "start_date"),
        ({"start_date": "2023-11-08", "end_date": "2023-11-07"}, "end_date"),
        ({"start_date": "2022-11-08", "end_date": "2023-11-09"}, "end_date"),
    ],
)
def test_a_report_needs_days_that_make_sense(world: World, query: dict[str, str], param: str) -> None:
    for path in ("/global/spend/report", "/key/spend/report", "/team/daily/activity"):
        assert error_of(world.admin.get(path, **query), 400)["param"] == param


def test_a_report_about_nobody_in_particular_must_say_so(world: World) -> None:
    error_of(world.admin.get("/team/spend/report", **WEEK), 400)


def test_tags_are_added_up(world: World) -> None:
    everything = [
        {"individual_request_tag": "ci", "log_count": 2, "total_spend": 5.0},
        {"individual_request_tag": "night", "log_count": 1, "total_spend": 1.0},
    ]
    assert world.read("/spend/tags") == world.read("/spend/tags", **WEEK) == everything
    assert world.read("/spend/tags", **TODAY)[0]["total_spend"] == 1.0
    assert [line["individual_request_tag"] for line in world.read("/spend/tags", by="bob")] == ["ci"]
    assert world.read("/spend/tags", by="lonely") == []


def test_the_total_is_that_of_everybody(world: World) -> None:
    assert world.read("/global/spend")["spend"] == 10.0


# Daily activity


def test_activity_is_shown_as_litellm_shows_it(world: World) -> None:
    activity = world.read("/team/daily/activity", **WEEK, team_ids=world.teams["Red"])
    newest, older = activity["results"]
    ron = {
        "spend": 2.0,
        "prompt_tokens": 136,
        "completion_tokens": 20,
        "cache_read_input_tokens": 30,
        "cache_creation_input_tokens": 6,
        "total_tokens": 156,
        "successful_requests": 1,
        "failed_requests": 0,
        "api_requests": 1,
    }
    assert newest["date"] == "2023-11-14"
    both = {name: 2 * value for name, value in ron.items()} | {"spend": 3.0}
    assert newest["metrics"] == both
    breakdown = newest["breakdown"]
    assert breakdown.keys() == {
        *("models", "model_groups", "providers", "api_keys", "entities", "mcp_servers", "endpoints")
    }
    assert breakdown["entities"].keys() == {world.teams["Red"]}
    assert breakdown["models"].keys() == {SONNET}
    assert breakdown["models"][SONNET]["metrics"] == both
    described = {"key_alias": "key of ron", "team_id": world.teams["Red"], "user_id": "ron", "key_exists": True}
    assert breakdown["providers"]["bedrock"]["api_key_breakdown"][world.hash("ron")] == {
        "metrics": ron,
        "metadata": described,
    }
    assert breakdown["api_keys"][world.hash("ron")]["metrics"] == ron
    assert older["breakdown"]["providers"].keys() == {"unknown"}
    assert older["breakdown"]["models"].keys() == {"sonnet"}
    assert older["metrics"]["failed_requests"] == 1
    wanted = {"total_spend": 6.0, "total_api_requests": 3, "total_failed_requests": 1, "total_tokens": 468}
    wanted |= {"page": 1, "total_pages": 1, "has_more": False, "total_api_keys": 2}
    assert wanted.items() <= activity["metadata"].items()


def test_activity_is_paged_by_days(world: World) -> None:
    pages = [world.read("/user/daily/activity", **WEEK, page=page, page_size=3) for page in (1, 2, 3, 4)]
    assert [[day["date"] for day in page["results"]] for page in pages] == [
        ["2023-11-14", "2023-11-12"],
        [],
        ["2023-11-08"],
        [],
    ]
    assert [page["metadata"]["has_more"] for page in pages] == [True, True, False, False]
    assert sum(page["metadata"]["total_api_requests"] for page in pages) == 5
    assert {page["metadata"]["total_pages"] for page in pages} == {3}


def test_activity_is_narrowed(world: World) -> None:
    def spend(path: str, by: str | None = None, **query: Any) -> float:
        total: float = world.read(path, by=by, **WEEK, **query)["metadata"]["total_spend"]
        return total

    assert spend("/user/daily/activity") == 10.0
    assert spend("/user/daily/activity", user_id="bob") == spend("/user/daily/activity", by="bob") == 4.0
    assert spend("/user/daily/activity", api_key=world.keys["rita"]) == 1.0
    assert spend("/user/daily/activity", model=SONNET) == 7.0
    assert spend("/team/daily/activity", by="rita") == 6.0
    assert spend("/team/daily/activity", by="ron") == 5.0
    assert spend("/organization/daily/activity", by="chief") == 10.0
    assert spend("/organization/daily/activity", by="bob") == 4.0
    assert spend("/customer/daily/activity") == 10.0
    assert spend("/customer/daily/activity", end_user_ids="customer-1,customer-2") == 2.0
    assert spend("/tag/daily/activity", tags="night, ci") == 6.0
    assert spend("/tag/daily/activity", by="bob", tags="ci") == 4.0
    for query in ({"user_id": "rita"}, {"user_id": "bob"}):
        world.refused("/user/daily/activity", 403, by="ron", **WEEK, **query)
    world.refused("/customer/daily/activity", 403, by="chief", **WEEK)
    world.refused("/team/daily/activity", 403, by="rita", team_ids=",".join(world.teams.values()), **WEEK)
    error_of(world.admin.get("/tag/daily/activity", **WEEK, tags=" , "), 400)


def test_local_days_begin_at_the_local_midnight(world: World) -> None:
    def days(timezone: int) -> dict[str, float]:
        activity = world.read("/user/daily/activity", **WEEK, timezone=timezone, user_id="ron")
        return {day["date"]: day["metrics"]["spend"] for day in activity["results"]}

    assert days(0) == days(-540) == {"2023-11-14": 2.0, "2023-11-12": 3.0}
    assert days(300) == {"2023-11-13": 2.0, "2023-11-11": 3.0}
    tagged = world.read("/tag/daily/activity", **WEEK, timezone=300)
    assert {day["date"]: day["metrics"]["spend"] for day in tagged["results"]} == {"2023-11-13": 2.0, "2023-11-11": 4.0}


def test_local_days_need_their_calls_and_not_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for admin in serve_on_each_database("sqlite", tmp_path):
        for days_ago in (0, 1, 5):
            start = MIDNIGHT - days_ago * DAY_MS
            admin.record(DOLLAR, started_at=start, ended_at=start)
        in_tokyo: dict[str, Any] = {**WEEK, "timezone": -540}
        assert len(admin.read("/user/daily/activity", **in_tokyo)["results"]) == 3
        monkeypatch.setattr(reports_daily, "_MOST_ROWS", 2)
        assert error_of(admin.get("/user/daily/activity", **in_tokyo), 400)["param"] == "timezone"
        assert len(admin.read("/user/daily/activity", **in_tokyo | YESTERDAY)["results"]) == 2
        monkeypatch.undo()
        assert admin.run(lambda store: store.retention.purge(3 * 86_400)) == 1
        error = error_of(admin.get("/user/daily/activity", **in_tokyo), 400)
        assert "before 2023-11-13 are no longer kept" in error["message"]
        assert len(admin.read("/user/daily/activity", **in_tokyo | YESTERDAY)["results"]) == 2
        assert len(admin.read("/user/daily/activity", **WEEK)["results"]) == 3, "the roll-ups know of them"


def test_too_many_users_to_show_are_left_out_but_not_out_of_the_sums(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports_daily, "MOST_ENTITIES", 1)
    monkeypatch.setattr(reports_daily, "MOST_KEYS", 1)
    activity = world.read("/user/daily/activity", **WEEK)
    shown = {name for day in activity["results"] for name in day["breakdown"]["entities"]}
    assert shown == {"ron"}
    assert activity["metadata"]["total_spend"] == 10.0
    assert activity["metadata"]["total_api_keys"] == 4
    assert activity["metadata"]["total_entities"] == 4
