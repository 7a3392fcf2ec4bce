"""What the configuration says of virtual keys, teams and users holds for every one that is made or changed."""

from pathlib import Path
from typing import Any

from tests.e2e.conftest import CONFIG
from tests.support.gateway import Gateway, Simulator, run_gateway

BOUNDS = """
litellm_settings:
  default_key_generate_params: {max_budget: 2, models: [sonnet], rpm_limit: 5}
  upperbound_key_generate_params: {max_budget: 10, duration: 30d, tpm_limit: 1000, rpm_limit: 50}
"""
"""More for the block of the usual configuration."""
DEFAULTS = """
litellm_settings:
  max_internal_user_budget: 3
  internal_user_budget_duration: 1d
  budget_rollover: true
  default_internal_user_params: {max_budget: 4, models: [sonnet], user_role: internal_user_viewer, teams: [somewhere]}
  default_team_params: {max_budget: 20, budget_duration: 30d, rpm_limit: 7}
  default_key_generate_params: {team_id: everybody, user_id: house}
"""


def test_keys_get_the_defaults_and_never_more_than_the_bounds(tmp_path: Path, simulator: Simulator) -> None:
    with run_gateway(
        tmp_path / "home", CONFIG.replace("\nlitellm_settings:\n", BOUNDS), simulator.environment
    ) as gateway:
        key = make(gateway)
        assert (key["max_budget"], key["models"], key["rpm_limit"], key["tpm_limit"]) == (2, ["sonnet"], 5, 1000)
        assert key["expires"] is not None
        own = make(gateway, max_budget=10, models=["haiku"], rpm_limit=None, duration="7d")
        assert (own["max_budget"], own["models"], own["rpm_limit"]) == (10, ["haiku"], 5)
        beyond = ({"max_budget": 10.01}, {"rpm_limit": 51}, {"duration": "31d"}, {"duration": "-1"})
        for path, more in (("/key/generate", {}), ("/key/update", {"key": key["key"]})):
            for fields in beyond:
                refused = gateway.post(path, {**more, **fields})
                assert refused.status == 400, (path, fields)
                assert refused.json()["error"]["param"] in fields
        assert gateway.post("/key/update", {"key": key["key"], "max_budget": None}).json()["max_budget"] == 10


def test_teams_and_users_get_the_defaults(tmp_path: Path, simulator: Simulator) -> None:
    config = CONFIG.replace("\nlitellm_settings:\n", DEFAULTS)
    with run_gateway(tmp_path / "home", config, simulator.environment) as gateway:

        def create(path: str, **fields: object) -> dict[str, Any]:
            answer = gateway.post(path, fields)
            assert answer.status == 200, answer.body
            made: dict[str, Any] = answer.json()
            return made

        names = ("max_budget", "budget_duration", "rpm_limit", "budget_rollover")
        team = create("/team/new", team_id="everybody", rpm_limit=None)
        assert [team[name] for name in names] == [20, "30d", 7, True]
        own = create("/team/new", max_budget=1, rpm_limit=0, budget_rollover=False)
        assert [own[name] for name in names] == [1, "30d", 0, False]
        names = ("max_budget", "budget_duration", "models", "user_role")
        user = create("/user/new", user_id="house")
        assert [user[name] for name in names] == [4, "1d", ["sonnet"], "internal_user_viewer"]
        chief = create("/user/new", user_role="proxy_admin", auto_create_key=False)
        assert [chief[name] for name in names] == [None, None, [], "proxy_admin"]
        create("/team/member_add", team_id="everybody", member={"user_id": "named", "role": "user"})
        named = gateway.get("/user/info?user_id=named").json()["user_info"]
        assert [named[name] for name in names] == [4, "1d", ["sonnet"], "internal_user_viewer"]
        key = make(gateway)
        assert (key["team_id"], key["user_id"]) == ("everybody", "house")
        elsewhere = make(gateway, team_id=own["team_id"], user_id="named")
        assert (elsewhere["team_id"], elsewhere["user_id"]) == (own["team_id"], "named")
        kept = create("/team/update", team_id=own["team_id"], max_budget=2)["data"]
        assert (kept["max_budget"], kept["budget_rollover"]) == (2, False)
        assert "default_internal_user_params.teams` is known but has no effect" in gateway.errors()


def make(gateway: Gateway, **fields: object) -> dict[str, object]:
    answer = gateway.post("/key/generate", fields)
    assert answer.status == 200, answer.body
    key: dict[str, object] = answer.json()
    return key
