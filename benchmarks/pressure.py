"""`python -m benchmarks.pressure`: one worker under many clients at once, slow ones, idle ones, and long bodies.

The cheap upstream, Sekisho with everything on, and the clients are each in a process of their own.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import httptools
import uvloop
from msgspec import Struct

from benchmarks.bodies import chat_body
from benchmarks.cases import Case
from benchmarks.gateways import make_key, run_sekisho, run_upstream
from benchmarks.measure import Target, send, write_load
from benchmarks.processes import ProcessGroup
from benchmarks.servers import HOST, Started
from benchmarks.wires import OPENAI_CHAT, OPENAI_COMPATIBLE, TICK

_SLOW_BYTES = 1_000
"""What a slow reader takes in a second."""
_SLOW_INTERVAL = 0.001
_LONG_BODY = 400 * 1024
_PATIENCE = 120.0


class Row(Struct, frozen=True):
    """A figure, and what it must reach, if anything."""

    name: str
    value: float
    unit: str
    most: float | None = None


class Gateway(Struct, frozen=True):
    """What is measured, and a key for it. `port` may be the upstream's own, to see what the machine itself adds."""

    started: Started
    port: int
    key: str
    path: str = OPENAI_CHAT.stream_path

    @property
    def group(self) -> ProcessGroup:
        """The gateway's processes."""
        return self.started.group


class _Client(asyncio.Protocol):
    """One connection: asks for a stream, and notes when its events come."""

    def __init__(self, slow: bool) -> None:
        self.gaps: list[float] = []
        self.events = 0
        self.whole: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._slow = slow
        self._last = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own class does not say so

    def connection_lost(self, exc: Exception | None) -> None:
        """Lost, unless the answer is complete."""
        if not self.whole.done():
            self.whole.set_result(False)

    def data_received(self, data: bytes) -> None:
        """Some of the answer; a slow reader takes no more before its time."""
        self._parser.feed_data(data)
        if self._slow and not self.transport.is_closing():
            self.transport.pause_reading()
            loop = asyncio.get_running_loop()
            loop.call_later(len(data) / _SLOW_BYTES, self._read_on)

    def on_body(self, part: bytes) -> None:
        """The times between events; those that come together have none between them."""
        now = time.perf_counter()
        told = part.count(TICK.encode())
        if told and self._last:
            self.gaps += [now - self._last, *[0.0] * (told - 1)]
        if told:
            self._last = now
        self.events += told

    def on_message_complete(self) -> None:
        """The end."""
        if not self.whole.done():
            self.whole.set_result(True)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()


def _request(gateway: Gateway) -> bytes:
    body = OPENAI_CHAT.write(chat_body(1_024), OPENAI_COMPATIBLE.model, stream=True)
    head = f"POST {gateway.path} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {gateway.key}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def _open(gateway: Gateway, count: int, apart: float, *, slow: bool = False) -> list[_Client]:
    """Ask for so many streams, each a little after the one before."""
    loop, request, clients = asyncio.get_running_loop(), _request(gateway), []
    for _ in range(count):
        _, client = await loop.create_connection(lambda: _Client(slow), HOST, gateway.port)
        client.transport.write(request)
        clients.append(client)
        await asyncio.sleep(apart)
    return clients


async def _stream(gateway: Gateway, count: int, events: int, interval: float) -> tuple[int, float]:
    """How many streams were lost, and the 99th percentile of what came between two events beyond their pace, in ms."""
    clients = await _open(gateway, count, interval / count)
    async with asyncio.timeout(_PATIENCE):
        whole = await asyncio.gather(*(client.whole for client in clients))
    for client in clients:
        client.transport.abort()
    lost = sum(1 for client, ended in zip(clients, whole, strict=True) if not ended or client.events != events)
    late = sorted(max(gap - interval, 0.0) for client in clients for gap in client.gaps)
    return lost, late[int(len(late) * 0.99)] * 1000


def _measure_streams(gateway: Gateway, upstream: int, arguments: argparse.Namespace) -> Iterator[Row]:
    count, events, interval = arguments.streams, arguments.events, arguments.interval
    direct = Gateway(gateway.started, upstream, "", OPENAI_COMPATIBLE.stream_path)
    _, without = uvloop.run(_stream(direct, count, events, interval))
    before = gateway.group.cpu_seconds()
    lost, late = uvloop.run(_stream(gateway, count, events, interval))
    spent = gateway.group.cpu_seconds() - before
    title = f"{count} streams, {interval * 1000:.0f} ms apart"
    yield Row(f"{title}: lost", lost, "", 0)
    yield Row(f"{title}: time between events beyond the pace, p99", late, "ms")
    yield Row(f"{title}: the same without the gateway", without, "ms")
    yield Row(f"{title}: added, p99", max(late - without, 0.0), "ms", 15)
    yield Row(f"{title}: CPU per event, the calls in it", spent * 1e6 / (count * events), "µs")
    yield Row(f"{title}: resident memory, peak", gateway.group.peak_mb(), "MB", 250)


def _measure_slow(gateway: Gateway, arguments: argparse.Namespace) -> Iterator[Row]:
    async def read_slowly() -> float:
        before = gateway.group.resident_mb()
        clients = await _open(gateway, arguments.slow, 0.0, slow=True)
        await asyncio.sleep(arguments.seconds)
        grown = gateway.group.resident_mb() - before
        for client in clients:
            client.transport.abort()
        return grown

    title = f"{arguments.slow} readers of {_SLOW_BYTES / 1000:.0f} KB/s, {arguments.seconds:.0f} s"
    yield Row(f"{title}: memory grown by", uvloop.run(read_slowly()), "MB", 25)


def _measure_idle(gateway: Gateway, arguments: argparse.Namespace) -> Iterator[Row]:
    async def idle() -> tuple[float, float]:
        before = gateway.group.resident_mb()
        opened = [await asyncio.open_connection(HOST, gateway.port) for _ in range(arguments.idle)]
        for reader, writer in opened:
            writer.write(b"GET /health/liveliness HTTP/1.1\r\nhost: h\r\n\r\n")
            await reader.readuntil(b'alive!"')
        grown, spent = gateway.group.resident_mb() - before, gateway.group.cpu_seconds()
        await asyncio.sleep(arguments.seconds)
        spent = gateway.group.cpu_seconds() - spent
        for _, writer in opened:
            writer.transport.abort()
        return grown, spent

    alone = gateway.group.cpu_seconds()
    time.sleep(arguments.seconds)
    alone = gateway.group.cpu_seconds() - alone
    grown, spent = uvloop.run(idle())
    yield Row(f"{arguments.idle} idle connections: memory of each", grown * 1000 / arguments.idle, "KB")
    per_second = 1000 / arguments.seconds
    yield Row(f"{arguments.idle} idle connections: CPU", spent * per_second, "ms/s")
    yield Row("no connections: CPU", alone * per_second, "ms/s")


def _measure_long(gateway: Gateway, arguments: argparse.Namespace) -> Iterator[Row]:
    """What long bodies cost, sent over few connections."""
    body = chat_body(_LONG_BODY)
    case = Case(label="long", figure="request", body=body, connections=4, count=arguments.long, warmup=1)
    target = Target(name="sekisho", host=HOST, port=gateway.port, group=gateway.group, api_key=gateway.key)
    load = write_load(case, OPENAI_CHAT, OPENAI_COMPATIBLE, target)
    send(load, "long bodies")
    before = gateway.group.cpu_seconds()
    result = send(load, "long bodies")
    spent = gateway.group.cpu_seconds() - before
    yield Row("bodies of 400 KB: CPU per request", spent * 1e6 / len(result.latencies), "µs")


def _measure(arguments: argparse.Namespace) -> Iterator[Row]:
    quick = (arguments.events, arguments.interval)
    many = (int(arguments.seconds / _SLOW_INTERVAL) * 2, _SLOW_INTERVAL)
    for kind, (events, interval) in (("paced", quick), ("fast", many)):
        with (
            tempfile.TemporaryDirectory(prefix="sekisho-pressure-") as folder,
            run_upstream(0, events, interval) as (upstream, _),
            run_sekisho(Path(folder) / "home", [OPENAI_COMPATIBLE], upstream) as started,
        ):
            gateway = Gateway(started, started.port, make_key(started.port))
            if kind == "fast":
                yield from _measure_slow(gateway, arguments)
                continue
            yield from _measure_idle(gateway, arguments)
            yield from _measure_streams(gateway, upstream, arguments)
            yield from _measure_long(gateway, arguments)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pressure", description="Many clients of one worker.")
    parser.add_argument("--streams", type=int, default=1000, help="streams at a time (default: 1000)")
    parser.add_argument("--events", type=int, default=100, help="events of each (default: 100)")
    parser.add_argument("--interval", type=float, default=0.2, help="seconds between two of its events (default: 0.2)")
    parser.add_argument("--slow", type=int, default=20, help="readers of 1 KB/s (default: 20)")
    parser.add_argument("--idle", type=int, default=2000, help="idle connections (default: 2000)")
    parser.add_argument("--long", type=int, default=200, help="requests with 400 KB (default: 200)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long slow and idle ones are watched")
    for row in _measure(parser.parse_args()):
        goal = "" if row.most is None else f"≤ {row.most:g} {'✓' if row.value <= row.most else '✗'}"
        sys.stdout.write(f"{row.name:<66} {row.value:9.1f} {row.unit:<5} {goal}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
