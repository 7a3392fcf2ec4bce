"""What all connections of one server share."""

import asyncio
import time
from email.utils import formatdate
from typing import Any, Final, Protocol

from sekisho.http.asgi import Application
from sekisho.http.outbox import Outbox

KEEP_ALIVE_SECONDS: Final = 75.0


class ServerConnection(Protocol):
    """A connection from a client."""

    def shutdown(self) -> None:
        """Take no new requests, and end when those under way are done."""
        ...


class ServerState:
    """The application, the connections that stand and the requests under way. `draining` when the server stops."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.connections: set[ServerConnection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.draining = False
        self.outbox = Outbox()
        self._second = 0
        self._date = b""

    @property
    def date(self) -> bytes:
        """The time of day as the Date header has it (RFC 9110 section 6.6.1)."""
        now = int(time.time())
        if now != self._second:
            self._second, self._date = now, formatdate(now, usegmt=True).encode()
        return self._date


def describe(transport: asyncio.BaseTransport) -> dict[str, Any]:
    """What the scopes of all requests of a connection have in common."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
        "server": _address(transport.get_extra_info("sockname")),
        "client": _address(transport.get_extra_info("peername")),
        "root_path": "",
    }


def _address(name: Any) -> tuple[str, int] | None:
    """An address of asyncio's, which has two parts, four with IPv6, and is a text for Unix sockets."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) and len(name) >= 2 else None
