"""What the configuration says of virtual keys holds for every key that is made or changed."""

from pathlib import Path

from tests.e2e.conftest import CONFIG
from tests.support.gateway import Gateway, Simulator, run_gateway

BOUNDS = """
litellm_settings:
  default_key_generate_params: {max_budget: 2, models: [sonnet], rpm_limit: 5}
  upperbound_key_generate_params: {max_budget: 10, duration: 30d, tpm_limit: 1000, rpm_limit: 50}
"""
"""More for the block of the usual configuration."""


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


def make(gateway: Gateway, **fields: object) -> dict[str, object]:
    answer = gateway.post("/key/generate", fields)
    assert answer.status == 200, answer.body
    key: dict[str, object] = answer.json()
    return key
