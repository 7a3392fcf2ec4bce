"""What connections leave behind when they end: nothing that only the garbage collector could free."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from sekisho.http.asgi import LINE, Receive, Scope, Send
from sekisho.http.client import UpstreamClient
from sekisho.http.failures import Timeouts
from sekisho.http.http1 import Http1Protocol
from sekisho.http.state import ServerState

REQUEST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nho"


class _Wire(asyncio.Transport):
    """A transport that sends nothing."""

    closed = False

    def write(self, data: Any) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


async def answer(scope: Scope, _receive: Receive, _send: Send) -> None:
    scope["extensions"][LINE].answer(200, [], b"ho")


async def wait_for_ever(scope: Scope, _receive: Receive, _send: Send) -> None:
    await scope["extensions"][LINE].read_body(1_000, 10.0)


@pytest.mark.parametrize("requests", [0, 1, 3])
async def test_a_connection_from_a_client(requests: int) -> None:
    state = ServerState(answer)
    protocol = Http1Protocol(state)
    protocol.connection_made(_Wire())
    for _ in range(requests):
        protocol.data_received(REQUEST)
        await asyncio.gather(*state.tasks)
    await asyncio.sleep(0)
    protocol.connection_lost(None)
    ended = weakref.ref(protocol)
    del protocol
    assert ended() is None


async def test_a_client_that_leaves_in_the_middle_of_its_request() -> None:
    state = ServerState(wait_for_ever)
    protocol, wire = Http1Protocol(state), _Wire()
    protocol.connection_made(wire)
    protocol.data_received(REQUEST[:-1])
    await asyncio.sleep(0)
    wire.closed = True
    protocol.connection_lost(None)
    await asyncio.gather(*state.tasks)
    ended = weakref.ref(protocol)
    del protocol
    await asyncio.sleep(0)
    assert ended() is None


async def test_a_connection_to_an_upstream() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\nhi")
        writer.write(ANSWER)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, asyncio.timeout(20):
        client = UpstreamClient()
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        response = await client.post(url, {}, b"hi", Timeouts())
        assert await response.read(10) == b"ho"
        (connection,) = client._standing
        ended = asyncio.Event()
        kept = weakref.ref(connection, lambda _: ended.set())
        del connection, response
        await client.close()
        await ended.wait()
        assert kept() is None
