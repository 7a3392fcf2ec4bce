"""Clients that read slowly hold their upstream back, so that what they have not read waits there and not in memory."""

import asyncio
import socket
from pathlib import Path

import httptools
import pytest
from tests.support.gateway import MASTER_KEY, run_gateway
from tests.support.raw_upstream import Upstream, running

CONFIG = """
model_list:
  - model_name: open
    litellm_params: {{model: openai/open, api_base: "http://127.0.0.1:{port}/v1", api_key: none}}
general_settings: {{master_key: {key}}}
"""
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
EVENTS = 20_000
REQUEST = b'{"model":"open","stream":true,"messages":[{"role":"user","content":"Hello"}]}'


def event(number: int) -> bytes:
    text = f"{number:06}" + "x" * 2_000
    return b'data: {"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n' % text.encode()


class Telling:
    """An upstream that sends as fast as it may."""

    def __init__(self) -> None:
        self.sent = 0
        self.dropped = asyncio.Event()

    async def __call__(self, upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.read(reader)
        writer.write(HEAD)
        try:
            for self.sent in range(EVENTS):
                part = event(self.sent)
                writer.write(b"%x\r\n%b\r\n" % (len(part), part))
                await writer.drain()
        except ConnectionError:
            self.dropped.set()
        else:
            writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(END), END))


class Collecting:
    """What the parser of an answer finds."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.complete = False

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.complete = True


async def come_to_halt(telling: Telling) -> None:
    """Wait until the upstream has sent something, and then no more for a while."""
    last = -1
    while telling.sent == 0 or telling.sent != last:
        last = telling.sent
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_client_that_reads_nothing_holds_the_upstream_back(tmp_path: Path, leaves: bool) -> None:
    telling = Telling()
    async with running(telling) as upstream:
        config = CONFIG.format(port=upstream.port, key=MASTER_KEY)
        manager = run_gateway(tmp_path / "home", config)
        gateway = await asyncio.to_thread(manager.__enter__)
        try:
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(("127.0.0.1", int(gateway.url.rpartition(":")[2])))
                client.setblocking(False)
                head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {MASTER_KEY}\r\n"
                head += f"content-length: {len(REQUEST)}\r\n\r\n"
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(client, head.encode() + REQUEST)
                await come_to_halt(telling)
                assert telling.sent < EVENTS // 2
                if leaves:
                    client.close()
                    await telling.dropped.wait()
                    return
                collecting = Collecting()
                parser = httptools.HttpResponseParser(collecting)
                while not collecting.complete:
                    parser.feed_data(await loop.sock_recv(client, 1 << 20))
            assert bytes(collecting.body) == b"".join(map(event, range(EVENTS))) + END
        finally:
            await asyncio.to_thread(manager.__exit__, None, None, None)
