"""HTTP/2 from clients that break the protocol or abuse it."""

import asyncio
import logging

import pytest
from h2 import events
from h2.errors import ErrorCodes
from hpack import Encoder
from hyperframe.frame import PingFrame, SettingsFrame
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.http2 import Client, Receive, Scope, Send, serving

from sekisho.http.http2 import Http2Protocol
from sekisho.http.http2_limits import RateLimit
from sekisho.http.server import PREFACE
from sekisho.http.state import ServerState


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def test_too_many_resets_end_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(echo) as server, Client.connected(server.port) as client:
        await client.until(events.RemoteSettingsChanged)
        for _ in range(300):
            client.h2.reset_stream(client.request(end=False))
            client.flush()
        ended = await client.until(events.ConnectionTerminated)
        assert ended.error_code == ErrorCodes.ENHANCE_YOUR_CALM
        await client.hung_up()


async def test_headers_have_a_limit() -> None:
    async with serving(echo) as server, Client.connected(server.port) as client:
        client.request(x_long="x" * 70_000)
        ended = await client.until(events.ConnectionTerminated)
        assert ended.error_code == ErrorCodes.ENHANCE_YOUR_CALM


async def test_a_path_that_is_no_path_costs_its_stream_only() -> None:
    async with serving(echo) as server, Client.connected(server.port) as client:
        bad = client.request("/ü")
        assert (await client.until(events.StreamReset, bad)).error_code == ErrorCodes.PROTOCOL_ERROR
        assert (await client.answer(client.request("/good")))[0] == 200


@pytest.mark.parametrize(
    "frame",
    [
        b"\x00\x00\x04\x08\x00\x00\x00\x00\x01\x00\x00\x00\x00",  # a window update by nothing, for an idle stream
        b"\x00\x00\x01\x00\x00\x00\x00\x00\x07x",  # a body without a request
        b"\x00\x00\x05\x06\x00\x00\x00\x00\x00xxxxx",  # a ping of the wrong length
        b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 100,  # longer than allowed; cut short, too
        b"\x00\x00\x03\x01\x04\x00\x00\x00\x01\xff\xff\xff",  # no header block
    ],
)
async def test_frames_against_the_protocol_end_the_connection_quietly(
    frame: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(echo) as server, Client.connected(server.port) as client:
        await client.until(events.RemoteSettingsChanged)
        client.write(frame)
        if frame.startswith(b"\xff"):
            client.write(b"x" * (2**24))
        await client.until(events.ConnectionTerminated)
        await client.hung_up()
    assert not [record for record in caplog.records if record.exc_info]


class Wire:
    """A transport that keeps what is written to it: a client that never reads."""

    def __init__(self) -> None:
        self.unsent = 0
        self.closed = self.aborted = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.unsent += len(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name: str) -> None:
        return None


def connect(wire: Wire) -> Http2Protocol:
    protocol = Http2Protocol(ServerState(echo))
    protocol.connection_made(wire)  # type: ignore[arg-type]  # what of a transport is used here
    protocol.data_received(PREFACE + SettingsFrame(0).serialize())
    return protocol


async def test_acknowledgements_that_nobody_reads_do_not_pile_up(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire()
    protocol = connect(wire)
    pings = PingFrame(0).serialize() * 1000
    for _ in range(1000):
        if not wire.closed:
            protocol.data_received(pings)
    assert wire.aborted
    assert wire.unsent < 1_200_000
    protocol.connection_lost(None)


_REQUEST = Encoder().encode([(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/")])
_PAYLOADS = st.one_of(st.just(_REQUEST), st.binary(max_size=40), st.integers(0, 2**32 - 1).map(lambda n: n.to_bytes(4)))


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame of any type with any flags, for one of the first streams."""
    payload = draw(_PAYLOADS)
    length = draw(st.sampled_from([len(payload), len(payload), len(payload), draw(st.integers(0, 2**24 - 1))]))
    kind, flags = draw(st.integers(0, 11)), draw(st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x25, 0x2D, 0xFF]))
    stream = draw(st.sampled_from([0, 1, 1, 3, 5, 2, 2**31 - 1]))
    return length.to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(frames(), max_size=12).map(b"".join), st.binary(max_size=200)), st.data())
def test_no_bytes_break_the_server(sent: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=4)))

    async def run() -> None:
        wire = Wire()
        protocol = connect(wire)
        for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
            if not wire.closed:
                protocol.data_received(sent[start:end])
            await asyncio.sleep(0)
        protocol.connection_lost(None)
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not asyncio.current_task()))

    asyncio.run(run())


def test_a_rate_limit_lets_bursts_pass_and_recovers() -> None:
    now = 0.0
    limit = RateLimit(3, 2.0, lambda: now)
    assert [limit.take() for _ in range(4)] == [True, True, True, False]
    now = 0.4
    assert not limit.take()
    now = 1.0
    assert [limit.take() for _ in range(3)] == [True, True, False]
    now = 1000.0
    assert [limit.take() for _ in range(4)] == [True, True, True, False]
