"""What a model name leads to: wildcards, aliases, tags, and what keys and teams say themselves."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.gateway import Answer, Gateway, Simulator, run_gateway

HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-pro-v1:0"
LITE = "us.amazon.nova-lite-v1:0"

CONFIG = f"""
model_list:
  - model_name: sonnet
    litellm_params: {{model: bedrock/{SONNET}, aws_region_name: us-east-1}}
  - model_name: haiku
    litellm_params: {{model: bedrock/{HAIKU}, aws_region_name: us-east-1}}
  - model_name: "bedrock/*"
    litellm_params: {{model: "bedrock/*", aws_region_name: us-west-2}}
  - model_name: "lab-*"
    litellm_params: {{model: "bedrock/us.amazon.*-v1:0", aws_region_name: eu-west-1}}
  - model_name: tagged
    litellm_params: {{model: bedrock/{HAIKU}, aws_region_name: us-east-1, tags: [team-a]}}
  - model_name: tagged
    litellm_params: {{model: bedrock/{HAIKU}, aws_region_name: eu-west-1, tags: [team-b, fast]}}
  - model_name: shared
    litellm_params: {{model: bedrock/{HAIKU}, aws_region_name: us-east-1, tags: [team-a]}}
  - model_name: shared
    litellm_params: {{model: bedrock/{HAIKU}, aws_region_name: us-west-2, tags: [default]}}
litellm_settings:
  fallbacks: [{{sonnet: ["lab-nova-lite"]}}]
router_settings:
  num_retries: 0
  enable_tag_filtering: true
  model_group_alias:
    best: sonnet
    secret: {{model: haiku, hidden: true}}
    west: bedrock/{NOVA}
"""


@pytest.fixture(scope="module")
def gateway(running_simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("names") / "home", CONFIG, running_simulator.environment) as gateway:
        yield gateway


def ask(gateway: Gateway, model: str, key: str | None = None, **more: object) -> Answer:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}
    return gateway.post("/v1/chat/completions", body, key)


def served(simulator: Simulator) -> tuple[str, str]:
    """Where the last call went."""
    last = simulator.calls()[-1]
    return last["region"], last["model"]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        (f"bedrock/{NOVA}", ("us-west-2", NOVA)),
        ("lab-nova-lite", ("eu-west-1", LITE)),
        ("best", ("us-east-1", SONNET)),
        ("secret", ("us-east-1", HAIKU)),
        ("west", ("us-west-2", NOVA)),
        (f"bedrock/{SONNET}", ("us-east-1", SONNET)),  # the id of a deployment is nearer than a wildcard
    ],
)
def test_names_lead_to_models(gateway: Gateway, simulator: Simulator, name: str, place: tuple[str, str]) -> None:
    answer = ask(gateway, name)
    assert answer.status == 200, answer.body
    assert served(simulator) == place
    assert answer.json()["model"] == name


def test_wildcards_are_priced_and_limited_like_other_models(gateway: Gateway, simulator: Simulator) -> None:
    key = gateway.make_key(models=["bedrock/us.amazon.*"], max_budget=1, model_max_budget={f"bedrock/{NOVA}": 0})
    assert ask(gateway, f"bedrock/{LITE}", key).status == 200
    assert float(gateway.get(f"/key/info?key={key}").json()["info"]["spend"]) > 0
    assert ask(gateway, f"bedrock/{NOVA}", key).json()["error"]["type"] == "budget_exceeded"
    assert ask(gateway, f"bedrock/{HAIKU}", key).status == 403
    assert ask(gateway, "sonnet", key).status == 403
    assert len(simulator.calls()) == 1


def test_a_wildcard_may_stand_in_for_a_model(gateway: Gateway, simulator: Simulator) -> None:
    simulator.fault({"model": SONNET}, {"kind": "error", "status": 500, "type": "InternalServerException"})
    answer = ask(gateway, "sonnet")
    assert answer.status == 200, answer.body
    assert answer.headers["x-litellm-model-group"] == "lab-nova-lite"
    assert served(simulator) == ("eu-west-1", LITE)


def test_lists_show_aliases_and_no_wildcards(gateway: Gateway) -> None:
    ask(gateway, f"bedrock/{NOVA}")
    listed = [model["id"] for model in gateway.get("/v1/models").json()["data"]]
    assert listed == ["sonnet", "haiku", "tagged", "shared", "best", "west"]
    described = {one["model_name"] for one in gateway.get("/model/info").json()["data"]}
    assert described == {"sonnet", "haiku", "tagged", "shared", "bedrock/*", "lab-*"}


def test_many_names_under_a_wildcard_do_not_fill_the_memory(gateway: Gateway, simulator: Simulator) -> None:
    key = gateway.make_key(models=["lab-*"])
    for number in range(3):
        assert ask(gateway, f"lab-{'x' * 300}{number}", key).status == 400  # too long to be a model's name


def test_tags_choose_the_deployment(gateway: Gateway, simulator: Simulator) -> None:
    for tags, region in ((["team-a"], "us-east-1"), (["fast", "other"], "eu-west-1")):
        assert ask(gateway, "tagged", tags=tags).status == 200
        assert served(simulator)[0] == region
    refused = ask(gateway, "tagged", tags=["team-c"])
    assert refused.status == 400, refused.body
    assert "team-c" in refused.json()["error"]["message"]
    assert ask(gateway, "shared", tags=["team-c"]).status == 200
    assert served(simulator)[0] == "us-west-2"


def test_the_tags_of_a_team_and_a_key_count(gateway: Gateway, simulator: Simulator) -> None:
    team = gateway.post("/team/new", {"team_alias": "tagging", "tags": ["team-a"]}).json()["team_id"]
    of_team, of_key = gateway.make_key(team_id=team), gateway.make_key(tags=["team-b"])
    for key, region in ((of_team, "us-east-1"), (of_key, "eu-west-1")):
        assert ask(gateway, "tagged", key).status == 200
        assert served(simulator)[0] == region
    (row,) = [row for row in gateway.get("/spend/logs").json() if row["team_id"] == team]
    assert row["request_tags"] == ["team-a"]


def test_keys_and_teams_have_their_own_names_and_fallbacks(gateway: Gateway, simulator: Simulator) -> None:
    settings: dict[str, Any] = {"router_settings": {"fallbacks": [{"sonnet": ["haiku"]}]}}
    team = gateway.post("/team/new", {"team_alias": "t", "model_aliases": {"mine": "haiku"}, **settings})
    assert team.status == 200, team.body
    assert "x-sekisho-without-effect" not in team.headers
    of_team = gateway.make_key(team_id=team.json()["team_id"])
    of_key = gateway.make_key(
        team_id=team.json()["team_id"],
        aliases={"mine": f"bedrock/{NOVA}"},
        router_settings={"default_fallbacks": [f"bedrock/{LITE}"], "fallbacks": {"sonnet": [f"bedrock/{NOVA}"]}},
    )
    assert ask(gateway, "mine", of_team).status == 200
    assert served(simulator) == ("us-east-1", HAIKU)
    assert ask(gateway, "mine", of_key).status == 200
    assert served(simulator) == ("us-west-2", NOVA)
    assert ask(gateway, "mine").status == 400
    simulator.fault({"model": SONNET}, {"kind": "error", "status": 500, "type": "InternalServerException"})
    for key, place in ((of_team, ("us-east-1", HAIKU)), (of_key, ("us-west-2", NOVA))):
        assert ask(gateway, "sonnet", key).status == 200
        assert served(simulator) == place
    assert gateway.post("/key/update", {"key": of_key, "router_settings": None, "aliases": None}).status == 200
    assert ask(gateway, "mine", of_key).status == 200
    assert served(simulator) == ("us-east-1", HAIKU)


def test_a_key_names_who_goes_on_when_a_budget_is_spent(gateway: Gateway, simulator: Simulator) -> None:
    key = gateway.make_key(model_max_budget={"sonnet": 0}, budget_fallbacks={"sonnet": [f"bedrock/{LITE}"]})
    answer = ask(gateway, "sonnet", key)
    assert answer.status == 200, answer.body
    assert served(simulator) == ("us-west-2", LITE)
    assert answer.headers["x-litellm-model-group"] == f"bedrock/{LITE}"


def test_wrong_router_settings_are_refused(gateway: Gateway) -> None:
    for settings, complaint in (
        ({"num_retries": "many"}, "router_settings.num_retries"),
        ({"num_retry": 1}, "num_retry` is not a known key"),
        ({"routing_strategy": "best"}, "there is no strategy"),
    ):
        refused = gateway.post("/key/generate", {"router_settings": settings})
        assert refused.status in {400, 422}, refused.body
        assert complaint in refused.json()["error"]["message"]
