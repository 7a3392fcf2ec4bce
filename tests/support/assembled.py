"""The whole gateway in the test's process, over real HTTP, at a time that the test moves."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sekisho.assembly import Application, Settings, assemble
from sekisho.config import load
from sekisho.core.clock import ManualClock
from sekisho.core.target import Counterpart
from sekisho.simulator.app import build_simulator
from sekisho.simulator.settings import DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY, SimulatorSettings
from tests.support.gateway import MASTER_KEY, Answer, Simulator, call
from tests.support.servers import serve_app


@dataclass
class Assembled:
    """A running gateway. Called with the master key unless told otherwise."""

    url: str
    clock: ManualClock
    simulator: Simulator

    def get(self, path: str) -> Answer:
        return call(self.url + path, key=MASTER_KEY)

    def post(self, path: str, body: object, key: str = MASTER_KEY) -> Answer:
        return call(self.url + path, body, key)

    def make_key(self, **fields: object) -> str:
        answer = self.post("/key/generate", fields)
        assert answer.status == 200, answer.body
        key: str = answer.json()["key"]
        return key

    def chat(self, key: str, text: str = '[[sim: {"text": "short"}]]', **more: object) -> Answer:
        body = {"model": "sonnet", "messages": [{"role": "user", "content": text}], **more}
        return self.post("/v1/chat/completions", body, key)


@contextmanager
def run_assembled(folder: Path, config: str, database_url: str, *, workers: int = 2) -> Iterator[Assembled]:
    """Serves until the block is left, with a counterpart of its own. `workers` is what it thinks that there are."""
    clock = ManualClock()
    with serve_app(build_simulator(SimulatorSettings(), clock)) as simulator:
        app = _build(folder, config, simulator, database_url, clock, workers)
        with serve_app(app) as url:
            yield Assembled(url, clock, Simulator(simulator))


def _build(
    folder: Path, config: str, simulator: str, database_url: str, clock: ManualClock, workers: int
) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """The gateway, which starts and stops with the server that it is served by."""
    file = folder / "config.yaml"
    file.write_text(config)
    counterpart = Counterpart(url=simulator, access_key_id=DEFAULT_ACCESS_KEY, secret_access_key=DEFAULT_SECRET_KEY)
    settings = Settings(
        snapshot=load(file, {}).snapshot,
        master_key=MASTER_KEY,
        database_url=database_url,
        spool=str(folder / "spool"),
        workers=workers,
        counterpart=counterpart,
    )
    running: list[Application] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await running[0](scope, receive, send)
            return
        await receive()
        running.append(await assemble(settings, clock))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await running[0].close()
        await send({"type": "lifespan.shutdown.complete"})

    return app
