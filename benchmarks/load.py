"""The load generator, in its own process: `python -m benchmarks.load`, a `Load` on its input, a `Result` on its output.

Keep-alive connections on raw asyncio sockets, each sending its next request when the answer to the last is complete.
An answer that is not complete and right ends the load: there is nothing to measure then.
"""

import asyncio
import sys
from collections.abc import Iterator
from time import perf_counter
from typing import cast

import httptools
import msgspec
import uvloop
from msgspec import Struct

_ANSWER_SECONDS = 60.0


class Load(Struct, frozen=True, kw_only=True):
    """What to send, and how often.

    `before` and `after` are the bytes of a request around its number, which has eight digits. At most `count` requests
    are sent, none begun later than `seconds` after the first. An answer is right when its status is 200 and `word`
    stands in it `words` times. Connections begin `stagger` seconds apart. After `cycle` numbers they begin anew.
    """

    host: str
    port: int
    before: bytes
    after: bytes
    connections: int
    count: int
    seconds: float
    word: bytes
    words: int
    stagger: float = 0.0
    cycle: int = 100_000_000


class Result(Struct, frozen=True, kw_only=True):
    """How long each answer took, in seconds; or why there is nothing to measure."""

    latencies: list[float] = []
    failure: str | None = None


class LoadFailed(Exception):
    """An answer was not complete and right."""


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.WriteTransport | None = None
        self._done: asyncio.Future[None] | None = None
        self._words = 0
        self._tail = b""
        self._start = b""
        self.usable = True

    async def ask(self, number: int) -> None:
        """Send a request and wait for the end of its answer. Raises LoadFailed."""
        assert self._transport is not None
        self._done = asyncio.get_running_loop().create_future()
        self._words, self._tail, self._start = 0, b"", b""
        self._transport.write(b"%b%08d%b" % (self._load.before, number, self._load.after))
        try:
            await asyncio.wait_for(self._done, _ANSWER_SECONDS)
        except TimeoutError as error:
            raise LoadFailed(f"no complete answer within {_ANSWER_SECONDS:.0f} seconds") from error

    def close(self) -> None:
        """Close the connection."""
        self._done = None
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own class does not say so

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; in the middle of an answer that is a failure."""
        self.usable = False
        self._finish("the connection was lost before the answer was complete")

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._finish(f"the answer is not HTTP: {error}")

    def on_body(self, body: bytes) -> None:
        """The parser has read a part of the body: count the words, also one that two parts share."""
        text = self._tail + body
        self._words += text.count(self._load.word)
        self._tail = text[1 - len(self._load.word) :]
        if not self._start:
            self._start = body[:200]

    def on_message_complete(self) -> None:
        """The answer is complete: check it."""
        status, words = self._parser.get_status_code(), self._words
        self.usable = self._parser.should_keep_alive()
        if status != 200:
            self._finish(f"status {status}: {self._start.decode(errors='replace')}")
        elif words < self._load.words:
            self._finish(f"{words} of {self._load.words} events arrived")
        else:
            self._finish(None)

    def _finish(self, failure: str | None) -> None:
        done, self._done = self._done, None
        if done is None or done.done():
            return
        if failure is None:
            done.set_result(None)
        else:
            done.set_exception(LoadFailed(failure))


async def _work(load: Load, numbers: Iterator[int], until: float, delay: float, latencies: list[float]) -> None:
    """Send requests over one connection, opened anew where the server closes it between two answers."""
    await asyncio.sleep(delay)
    client = await _connect(load)
    try:
        for number in numbers:
            if perf_counter() > until:
                return
            if not client.usable:
                client.close()
                client = await _connect(load)
            began = perf_counter()
            await client.ask(number)
            latencies.append(perf_counter() - began)
    finally:
        client.close()


async def _connect(load: Load) -> _Client:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: _Client(load), load.host, load.port)
    return client


async def run(load: Load) -> Result:
    """Send the load."""
    numbers = (number % load.cycle for number in range(load.count))
    until = perf_counter() + load.seconds
    result = Result()
    try:
        async with asyncio.TaskGroup() as group:
            for place in range(load.connections):
                group.create_task(_work(load, numbers, until, place * load.stagger, result.latencies))
    except* (LoadFailed, OSError) as failures:
        result = Result(failure=str(failures.exceptions[0]))
    return result


def main() -> None:
    """Read the load, send it, write the result."""
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(load))))
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
