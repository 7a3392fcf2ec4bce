"""WebSockets are refused with 426, over the server that agents reach."""

import asyncio
from typing import Any

import pytest
from tests.support.http2 import Receive, Scope, Send, serving

from sekisho.core.errors import SekishoError
from sekisho.gateway.exchange import Exchange
from sekisho.gateway.upgrade import refuse_upgrade

HANDSHAKE = (
    b"GET /v1/responses HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"OpenAI-Beta: responses_websockets=2026-02-06\r\n\r\n"
)


class Dialect:
    def write_error(self, error: SekishoError) -> bytes:
        return f'{{"error": "{error.code}"}}'.encode()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    exchange = Exchange(scope)
    dialect: Any = Dialect()
    if not refuse_upgrade(exchange, dialect):
        exchange.answer(405, [], b"")


async def test_a_websocket_handshake_gets_426_and_the_connection_goes_on() -> None:
    async with serving(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in range(2):
            writer.write(HANDSHAKE)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 426 upgrade required\r\n")
            assert b"\r\nupgrade: http/1.1\r\n" in head
            assert b"\r\nconnection: upgrade\r\n" in head
            assert await reader.readexactly(29) == b'{"error": "upgrade_required"}'
        writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n",
        b"DELETE / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
    ],
)
async def test_anything_else_is_left_alone(head: bytes) -> None:
    async with serving(app) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head + b"Host: gateway.test\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 405")
        writer.close()
