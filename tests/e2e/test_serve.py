"""The command itself: how it starts, what it says, how it stops, and what it keeps."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.gateway import Simulator, call, run_gateway

from sekisho import __version__

CHAT = {"model": "claude-sonnet", "messages": [{"role": "user", "content": "Hello"}]}


def run(*arguments: str, home: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "sekisho", *arguments],
        env={"PATH": "/usr/bin:/bin", "SEKISHO_HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_anything_it_serves_a_simulated_bedrock_and_says_so_everywhere(tmp_path: Path) -> None:
    with run_gateway(tmp_path / "home", master_key=None) as gateway:
        assert "SIMULATED" in gateway.output
        assert gateway.url in gateway.output
        assert gateway.master_key in gateway.output
        starter = (tmp_path / "home" / "starter.key").read_text().strip()
        assert starter in gateway.output
        for sample in ("curl ", "OpenAI(", "cline "):
            assert sample in gateway.output
        answer = gateway.post("/v1/chat/completions", CHAT, starter)
        assert answer.status == 200
        assert answer.headers["x-sekisho-simulated"] == "true"
        (row,) = gateway.get("/spend/logs?summarize=false").json()
        assert row["metadata"]["simulated"] is True
        for path in ("/health/liveliness", "/health/liveness", "/health/readiness"):
            assert call(gateway.url + path).status == 200


def test_stopping_is_clean_and_starting_again_keeps_keys_and_spend(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with run_gateway(home, master_key=None) as gateway:
        master, starter = gateway.master_key, (home / "starter.key").read_text().strip()
        key = gateway.make_key(key_alias="kept")
        gateway.post("/v1/chat/completions", CHAT, key)
        spend = gateway.get(f"/key/info?key={key}").json()["info"]["spend"]
        assert spend > 0
        assert gateway.stop(signal.SIGINT) == 0
        assert "Traceback" not in gateway.errors()
    with run_gateway(home, master_key=None) as gateway:
        assert gateway.master_key == master
        assert (home / "starter.key").read_text().strip() == starter
        assert gateway.get(f"/key/info?key={key}").json()["info"]["spend"] == spend
        assert gateway.post("/v1/chat/completions", CHAT, starter).status == 200
    assert {path.stat().st_mode & 0o777 for path in home.glob("*.key")} == {0o600}


def test_several_workers_serve_one_port_and_share_one_truth(tmp_path: Path) -> None:
    with run_gateway(tmp_path / "home", workers=2) as gateway:
        key = gateway.make_key()
        for _ in range(10):
            assert gateway.post("/v1/chat/completions", CHAT, key).status == 200
        assert gateway.stop() == 0
        assert "Traceback" not in gateway.errors()
    with run_gateway(tmp_path / "home", workers=2) as gateway:
        assert len(gateway.get(f"/spend/logs?api_key={key}").json()) == 10


def test_real_credentials_are_used_when_there_are_any(tmp_path: Path, simulator: Simulator) -> None:
    with run_gateway(tmp_path / "home", environment=simulator.environment) as gateway:
        assert "SIMULATED" not in gateway.output
        answer = gateway.post("/v1/chat/completions", CHAT)
        assert "x-sekisho-simulated" not in answer.headers
        assert len(simulator.calls()) == 1


@pytest.mark.parametrize("key", ["", "sk-1234"])
def test_beyond_this_machine_it_needs_a_good_master_key(tmp_path: Path, key: str) -> None:
    result = run("serve", "--host", "0.0.0.0", "--port", "0", home=tmp_path, SEKISHO_MASTER_KEY=key)
    assert result.returncode == 2
    assert "master key" in result.stderr
    assert "16" in result.stderr
    assert "sk-1234" not in result.stderr


def test_beyond_this_machine_nothing_is_simulated_and_no_key_is_printed(tmp_path: Path) -> None:
    with run_gateway(tmp_path / "home", arguments=("--host", "0.0.0.0")) as gateway:
        assert "SIMULATED" not in gateway.output
        assert gateway.master_key not in gateway.output
        assert not (tmp_path / "home" / "starter.key").exists()
        answer = call(gateway.url.replace("0.0.0.0", "127.0.0.1") + "/v1/chat/completions", CHAT, gateway.master_key)
        assert answer.status == 502
        assert "CredentialsRefused" in answer.json()["error"]["message"]


def test_the_master_key_may_come_from_litellm_s_variable_or_the_file(tmp_path: Path) -> None:
    with run_gateway(tmp_path / "a", master_key=None, environment={"LITELLM_MASTER_KEY": "sk-1234"}) as gateway:
        assert gateway.get("/key/list", "sk-1234").status == 200
    config = "general_settings:\n  master_key: os.environ/MY_KEY\n"
    with run_gateway(tmp_path / "b", config, {"MY_KEY": "sk-from-the-file"}, master_key=None) as gateway:
        assert gateway.get("/key/list", "sk-from-the-file").status == 200


def test_a_file_that_cannot_be_understood_stops_the_start(tmp_path: Path) -> None:
    config = tmp_path / "broken.yaml"
    config.write_text("model_list:\n  - model_name: a\n    litellm_params:\n      model: [\n")
    result = run("serve", "--config", str(config), home=tmp_path / "home")
    assert result.returncode == 2
    assert f"{config}:" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with run_gateway(tmp_path / "a") as gateway:
        port = gateway.url.rsplit(":", 1)[1]
        result = run("serve", "--port", port, home=tmp_path / "b")
        assert result.returncode == 2
        assert port in result.stderr
        assert "Traceback" not in result.stderr


def test_version_and_check(tmp_path: Path) -> None:
    assert run("--version", home=tmp_path).stdout.strip() == f"sekisho {__version__}"
    config = tmp_path / "config.yaml"
    config.write_text(
        "model_list:\n"
        "  - model_name: a\n    litellm_params: {model: bedrock/us.amazon.nova-pro-v1:0, aws_region_name: us-east-1}\n"
        "  - model_name: b\n    litellm_params: {model: openai/gpt-4o}\n"
        "  - model_name: nova/*\n    litellm_params: {model: bedrock/us.amazon.nova-pro-v1:0}\n"
        "  - model_name: lab/*\n    litellm_params: {model: nobody/*}\n"
        "router_settings:\n  rooting_strategy: x\n"
    )
    result = run("check", str(config), home=tmp_path)
    assert result.returncode == 0
    assert "rooting_strategy" in result.stderr
    assert "routing_strategy" in result.stderr
    assert "openai/gpt-4o" in result.stderr
    assert "'lab/*' do not reach this deployment" in result.stderr
    assert "nova/*" not in result.stderr
    assert run("check", "--strict", str(config), home=tmp_path).returncode == 1
