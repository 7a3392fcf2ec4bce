"""Several processes on one listening socket, watched over by their parent.

The parent serves no calls. It hands each worker the listening socket and, through its standard input, the settings:
they hold secrets, which neither arguments nor the environment would keep. Each line that follows is a configuration to
use from then on. A worker that dies is replaced; one whose standard input closes has lost its parent and stops.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable

import msgspec
import uvloop

from sekisho.assembly import Application, Settings, assemble
from sekisho.cli.allocating import giving_back, keep_one_heap
from sekisho.cli.collecting import collect_seldom
from sekisho.cli.signals import stop_on_signals
from sekisho.cli.tls import Certificate
from sekisho.config.snapshot import Snapshot
from sekisho.http.server import Server
from sekisho.telemetry.log import configure_logging

_RESTART_SECONDS = 1.0
_LONGEST_LINE = 256 * 1024 * 1024
_log = logging.getLogger("sekisho")


class Workers:
    """The workers of one gateway."""

    def __init__(
        self, count: int, settings: Settings, listener: socket.socket, certificate: Certificate | None = None
    ) -> None:
        self._count = count
        self._settings = settings
        self._listener = listener
        self._certificate = [certificate.chain, *filter(None, [certificate.key])] if certificate is not None else []
        self._inputs: set[asyncio.StreamWriter] = set()

    async def run_until(self, stopping: asyncio.Event) -> None:
        """Keep the workers running until `stopping` is set; then wait until they have finished."""
        await asyncio.gather(*(self._keep_one(stopping) for _ in range(self._count)))

    def adopt(self, snapshot: Snapshot) -> None:
        """Have all workers use this configuration, those too that will replace others."""
        self._settings = msgspec.structs.replace(self._settings, snapshot=snapshot)
        line = _write_line(snapshot)
        for writer in self._inputs:
            writer.write(line)

    async def _keep_one(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sekisho.cli.workers", str(self._listener.fileno()), *self._certificate),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(self._listener.fileno(),),
            )
            assert worker.stdin is not None
            worker.stdin.write(_write_line(self._settings))
            self._inputs.add(worker.stdin)
            ended = asyncio.create_task(worker.wait())
            told = asyncio.create_task(stopping.wait())
            await asyncio.wait((ended, told), return_when=asyncio.FIRST_COMPLETED)
            told.cancel()
            self._inputs.discard(worker.stdin)
            worker.stdin.close()
            status = await ended
            if not stopping.is_set():
                _log.error("a worker ended with status %s and is replaced", status)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), _RESTART_SECONDS)


def _write_line(message: Settings | Snapshot) -> bytes:
    return msgspec.json.encode(message) + b"\n"


async def _work(listener: socket.socket, certificate: Certificate | None) -> None:
    stopping = stop_on_signals()
    orders = asyncio.StreamReader(limit=_LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    app = await assemble(msgspec.json.decode(await orders.readline(), type=Settings), spread=_have_parent_reload)
    collect_seldom()
    tls = certificate.open() if certificate is not None else None

    def renew() -> None:
        if certificate is not None and tls is not None:
            certificate.renew(tls)

    following = asyncio.create_task(_follow_orders(orders, app, renew, stopping), name="orders")
    try:
        with giving_back():
            await Server(app, tls).run_until(stopping, listener)
    finally:
        following.cancel()
        await app.close()


async def _follow_orders(
    orders: asyncio.StreamReader, app: Application, renew: Callable[[], None], stopping: asyncio.Event
) -> None:
    """Use each configuration that the parent sends, and stop when there is no parent any more."""
    while line := await orders.readline():
        try:
            renew()
            app.reloader.adopt(msgspec.json.decode(line, type=Snapshot))
        except Exception:  # noqa: BLE001  # whatever it is, what runs must go on
            _log.exception("the configuration could not be used, so nothing has changed in this worker")
    stopping.set()


def _have_parent_reload() -> None:
    os.kill(os.getppid(), signal.SIGHUP)


def main() -> None:
    """Be one worker: the arguments are the listening socket's number and the certificate's files, if there is one.

    The settings come as the first line of input.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it is for the parent, also when a whole group is sent it
    configure_logging()
    keep_one_heap()
    certificate = Certificate(*sys.argv[2:]) if sys.argv[2:] else None
    uvloop.run(_work(socket.socket(fileno=int(sys.argv[1])), certificate))


if __name__ == "__main__":
    main()
