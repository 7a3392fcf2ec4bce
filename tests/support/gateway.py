"""The product as its users start it: `sekisho serve` and `sekisho simulate bedrock` as processes, called over HTTP."""

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from sekisho.simulator.settings import DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY

MASTER_KEY = "sk-master-of-the-tests-0123456789"
_START_SECONDS = 30


@dataclass
class Answer:
    """What came back: status, lower-case headers, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def call(
    url: str,
    body: object | bytes | None = None,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
) -> Answer:
    """GET, or POST when there is a body, or another method. Error statuses are answers too."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = {
        "Content-Type": "application/json",
        **({"Authorization": f"Bearer {key}"} if key else {}),
        **(headers or {}),
    }
    try:
        with urlopen(Request(url, data=data, headers=sent, method=method), timeout=60) as response:
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, response.read())
    except HTTPError as error:
        with error:
            return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())


@dataclass
class Simulator:
    """A running counterpart of Bedrock."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """What makes an AWS client use it."""
        return {
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.url,
            "AWS_ENDPOINT_URL_STS": self.url,
            "AWS_ACCESS_KEY_ID": DEFAULT_ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": DEFAULT_SECRET_KEY,
        }

    def fault(self, match: dict[str, str], fault: dict[str, object], times: int | None = None) -> None:
        rule = {"match": match, "fault": fault, **({"times": times} if times is not None else {})}
        assert call(f"{self.url}/_simulator/faults", rule).status == 200

    def calls(self) -> list[dict[str, Any]]:
        """Every model call seen, oldest first."""
        calls: list[dict[str, Any]] = call(f"{self.url}/_simulator/calls").json()["calls"]
        return calls

    def reset(self) -> None:
        for what in ("faults", "calls"):
            with urlopen(Request(f"{self.url}/_simulator/{what}", method="DELETE"), timeout=10):
                pass


@dataclass
class Gateway:
    """A running gateway. `output` is what it has printed on standard output until it was ready."""

    url: str
    process: "subprocess.Popen[str]"
    output: str
    home: Path
    master_key: str = MASTER_KEY
    _errors: Path = field(default=Path())

    def get(self, path: str, key: str | None = None, **headers: str) -> Answer:
        return call(self.url + path, key=key or self.master_key, headers=headers)

    def post(self, path: str, body: object | bytes, key: str | None = None, **headers: str) -> Answer:
        return call(self.url + path, body, key=key or self.master_key, headers=headers)

    def make_key(self, **fields: object) -> str:
        answer = self.post("/key/generate", fields)
        assert answer.status == 200, answer.body
        key: str = answer.json()["key"]
        return key

    def errors(self) -> str:
        """Its log so far."""
        return self._errors.read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it and wait; returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)


@contextlib.contextmanager
def run_simulator() -> Iterator[Simulator]:
    with _start(["simulate", "bedrock", "--port", "0"], {}, Path(os.devnull), r"Bedrock at (http://\S+)") as (url, *_):
        yield Simulator(url)


@contextlib.contextmanager
def run_gateway(
    home: Path,
    config: Path | str | None = None,
    environment: Mapping[str, str] | None = None,
    master_key: str | None = MASTER_KEY,
    workers: int = 1,
    arguments: tuple[str, ...] = (),
) -> Iterator[Gateway]:
    """Serves on a free port until the block is left. `config` may be a file or its text."""
    home.mkdir(exist_ok=True)
    if isinstance(config, str):
        path = home / "config.yaml"
        path.write_text(config)
        config = path
    command = ["serve", "--port", "0", "--workers", str(workers), *arguments]
    command += ["--config", str(config)] if config else []
    variables = {"SEKISHO_HOME": str(home), "HOME": str(home), **(environment or {})}
    if master_key:
        variables["SEKISHO_MASTER_KEY"] = master_key
    log = home / "stderr.log"
    with _start(command, variables, log, r"ready at (https?://\S+)[\s\S]*\n\n\Z") as (url, process, output):
        made = home / "master.key"
        known = master_key or (made.read_text().strip() if made.exists() else "")
        yield Gateway(url, process, output, home, known, log)


@contextlib.contextmanager
def _start(
    arguments: list[str], environment: Mapping[str, str], errors: Path, ready: str
) -> Iterator[tuple[str, "subprocess.Popen[str]", str]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SEKISHO", "LITELLM"))}
    clean.pop("DATABASE_URL", None)
    with errors.open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sekisho", *arguments],
            env={**clean, "AWS_EC2_METADATA_DISABLED": "true", **environment},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    try:
        output = _read_until(process, ready)
        found = re.search(ready, output)
        if found is None:
            status = process.poll()
            raise AssertionError(f"did not become ready (status {status}): {output}\n{_tail(errors)}")
        yield found.group(1), process, output
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(45)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _read_until(process: "subprocess.Popen[str]", ready: str) -> str:
    assert process.stdout is not None
    output, deadline = "", time.monotonic() + _START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not re.search(ready, output) and selector.select(max(0.0, deadline - time.monotonic())):
            chunk = os.read(process.stdout.fileno(), 65536).decode()
            if not chunk:
                break
            output += chunk
    return output


def _tail(path: Path) -> str:
    return path.read_text()[-3000:] if path.is_file() else ""
