"""The main job, with every agent: it codes through the gateway, fails over without noticing, and is metered."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.clients.agent import CompletedRun
from tests.clients.claude_code import install_claude_code, run_claude_code
from tests.clients.cline import install_cline, run_cline
from tests.clients.codex import install_codex, run_codex
from tests.e2e.conftest import CONFIG
from tests.support.gateway import Simulator, run_gateway

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PROMPT = "Create a file named `greeting.txt` with the content `Hello from the checkpoint`."
PROMPT_KINDS = ("input", "cache_read", "cache_write_5m", "cache_write_1h")

Run = Callable[[Path, Path, str, str], CompletedRun]
"""Runs an agent's task in a repository, with a home, a gateway's URL and a key."""


def cline(provider: str) -> Run:
    def run(workdir: Path, home: Path, url: str, key: str) -> CompletedRun:
        binary = install_cline()
        return run_cline(
            binary, workdir=workdir, home=home, base_url=url, api_key=key, model="sonnet", prompt=PROMPT,
            provider=provider,  # type: ignore[arg-type]  # one of the two that are passed below
        )  # fmt: skip

    return run


def claude_code(mode: str) -> Run:
    def run(workdir: Path, home: Path, url: str, key: str) -> CompletedRun:
        binary = install_claude_code()
        return run_claude_code(
            binary, workdir=workdir, home=home, base_url=url, api_key=key, model="sonnet", prompt=PROMPT,
            mode=mode,  # type: ignore[arg-type]  # one of the two that are passed below
        )  # fmt: skip

    return run


def codex(workdir: Path, home: Path, url: str, key: str) -> CompletedRun:
    binary = install_codex()
    return run_codex(binary, workdir=workdir, home=home, base_url=url, api_key=key, model="sonnet", prompt=PROMPT)


@pytest.mark.parametrize(
    ("agent", "run"),
    [
        pytest.param("cline", cline("openai"), id="cline-openai"),
        pytest.param("cline", cline("litellm"), id="cline-litellm"),
        pytest.param("claude-code", claude_code("anthropic"), id="claude-code-anthropic"),
        pytest.param("claude-code", claude_code("bedrock"), id="claude-code-bedrock"),
        pytest.param("codex", codex, id="codex"),
    ],
)
def test_the_agent_writes_a_file_while_its_model_is_throttled(
    tmp_path: Path, simulator: Simulator, agent: str, run: Run
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    simulator.fault({"model": SONNET}, {"kind": "throttle"})
    with run_gateway(tmp_path / "home", CONFIG, simulator.environment) as gateway:
        key = gateway.make_key(key_alias="agent", max_budget=1)
        done = run(repository, tmp_path / "agent-home", gateway.url, key)
        assert done.exit_code == 0, done.stderr + done.stdout
        assert (repository / "greeting.txt").read_text().strip() == "Hello from the checkpoint"
        rows = gateway.get(f"/spend/logs?api_key={key}").json()
        calls = [call for call in simulator.calls() if call["operation"] != "CountTokens"]
        info = gateway.get(f"/key/info?key={key}").json()["info"]
    served = [call for call in calls if call["status"] == 200]
    assert len(served) == len(rows) >= 2
    assert [call["status"] for call in calls if SONNET in call["model"]] == [429]
    assert {row["model_group"] for row in rows} == {"haiku"}
    assert {row["status"] for row in rows} == {"success"}
    for name, counted in (("prompt_tokens", PROMPT_KINDS), ("completion_tokens", ("output",))):
        assert sum(row[name] for row in rows) == sum(call["usage"].get(kind, 0) for call in served for kind in counted)
    assert round(info["spend"] * 1e9) == sum(row["metadata"]["cost_nano"] for row in rows) > 0
    assert len({row["session_id"] for row in rows}) == 1  # the turns of one task are tied together
    assert {row["metadata"]["agent"] for row in rows} == {agent}
    assert rows[0]["session_id"]
