"""A local OTLP sink in its own process: `python -m benchmarks.sink`. It takes spans by HTTP and counts them.

A GET is answered with their number so far. Prints its port when it listens, and runs until it is terminated.
"""

import asyncio
import socket
from typing import Any, cast

import httptools
import uvloop
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_REQUEST: Any = ExportTraceServiceRequest


class Sink:
    """How many spans have come."""

    def __init__(self) -> None:
        self.spans = 0

    def take(self, body: bytes) -> None:
        """Count the spans of one export."""
        for resource in _REQUEST.FromString(body).resource_spans:
            self.spans += sum(len(scope.spans) for scope in resource.scope_spans)


class SinkProtocol(asyncio.Protocol):
    """One connection."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.WriteTransport | None = None
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own class does not say so

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """The parser has read a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        assert self._transport is not None
        answer = b""
        if self._parser.get_method() == b"GET":
            answer = b"%d" % self._sink.spans
        else:
            self._sink.take(b"".join(self._body))
        self._body = []
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer))


async def _serve() -> None:
    sink = Sink()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SinkProtocol(sink), "127.0.0.1", 0, family=socket.AF_INET)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
