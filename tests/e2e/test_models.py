"""Models and fallbacks that change while the gateway serves, on every worker."""

import json
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from tests.e2e.conftest import CONFIG
from tests.support.gateway import Gateway, Simulator, run_gateway
from tests.support.workers import connect_to, find_workers

HAIKU = "bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0"
LONG = " ".join(f"word{number}" for number in range(40))


def ask(connection: HTTPConnection, model: str, text: str = "Hello", *, key: str, stream: bool = False) -> HTTPResponse:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    return connection.getresponse()


def wait_for_status(gateway: Gateway, model: str, status: int) -> None:
    """Until every worker answers calls of a model with this status; changes take up to a second to spread."""
    workers = find_workers(gateway, 2)
    for worker in workers:
        deadline = monotonic() + 30
        with connect_to(gateway, worker, workers) as connection:
            while True:
                answer = ask(connection, model, key=gateway.master_key)
                body = answer.read()
                if answer.status == status:
                    break
                assert monotonic() < deadline, body
                sleep(0.05)


def test_models_come_change_and_go_while_streams_run(tmp_path: Path, simulator: Simulator) -> None:
    with run_gateway(tmp_path / "home", CONFIG, simulator.environment, workers=2) as gateway, ExitStack() as stack:
        params = {"model": HAIKU, "aws_region_name": "us-west-2"}
        made = gateway.post("/model/new", {"model_name": "fresh", "litellm_params": params})
        assert made.status == 200, made.body
        identity = made.json()["model_id"]
        wait_for_status(gateway, "fresh", 200)
        simulator.fault({"region": "us-west-2"}, {"kind": "slow", "event_ms": 100})
        workers = find_workers(gateway, 2)
        streams = []
        for worker in workers:
            connection = stack.enter_context(connect_to(gateway, worker, workers))
            directive = f"[[sim: {json.dumps({'text': LONG})}]]"
            streams.append(ask(connection, "fresh", directive, key=gateway.master_key, stream=True))
        heads = [stream.readline() for stream in streams]

        moved = {"model_info": {"id": identity}, "litellm_params": {"aws_region_name": "eu-west-1"}}
        assert gateway.post("/model/update", moved).status == 200
        for worker in workers:
            with connect_to(gateway, worker, workers) as connection:
                wait_for_region(connection, simulator, gateway, "eu-west-1")
        assert gateway.post("/model/delete", {"id": identity}).status == 200
        wait_for_status(gateway, "fresh", 400)

        for head, stream in zip(heads, streams, strict=True):
            assert read_text(head + stream.read()) == LONG
        assert "Traceback" not in gateway.errors()


def wait_for_region(connection: HTTPConnection, simulator: Simulator, gateway: Gateway, region: str) -> None:
    deadline = monotonic() + 30
    while True:
        answer = ask(connection, "fresh", key=gateway.master_key)
        assert answer.status == 200, answer.read()
        answer.read()
        if simulator.calls()[-1]["region"] == region:
            return
        assert monotonic() < deadline
        sleep(0.05)


def read_text(body: bytes) -> str:
    lines = [line[6:] for line in body.decode().splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    chunks: list[dict[str, Any]] = [json.loads(line) for line in lines[:-1]]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])


def test_a_fallback_is_used_by_every_worker_as_long_as_it_is_there(tmp_path: Path, simulator: Simulator) -> None:
    with run_gateway(tmp_path / "home", CONFIG, simulator.environment, workers=2) as gateway:
        simulator.fault({"model": "us.amazon.nova-pro-v1:0"}, {"kind": "access_denied"})
        wait_for_status(gateway, "nova", 502)
        assert gateway.post("/fallback", {"model": "nova", "fallback_models": ["haiku"]}).status == 200
        wait_for_status(gateway, "nova", 200)
        assert simulator.calls()[-1]["model"] == HAIKU.removeprefix("bedrock/")


def test_added_models_outlive_a_restart_and_a_broken_one_stops_nobody(tmp_path: Path, simulator: Simulator) -> None:
    home, environment = tmp_path / "home", simulator.environment
    with run_gateway(home, CONFIG, {**environment, "SOME_KEY": "sk-some-key"}) as gateway:
        wanted = {"fresh": {"model": HAIKU}, "keyed": {"model": "anthropic/claude-x", "api_key": "os.environ/SOME_KEY"}}
        for name, params in wanted.items():
            answer = gateway.post("/model/new", {"model_name": name, "litellm_params": params})
            assert answer.status == 200, answer.body
    with run_gateway(home, CONFIG, environment) as gateway:
        body = {"model": "fresh", "messages": [{"role": "user", "content": "Hello"}]}
        assert gateway.post("/v1/chat/completions", body).status == 200
        (broken,) = (model for model in gateway.get("/model/info").json()["data"] if model["model_name"] == "keyed")
        assert "SOME_KEY` is not set" in broken["model_info"]["error"]
        assert "model cannot be called" in gateway.errors()
        assert gateway.post("/model/delete", {"id": broken["model_info"]["id"]}).status == 200
    assert b"sk-some-key" not in (home / "sekisho.db").read_bytes()
