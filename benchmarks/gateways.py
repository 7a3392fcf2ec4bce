"""Start Sekisho before the cheap upstream, with everything on, and a key under budgets and limits at every level."""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec

from benchmarks.processes import ProcessGroup
from benchmarks.servers import DIRECT, HOST, ROOT, BenchmarkFailed, Started, free_port, run_helper, run_server
from benchmarks.wires import UpstreamWire

__all__ = ["HOST", "ROOT", "BenchmarkFailed", "Started"]

MASTER_KEY = "sk-benchmark-master-key"
# So high that no load reaches them, and yet counted for every request.
_LIMITS = {"max_budget": 1e6, "budget_duration": "30d", "rpm_limit": 10**8, "tpm_limit": 10**12}


def run_upstream(port: int, events: int, interval: float) -> AbstractContextManager[tuple[int, ProcessGroup]]:
    """The cheap upstream for the length of a `with`: its port and its process."""
    options = ("--port", str(port), "--events", str(events), "--interval", str(interval))
    return run_helper("benchmarks.upstream", *options)


@contextmanager
def run_sekisho(
    home: Path,
    upstreams: Sequence[UpstreamWire],
    upstream_port: int,
    environment: Mapping[str, str] | None = None,
    workers: int = 1,
) -> Iterator[Started]:
    """Sekisho in front of the cheap upstream, as `run_configured`."""
    with run_configured(home, _configuration(upstreams, upstream_port), environment, workers) as started:
        yield started


@contextmanager
def run_configured(
    home: Path,
    configuration: Mapping[str, object],
    environment: Mapping[str, str] | None = None,
    workers: int = 1,
) -> Iterator[Started]:
    """Sekisho on the data folder `home`, for the length of a `with`; its output is in `home`/output.

    `environment` has further variables for it, such as `DATABASE_URL`.
    """
    home.mkdir(exist_ok=True)
    config, port = home / "config.yaml", free_port()
    general = {"general_settings": {"master_key": MASTER_KEY}}
    config.write_text(json.dumps({**configuration, **general}))  # JSON is YAML
    where = ("--config", str(config), "--port", str(port), "--workers", str(workers))
    command = (sys.executable, "-m", "sekisho", "serve", *where)
    known = {**clean_environment(), "SEKISHO_HOME": str(home), **(environment or {})}
    with run_server(command, known, home, port, "/health/liveliness") as started:
        yield started


def make_key(port: int) -> str:
    """A virtual key of a user in a team of an organisation; each of the four has a budget, RPM and TPM."""
    organization = post(port, "/organization/new", {"organization_alias": "benchmark", **_LIMITS})["organization_id"]
    user = post(port, "/user/new", {"user_id": "benchmark", "auto_create_key": False, **_LIMITS})
    member = {"role": "user", "user_id": user["user_id"]}
    fields = {"team_alias": "benchmark", "organization_id": organization, "members_with_roles": [member]}
    team = post(port, "/team/new", {**fields, **_LIMITS})
    owners = {"user_id": user["user_id"], "team_id": team["team_id"]}
    key = post(port, "/key/generate", {"key_alias": "benchmark", **owners, **_LIMITS})
    return str(key["key"])


def check_all_was_on(started: Started, key: str) -> None:
    """Raise BenchmarkFailed if calls were not charged, logged, counted or traced."""
    _, info = ask(started.port, f"/key/info?key={key}")
    _, rows = ask(started.port, "/spend/logs?summarize=false&page_size=1")
    _, metrics = ask(started.port, "/metrics")
    exported = [line for line in metrics.decode().splitlines() if line.startswith("sekisho_exported_calls_total{")]
    traces = {
        "spend": msgspec.json.decode(info)["info"]["spend"],
        "usage row": len(msgspec.json.decode(rows)),
        "metric": metrics.count(b"litellm_proxy_total_requests_metric_total{"),
        "span": sum(float(line.rpartition(" ")[2]) for line in exported if 'outcome="exported"' in line),
    }
    if missing := [name for name, found in traces.items() if not found]:
        raise BenchmarkFailed(f"not everything was on: calls left no {', no '.join(missing)}")
    if given_up := [line for line in exported if 'outcome="exported"' not in line and not line.endswith(" 0")]:
        print(f"benchmarks: spans were given up: {given_up}", file=sys.stderr)


def clean_environment() -> dict[str, str]:
    """This process's environment without what would change a gateway's database, keys, credentials or way out.

    Python is to keep its bytecode, as it does for an installed package.
    """
    foreign = ("AWS_", "SEKISHO_", "LITELLM_", "DATABASE_URL", "OTEL_", "LANGFUSE_", "PYTHONDONTWRITEBYTECODE")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(foreign) and not name.lower().endswith("_proxy")
    }


def post(port: int, path: str, body: Mapping[str, object]) -> dict[str, object]:
    """What the admin API answers to a POST. Raises BenchmarkFailed when it refuses."""
    status, answer = ask(port, path, msgspec.json.encode(body))
    if status != 200:
        raise BenchmarkFailed(f"POST {path} was refused with {status}: {answer[:500].decode()}")
    return msgspec.json.decode(answer, type=dict[str, object])


def ask(port: int, path: str, body: bytes | None = None, key: str = MASTER_KEY) -> tuple[int, bytes]:
    """Status and body of the answer to a POST, or to a GET without a body."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(f"http://{HOST}:{port}{path}", data=body, headers=headers)
    try:
        with DIRECT.open(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def _configuration(upstreams: Sequence[UpstreamWire], upstream_port: int) -> dict[str, object]:
    models = [
        {"model_name": wire.model, "litellm_params": {**deployment, wire.address_key: f"http://{HOST}:{upstream_port}"}}
        for wire in {wire.model: wire for wire in upstreams}.values()
        for deployment in wire.deployments
    ]
    return {"model_list": models, "litellm_settings": {"callbacks": ["prometheus"]}}
