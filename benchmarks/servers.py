"""Run what is measured: a server as a process group of its own, until the first answer and on."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from benchmarks.processes import ProcessGroup

HOST = "127.0.0.1"
ROOT = Path(__file__).parent.parent
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy stands before the loopback

_START_SECONDS = 120.0
_STOP_SECONDS = 40.0
_POLL_SECONDS = 0.005


class BenchmarkFailed(Exception):
    """Something that is measured did not work; the message says what."""


class Started(Struct, frozen=True, kw_only=True):
    """A server that answers: where, the group of its processes, and what its start took."""

    port: int
    group: ProcessGroup
    start_seconds: float
    start_cpu_seconds: float


@contextmanager
def run_helper(module: str, *options: str) -> Iterator[tuple[int, ProcessGroup]]:
    """A module of the benchmark that prints its port, for the length of a `with`: the port and its process."""
    command = (sys.executable, "-m", module, *options)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise BenchmarkFailed(f"{module} did not start; its own message stands above")
            yield int(line), ProcessGroup(process.pid)
        finally:
            process.terminate()


@contextmanager
def run_server(
    command: Sequence[str], environment: Mapping[str, str], home: Path, port: int, alive: str | None
) -> Iterator[Started]:
    """A server for the length of a `with`; its output is in `home`/output.

    `environment` is all it is given. It has started when a GET of `alive` is answered with 200; without `alive`, when
    it has printed an address, whose port is then its port.
    """
    with (home / "output").open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            port = _wait_until_alive(process, port, alive, home / "output")
            seconds, group = time.perf_counter() - began, ProcessGroup(process.pid)
            yield Started(port=port, group=group, start_seconds=seconds, start_cpu_seconds=group.cpu_seconds())
        finally:
            _stop(process)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_alive(process: subprocess.Popen[bytes], port: int, alive: str | None, output: Path) -> int:
    """Returns the port at which it answers."""
    until = time.perf_counter() + _START_SECONDS
    while True:
        if alive is None:
            if printed := re.search(rf"http://{re.escape(HOST)}:(\d+)", output.read_text(errors="replace")):
                return int(printed[1])
        elif _is_alive(f"http://{HOST}:{port}{alive}"):
            return port
        if process.poll() is not None or time.perf_counter() > until:
            last = output.read_text(errors="replace")[-2000:]
            raise BenchmarkFailed(f"{process.args!s} did not start; its last words:\n{last}")
        time.sleep(_POLL_SECONDS)


def _is_alive(url: str) -> bool:
    try:
        with DIRECT.open(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:  # refused, or HTTPError: not yet
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End it, and what is left of its group."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
