"""Run a real agent headless: nothing of the caller's environment but the search path, no way out, nothing left behind.

Shell commands of agents run in sessions of their own, out of reach of a signal to the process group, so every process
of a run is found again by a marker in its environment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_MARKER: Final = "SEKISHO_AGENT_RUN"
# A proxy nobody listens on: what an agent would fetch from the internet fails at once, without a DNS lookup.
_DEAD_PROXY: Final = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class CompletedRun:
    """What is left of one run. `exit_code` is negative the number of the signal that ended it (-9 after a timeout)."""

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool


def run_agent(
    command: Sequence[str], *, workdir: Path, home: Path, base_url: str, environment: Mapping[str, str], timeout: float
) -> CompletedRun:
    """Run one task to its end. All of the agent's state goes to `home`; only the gateway can be reached directly."""
    home.mkdir(parents=True, exist_ok=True)
    marker = uuid.uuid4().hex
    variables = {**_isolated(home, base_url), **environment, _MARKER: marker}
    # Files, not pipes: a forgotten background process holding a pipe open would block the reader.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            command,
            cwd=workdir,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        timed_out = False
        try:
            process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            _kill_run(process, marker)
        return CompletedRun(process.returncode, _text(out.fileno()), _text(err.fileno()), timed_out)


def _isolated(home: Path, base_url: str) -> dict[str, str]:
    direct = ",".join(["127.0.0.1", "localhost", "::1", urlsplit(base_url).hostname or "localhost"])
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home.resolve()),
        "LANG": "C.UTF-8",
        **dict.fromkeys(("HTTPS_PROXY", "https_proxy"), _DEAD_PROXY),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), direct),
    }


def _kill_run(process: subprocess.Popen[bytes], marker: str) -> None:
    """Kill the process group of a run, then whatever left the group but still carries the marker."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    needle = f"{_MARKER}={marker}".encode()
    for _ in range(20):  # again, in case one of them forked in between
        survivors = [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _carries(entry, needle)]
        if not survivors:
            return
        for pid in survivors:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _carries(process: Path, needle: bytes) -> bool:
    """Tell whether a process, given as its folder in /proc, has this assignment in its environment."""
    try:
        return needle in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _text(descriptor: int) -> str:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")
