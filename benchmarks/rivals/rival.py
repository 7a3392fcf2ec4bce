"""What the benchmark has to know of another gateway."""

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from benchmarks.gateways import clean_environment
from benchmarks.measure import Target
from benchmarks.servers import HOST, Started, free_port, run_server


class Launch(Struct, frozen=True, kw_only=True):
    """How it is started, and what clients must send for the upstream's sake."""

    command: Sequence[str]
    environment: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}


class Rival(Struct, frozen=True, kw_only=True):
    """Another gateway.

    `models` are its names for the wires' models. `prepare` is given an empty folder for its files, the port that it
    is to listen on, and the upstream's address. A GET of `alive` is answered with 200 when it serves; None says that it
    chooses a port by itself and prints the address when it serves. `path` stands before the API's own.
    """

    name: str
    version: str
    models: Mapping[str, str]
    prepare: Callable[[Path, int, str], Launch]
    alive: str | None
    path: str = ""
    api_key: str = "none"

    @contextmanager
    def run(self, home: Path, upstream_port: int) -> Iterator[tuple[Started, Target]]:
        """The gateway for the length of a `with`."""
        home.mkdir()
        port = free_port()
        launch = self.prepare(home, port, f"http://{HOST}:{upstream_port}")
        environment = {**clean_environment(), "HOME": str(home), **launch.environment}
        with run_server(launch.command, environment, home, port, self.alive) as started:
            yield (
                started,
                Target(
                    name=self.name,
                    host=HOST,
                    port=started.port,
                    path=self.path,
                    group=started.group,
                    api_key=self.api_key,
                    headers=launch.headers,
                    models=self.models,
                    rival=True,
                ),
            )


def ask_version(*command: str | Path) -> str:
    """The last word of what a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=clean_environment())
    return ((done.stdout + done.stderr).split() or ["?"])[-1]
