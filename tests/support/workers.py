"""The worker processes of a running gateway, called one by one."""

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

from tests.support.gateway import Gateway


def find_workers(gateway: Gateway, count: int) -> list[int]:
    """The process ids of a gateway's workers, once there are so many."""
    deadline = monotonic() + 30
    while len(workers := _children(gateway.process.pid)) < count:
        assert monotonic() < deadline, f"only {len(workers)} workers"
        sleep(0.05)
    return workers


def _children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # a process that has just ended
            _state, of, *_rest = path.read_text().rpartition(")")[2].split()
            if of == str(parent):
                found.append(int(path.parent.name))
    return sorted(found)


@contextlib.contextmanager
def connect_to(gateway: Gateway, worker: int, workers: Sequence[int]) -> Iterator[HTTPConnection]:
    """A connection to this worker. All of them listen on one socket, so the others stand still while it is made."""
    deadline = monotonic() + 60
    while (connection := _try_to_connect(gateway, [pid for pid in workers if pid != worker])) is None:
        assert monotonic() < deadline, f"worker {worker} takes no connection"
        sleep(0.5)  # one that holds a lock of the database must get to letting go of it before it stands still again
    with contextlib.closing(connection):
        yield connection


def _try_to_connect(gateway: Gateway, others: Sequence[int]) -> HTTPConnection | None:
    """None when one of the others has taken the connection before it stood still, or holds a lock of the database."""
    connection = HTTPConnection(urlsplit(gateway.url).netloc, timeout=2)
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        connection.request("GET", "/health/liveliness")
        connection.getresponse().read()
    except TimeoutError:
        connection.close()
        return None
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)
    connection.sock.settimeout(60)
    return connection
