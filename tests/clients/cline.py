"""Install and drive the real Cline CLI, headless and without any state outside a given folder.

Facts the driver relies on (Cline 3.0.65):

* the npm package ``cline`` is a thin Node launcher; the program itself is a self-contained binary in
  the optional dependency ``@cline/cli-<os>-<arch>``, which is what :func:`install_cline` returns;
* providers live in ``~/.cline/data/settings/providers.json``. ``cline auth`` takes a base URL only for
  the OpenAI providers, so the file is written directly;
* without ``CLINE_SESSION_BACKEND_MODE=local`` a hub daemon is started that outlives the run;
* shell commands of the agent run in sessions of their own, out of reach of a signal to the process
  group, so every process of a run is found again by a marker in its environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

CLINE_VERSION: Final = "3.0.65"
"""The pinned version of the npm package ``cline``."""

Provider = Literal["openai", "litellm"]
"""How Cline talks to the gateway: plain OpenAI chat completions, or LiteLLM's variant of them."""

_CACHE_DIR: Final = Path(__file__).resolve().parents[1] / ".cache"
_INSTALL_TIMEOUT_S: Final = 600.0
_MARKER: Final = "SEKISHO_CLINE_RUN"
_PROVIDER_IDS: Final[Mapping[Provider, str]] = {"openai": "openai-compatible", "litellm": "litellm"}
# A proxy nobody listens on: what Cline would fetch from the internet fails at once, without a DNS lookup.
_DEAD_PROXY: Final = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class CompletedCline:
    """What is left of one Cline run."""

    exit_code: int
    """Exit code; negative the number of the signal that ended it (after a timeout, -9)."""
    stdout: str
    """Standard output as written, with colour escapes unless ``--json`` was asked for."""
    stderr: str
    """Standard error as written; in "openai" mode it holds deprecation warnings of the AI SDK."""
    timed_out: bool
    """Whether the run was killed because the time was up."""
    duration: float
    """Wall-clock seconds."""


def install_cline() -> Path | None:
    """Install the pinned Cline into the test cache, once, and return the path of its binary.

    Returns None when there is no npm, when there is no Cline for this platform, or when the
    registry cannot be reached. Safe to call from several processes at the same time: one installs, the
    others wait, and a half-finished installation is never visible under the final name.
    """
    target = _CACHE_DIR / f"cline-{CLINE_VERSION}"
    if (binary := _binary_in(target)) is not None:
        return binary
    npm = shutil.which("npm")
    if npm is None:
        return None
    _CACHE_DIR.mkdir(parents=True, exist_ok=True)
    with _locked(_CACHE_DIR / f"cline-{CLINE_VERSION}.lock"):
        if (binary := _binary_in(target)) is not None:
            return binary
        partial = _CACHE_DIR / f"cline-{CLINE_VERSION}.partial"
        for leftover in (partial, target):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir()
        try:
            if _npm_install(npm, partial) and _binary_in(partial) is not None:
                partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return _binary_in(target)


def run_cline(
    binary: Path,
    *,
    workdir: Path,
    home: Path,
    base_url: str,
    api_key: str,
    model: str,
    prompt: str,
    provider: Provider = "openai",
    timeout: float = 120.0,
    extra_args: Sequence[str] = (),
    extra_env: Mapping[str, str] | None = None,
) -> CompletedCline:
    """Run one task to its end, with all tools approved, and leave no process behind.

    ``base_url`` is the root of the gateway. In "openai" mode Cline posts to
    ``{base_url}/v1/chat/completions``; in "litellm" mode it asks ``{base_url}/v1/model/info`` and then posts
    to ``{base_url}/chat/completions`` (or to ``/v1/chat/completions`` if ``base_url`` ends in ``/v1``).
    All of Cline's state goes to ``home``; of the caller's environment only ``PATH`` is passed on.
    """
    home.mkdir(parents=True, exist_ok=True)
    _write_settings(home, provider=provider, base_url=base_url, api_key=api_key, model=model)
    marker = uuid.uuid4().hex
    command = [
        *(str(binary.absolute()), "--provider", _PROVIDER_IDS[provider], "--model", model),
        *("--cwd", str(workdir.resolve()), "--auto-approve", "true", *extra_args, "--", prompt),
    ]
    environment = {**_environment(home, base_url), **(extra_env or {}), _MARKER: marker}
    started = time.monotonic()
    # Files, not pipes: a forgotten background process holding a pipe open would block the reader.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            command,
            cwd=workdir,
            env=environment,
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
        return CompletedCline(
            exit_code=process.returncode,
            stdout=_text(out.fileno()),
            stderr=_text(err.fileno()),
            timed_out=timed_out,
            duration=time.monotonic() - started,
        )


def _binary_in(root: Path) -> Path | None:
    """Return the platform's Cline binary below an installation, if it is there."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    binary = root / "node_modules" / "@cline" / f"cli-{sys.platform}-{machine}" / "bin" / "cline"
    return binary if os.access(binary, os.X_OK) else None


def _npm_install(npm: str, prefix: Path) -> bool:
    """Install the pinned package below ``prefix`` without running package scripts; tell if it worked."""
    (prefix / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    options = ["--ignore-scripts", "--include=optional", "--no-audit", "--no-fund"]
    options += ["--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]
    process = subprocess.Popen(
        [npm, "install", *options, f"cline@{CLINE_VERSION}"],
        cwd=prefix,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(timeout=_INSTALL_TIMEOUT_S) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        _kill_group(process)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes; the system drops it if the holder dies."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _write_settings(home: Path, *, provider: Provider, base_url: str, api_key: str, model: str) -> None:
    """Write Cline's provider and global settings into the given home folder."""
    url = base_url.rstrip("/")
    if provider == "openai" and not url.endswith("/v1"):
        url += "/v1"
    name = _PROVIDER_IDS[provider]
    settings = {"provider": name, "apiKey": api_key, "model": model, "baseUrl": url}
    entry = {"settings": settings, "updatedAt": "2026-01-01T00:00:00.000Z", "tokenSource": "manual"}
    providers = {"version": 1, "lastUsedProvider": name, "modes": {}, "providers": {name: entry}}
    folder = home / ".cline" / "data" / "settings"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "providers.json").write_text(json.dumps(providers), encoding="utf-8")
    options = {"telemetryOptOut": True, "autoUpdateEnabled": False}
    (folder / "global-settings.json").write_text(json.dumps(options), encoding="utf-8")


def _environment(home: Path, base_url: str) -> dict[str, str]:
    """Return the whole environment of a run: nothing of the caller's but the search path."""
    direct = ",".join(["127.0.0.1", "localhost", "::1", urlsplit(base_url).hostname or "localhost"])
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home.resolve()),
        "LANG": "C.UTF-8",
        "CLINE_SESSION_BACKEND_MODE": "local",
        "CLINE_NO_AUTO_UPDATE": "1",
        **dict.fromkeys(("HTTPS_PROXY", "https_proxy"), _DEAD_PROXY),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), direct),
    }


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the group of a process that has not ended yet, and reap it."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _kill_run(process: subprocess.Popen[bytes], marker: str) -> None:
    """Kill the process group of a run, then whatever left the group but still carries the marker."""
    _kill_group(process)
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
    """Read an output file from its start."""
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")
