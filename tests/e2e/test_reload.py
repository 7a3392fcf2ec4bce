"""The configuration is read anew while calls go on: by SIGHUP or over the API, in every worker."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

import pytest
from tests.support.gateway import MASTER_KEY, Answer, Gateway, Simulator, run_gateway
from tests.support.workers import connect_to, find_workers

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"


def entry(name: str, region: str = "us-east-1", **more: object) -> str:
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    return f"  - {{model_name: {name}, litellm_params: {{model: bedrock/{MODEL}, aws_region_name: {region}{extra}}}}}\n"


def config_of(*entries: str, settings: str = "") -> str:
    return "model_list:\n" + "".join(entries) + settings


@pytest.fixture
def gateway(tmp_path: Path, simulator: Simulator) -> Iterator[Gateway]:
    with run_gateway(tmp_path / "home", config_of(entry("first")), simulator.environment, workers=2) as gateway:
        yield gateway


def write(gateway: Gateway, text: str) -> None:
    (gateway.home / "config.yaml").write_text(text)


def models_of(gateway: Gateway, worker: int, workers: list[int]) -> list[str]:
    with connect_to(gateway, worker, workers) as connection:
        connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {MASTER_KEY}"})
        answer = Answer(200, {}, connection.getresponse().read())
    return [model["id"] for model in answer.json()["data"]]


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = monotonic() + 30
    while not true():
        assert monotonic() < deadline, what
        sleep(0.05)


def test_a_signal_and_the_api_change_every_worker_and_disturb_no_call(gateway: Gateway, simulator: Simulator) -> None:
    workers = find_workers(gateway, 2)

    def all_have(*names: str) -> None:
        wait_until(
            lambda: all(models_of(gateway, worker, workers) == list(names) for worker in workers),
            f"not every worker has {names}: {gateway.errors()[-2000:]}",
        )

    all_have("first")
    simulator.fault({"model": MODEL}, {"kind": "slow", "event_ms": 150}, times=1)
    stream = Stream(gateway, question("first", stream=True))
    began = stream.read(1)

    # A file that cannot be used changes nothing, and says where it is wrong.
    write(gateway, config_of(entry("second"), settings="router_settings: {num_retries: many}\n"))
    gateway.process.send_signal(signal.SIGHUP)
    complaint = "config.yaml:3:32: `router_settings.num_retries`: expected a whole number, 0 or more, found text"
    wait_until(lambda: complaint in gateway.errors(), "the log does not say what is wrong")
    refused = gateway.post("/config/reload", {})
    assert refused.status == 400, refused.body
    assert complaint in refused.json()["error"]["message"]
    all_have("first")

    write(gateway, config_of(entry("second"), entry("third")))
    gateway.process.send_signal(signal.SIGHUP)
    all_have("second", "third")

    write(gateway, config_of(entry("third"), entry("broken", aws_role_name="nonsense"), settings="odd: 1\n"))
    answer = gateway.post("/config/reload", {})
    assert answer.status == 200, answer.body
    assert answer.json()["status"] == "reloaded"
    assert answer.json()["models"] == ["broken", "third"]
    assert any("`odd` is not a known key" in warning for warning in answer.json()["warnings"])
    all_have("third")
    wait_until(lambda: gateway.post("/config/reload", {}).json()["status"] == "unchanged", "it goes on changing")
    *_, first = gateway.get("/audit?table_name=configuration").json()["audit_logs"]
    assert first["updated_values"]["models"] == answer.json()["models"]
    assert find_workers(gateway, 2) == workers

    whole = began + stream.read()
    assert b"[DONE]" in whole
    assert gateway.post("/v1/chat/completions", question("first")).status == 400
    assert gateway.post("/v1/chat/completions", question("third")).status == 200
    assert gateway.post("/config/reload", {}, key=gateway.make_key()).status == 403


def test_a_replaced_worker_has_the_configuration_of_the_last_reload(gateway: Gateway) -> None:
    workers = find_workers(gateway, 2)
    write(gateway, config_of(entry("second")))
    assert gateway.post("/config/reload", {}).status == 200
    wait_until(lambda: all(models_of(gateway, each, workers) == ["second"] for each in workers), "not reloaded")
    write(gateway, "model_list: 1\n")  # what lies there now does not matter
    os.kill(workers[0], signal.SIGKILL)
    wait_until(lambda: workers[0] not in find_workers(gateway, 2), "not replaced")
    for worker in (after := find_workers(gateway, 2)):
        assert models_of(gateway, worker, after) == ["second"]


def test_a_lone_process_reloads_limits_too(tmp_path: Path, simulator: Simulator) -> None:
    with run_gateway(tmp_path / "home", config_of(entry("first")), simulator.environment) as gateway:
        assert gateway.post("/v1/chat/completions", question("first")).status == 200
        limits = "litellm_settings: {max_budget: 0, budget_exceeded_status_code: 403}\n"
        write(gateway, config_of(entry("first"), settings=limits))
        gateway.process.send_signal(signal.SIGHUP)
        wait_until(lambda: gateway.post("/v1/chat/completions", question("first")).status == 403, "no new limit")


def question(model: str, stream: bool = False) -> dict[str, object]:
    return {
        "model": model,
        "stream": stream,
        "messages": [{"role": "user", "content": "Say something long."}],
    }


class Stream:
    """An answer that is read little by little."""

    def __init__(self, gateway: Gateway, body: dict[str, object]) -> None:
        self._connection = HTTPConnection(urlsplit(gateway.url).netloc, timeout=60)
        headers = {"Authorization": f"Bearer {MASTER_KEY}", "Content-Type": "application/json"}
        self._connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        self._response = self._connection.getresponse()

    def read(self, size: int | None = None) -> bytes:
        piece = self._response.read(size)
        if size is None:
            self._connection.close()
        return piece
