"""The main job: the real Cline CLI codes through the gateway, fails over without noticing, and is metered."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.clients.cline import install_cline, run_cline
from tests.e2e.conftest import CONFIG
from tests.support.gateway import Simulator, run_gateway

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PROMPT = "Create a file named `greeting.txt` with the content `Hello from the checkpoint`."


@pytest.fixture(scope="module")
def cline() -> Path:
    binary = install_cline()
    if binary is None:
        message = "the Cline CLI could not be installed: npm is missing or its registry is out of reach"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return binary


@pytest.mark.parametrize("provider", ["openai", "litellm"])
def test_cline_writes_a_file_while_its_model_is_throttled(
    tmp_path: Path, simulator: Simulator, cline: Path, provider: str
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    simulator.fault({"model": SONNET}, {"kind": "throttle"})
    with run_gateway(tmp_path / "home", CONFIG, simulator.environment) as gateway:
        key = gateway.make_key(key_alias="cline", max_budget=1)
        done = run_cline(
            cline,
            workdir=repository,
            home=tmp_path / "cline-home",
            base_url=gateway.url,
            api_key=key,
            model="sonnet",
            prompt=PROMPT,
            provider=provider,  # type: ignore[arg-type]  # the two values of the parametrisation
            timeout=120,
        )
        assert done.exit_code == 0, done.stderr + done.stdout
        assert (repository / "greeting.txt").read_text().strip() == "Hello from the checkpoint"
        rows = gateway.get(f"/spend/logs?api_key={key}").json()
        calls = [call for call in simulator.calls() if call["operation"] == "ConverseStream"]
        info = gateway.get(f"/key/info?key={key}").json()["info"]
    served = [call for call in calls if call["status"] == 200]
    assert len(served) == len(rows) >= 2
    assert [call["status"] for call in calls if SONNET in call["model"]] == [429]
    assert {row["model_group"] for row in rows} == {"haiku"}
    assert {row["status"] for row in rows} == {"success"}
    for name, counted in (("prompt_tokens", PROMPT_KINDS), ("completion_tokens", ("output",))):
        assert sum(row[name] for row in rows) == sum(call["usage"].get(kind, 0) for call in served for kind in counted)
    assert round(info["spend"] * 1e9) == sum(row["metadata"]["cost_nano"] for row in rows) > 0


PROMPT_KINDS = ("input", "cache_read", "cache_write_5m", "cache_write_1h")
