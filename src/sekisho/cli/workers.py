"""Several processes on one listening socket, watched over by their parent.

The parent serves no calls. It hands each worker the listening socket and, through its standard input, the settings:
they hold secrets, which neither arguments nor the environment would keep. A worker that dies is replaced; one whose
standard input closes has lost its parent and stops.
"""

import asyncio
import contextlib
import logging
import socket
import sys

import msgspec
import uvloop

from sekisho.assembly import Settings, assemble
from sekisho.cli.sockets import stop_on_signals
from sekisho.gateway.server import Server
from sekisho.telemetry.log import configure_logging

_RESTART_SECONDS = 1.0
_log = logging.getLogger("sekisho")


async def run_workers(count: int, settings: Settings, listener: socket.socket, stopping: asyncio.Event) -> None:
    """Keep `count` workers running until `stopping` is set; then wait until they have finished."""
    await asyncio.gather(*(_keep_worker(settings, listener, stopping) for _ in range(count)))


async def _keep_worker(settings: Settings, listener: socket.socket, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sekisho.cli.workers", str(listener.fileno())),
            stdin=asyncio.subprocess.PIPE,
            pass_fds=(listener.fileno(),),
        )
        assert worker.stdin is not None
        worker.stdin.write(msgspec.json.encode(settings) + b"\n")
        ended = asyncio.create_task(worker.wait())
        told = asyncio.create_task(stopping.wait())
        await asyncio.wait((ended, told), return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        worker.stdin.close()
        status = await ended
        if not stopping.is_set():
            _log.error("a worker ended with status %s and is replaced", status)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _RESTART_SECONDS)


async def _work(settings: Settings, listener: socket.socket) -> None:
    stopping = stop_on_signals()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stopping.set)
    app = await assemble(settings)
    try:
        await Server(app).run_until(stopping, listener)
    finally:
        await app.close()


def main() -> None:
    """Be one worker: the listening socket's number is the argument, the settings come as the first line of input."""
    configure_logging()
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings)
    listener = socket.socket(fileno=int(sys.argv[1]))
    uvloop.run(_work(settings, listener))


if __name__ == "__main__":
    main()
