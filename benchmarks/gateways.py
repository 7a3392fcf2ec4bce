"""Start what is measured: the cheap upstream, and Sekisho with a key under budgets and limits at every level."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.processes import ProcessGroup
from benchmarks.wires import UpstreamWire

HOST = "127.0.0.1"
ROOT = Path(__file__).parent.parent

_MASTER_KEY = "sk-benchmark-master-key"
_START_SECONDS = 60.0
_STOP_SECONDS = 40.0
_POLL_SECONDS = 0.005
# So high that no load reaches them, and yet counted for every request.
_LIMITS = {"max_budget": 1e6, "budget_duration": "30d", "rpm_limit": 10**8, "tpm_limit": 10**12}

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy stands before the loopback


class BenchmarkFailed(Exception):
    """Something that is measured did not work; the message says what."""


class Started(Struct, frozen=True, kw_only=True):
    """A gateway that answers: where, the group of its processes, and what its start took."""

    port: int
    group: ProcessGroup
    start_seconds: float
    start_cpu_seconds: float


@contextmanager
def run_upstream(port: int, events: int, interval: float) -> Iterator[tuple[int, ProcessGroup]]:
    """The cheap upstream for the length of a `with`: its port and its process."""
    options = ("--port", str(port), "--events", str(events), "--interval", str(interval))
    command = (sys.executable, "-m", "benchmarks.upstream", *options)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise BenchmarkFailed("the cheap upstream did not start; its own message stands above")
            yield int(line), ProcessGroup(process.pid)
        finally:
            process.terminate()


@contextmanager
def run_sekisho(
    home: Path, upstreams: Sequence[UpstreamWire], upstream_port: int, environment: Mapping[str, str] | None = None
) -> Iterator[Started]:
    """Sekisho in front of the cheap upstream, as `run_configured`."""
    with run_configured(home, _configuration(upstreams, upstream_port), environment) as started:
        yield started


@contextmanager
def run_configured(
    home: Path, configuration: Mapping[str, object], environment: Mapping[str, str] | None = None
) -> Iterator[Started]:
    """Sekisho on a fresh data folder `home`, for the length of a `with`; its output is in `home`/output.

    `environment` has further variables for it, such as `DATABASE_URL`.
    """
    home.mkdir()
    config, port = home / "config.yaml", _free_port()
    general = {"general_settings": {"master_key": _MASTER_KEY}}
    config.write_text(json.dumps({**configuration, **general}))  # JSON is YAML
    command = (sys.executable, "-m", "sekisho", "serve", "--config", str(config), "--port", str(port))
    with (home / "output").open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**_environment(home), **(environment or {})},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _wait_until_alive(process, port, home / "output")
            seconds, group = time.perf_counter() - began, ProcessGroup(process.pid)
            yield Started(port=port, group=group, start_seconds=seconds, start_cpu_seconds=group.cpu_seconds())
        finally:
            _stop(process)


def make_key(port: int) -> str:
    """A virtual key of a user in a team; key, user and team each have a budget and limits."""
    user = post(port, "/user/new", {"user_id": "benchmark", "auto_create_key": False, **_LIMITS})
    member = {"role": "user", "user_id": user["user_id"]}
    team = post(port, "/team/new", {"team_alias": "benchmark", "members_with_roles": [member], **_LIMITS})
    owners = {"user_id": user["user_id"], "team_id": team["team_id"]}
    key = post(port, "/key/generate", {"key_alias": "benchmark", **owners, **_LIMITS})
    return str(key["key"])


def _configuration(upstreams: Sequence[UpstreamWire], upstream_port: int) -> dict[str, object]:
    models = [
        {"model_name": wire.model, "litellm_params": {**deployment, wire.address_key: f"http://{HOST}:{upstream_port}"}}
        for wire in {wire.model: wire for wire in upstreams}.values()
        for deployment in wire.deployments
    ]
    return {"model_list": models}


def _environment(home: Path) -> dict[str, str]:
    """This process's environment without what would change the gateway's database, keys, credentials or way out."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "SEKISHO_", "LITELLM_", "DATABASE_URL")) and not name.lower().endswith("_proxy")
    }
    return {**kept, "SEKISHO_HOME": str(home)}


def _wait_until_alive(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    until = time.perf_counter() + _START_SECONDS
    while not _is_alive(port):
        if process.poll() is not None or time.perf_counter() > until:
            raise BenchmarkFailed(f"Sekisho did not start; its last words:\n{output.read_text()[-2000:]}")
        time.sleep(_POLL_SECONDS)


def _is_alive(port: int) -> bool:
    try:
        with _DIRECT.open(f"http://{HOST}:{port}/health/liveliness", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def post(port: int, path: str, body: Mapping[str, object]) -> dict[str, object]:
    """What the admin API answers to a POST. Raises BenchmarkFailed when it refuses."""
    status, answer = ask(port, path, msgspec.json.encode(body))
    if status != 200:
        raise BenchmarkFailed(f"POST {path} was refused with {status}: {answer[:500].decode()}")
    return msgspec.json.decode(answer, type=dict[str, object])


def ask(port: int, path: str, body: bytes | None = None, key: str = _MASTER_KEY) -> tuple[int, bytes]:
    """Status and body of the answer to a POST, or to a GET without a body."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(f"http://{HOST}:{port}{path}", data=body, headers=headers)
    try:
        with _DIRECT.open(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
