"""A cheap upstream in its own process: `python -m benchmarks.upstream`. It answers from bytes that were made before.

It speaks Bedrock's Converse and InvokeModel, both with streams, and OpenAI's chat API, checks no signature, and does
not read what is asked, except for whether a stream is wanted. Prints its port when it listens, and runs until it is
terminated.
"""

import argparse
import asyncio
import socket
from typing import cast

import httptools
import uvloop
from msgspec import Struct

from benchmarks import wires

_EVENT_STREAM = "application/vnd.amazon.eventstream"


class Answers(Struct, frozen=True, kw_only=True):
    """All that is ever answered, as bytes for the socket. The first piece of a stream carries the response's head."""

    converse: bytes
    converse_stream: tuple[bytes, ...]
    invoke: bytes
    invoke_stream: tuple[bytes, ...]
    chat: bytes
    chat_stream: tuple[bytes, ...]


def make_answers(events: int) -> Answers:
    """The answers, with streams of `events` events."""
    return Answers(
        converse=_whole(wires.converse_answer()),
        converse_stream=_pieces(_EVENT_STREAM, wires.converse_events(events)),
        invoke=_whole(wires.invoke_answer()),
        invoke_stream=_pieces(_EVENT_STREAM, wires.invoke_events(events)),
        chat=_whole(wires.openai_answer()),
        chat_stream=_pieces("text/event-stream", wires.openai_events(events)),
    )


def _whole(body: bytes) -> bytes:
    return _head("200 OK", "application/json", f"content-length: {len(body)}") + body


def _pieces(content_type: str, events: list[bytes]) -> tuple[bytes, ...]:
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    chunks[0] = _head("200 OK", content_type, "transfer-encoding: chunked") + chunks[0]
    chunks[-1] += b"0\r\n\r\n"
    return tuple(chunks)


def _head(status: str, content_type: str, framing: str) -> bytes:
    request_id = "x-amzn-requestid: 00000000-0000-4000-8000-000000000000"
    return f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\n{request_id}\r\n{framing}\r\n\r\n".encode()


_NOT_FOUND = _head("404 Not Found", "application/json", "content-length: 0")


class UpstreamProtocol(asyncio.Protocol):
    """One connection: one request after another, each answered as soon as it is complete."""

    def __init__(self, answers: Answers, interval: float) -> None:
        self._answers = answers
        self._interval = interval
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.WriteTransport | None = None
        self._url = b""
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own class does not say so

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, and with it any stream under way."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """The parser has read a part of the path."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """The parser has read a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is complete: answer it."""
        assert self._transport is not None
        url, body = self._url, self._body
        self._url, self._body = b"", []
        if url.endswith(b"/converse"):
            self._transport.write(self._answers.converse)
        elif url.endswith(b"/converse-stream"):
            self._stream(self._answers.converse_stream, 0, self._loop.time())
        elif url.endswith(b"/invoke"):
            self._transport.write(self._answers.invoke)
        elif url.endswith(b"/invoke-with-response-stream"):
            self._stream(self._answers.invoke_stream, 0, self._loop.time())
        elif url.endswith(b"/chat/completions"):
            self._answer_chat(b"".join(body))
        else:
            self._transport.write(_NOT_FOUND)

    def _answer_chat(self, body: bytes) -> None:
        assert self._transport is not None
        if b'"stream":true' in body or b'"stream": true' in body:
            self._stream(self._answers.chat_stream, 0, self._loop.time())
        else:
            self._transport.write(self._answers.chat)

    def _stream(self, pieces: tuple[bytes, ...], number: int, due: float) -> None:
        """Send a piece, and the next one an interval after this one was due, so that delays do not add up."""
        if self._transport is None:
            return
        self._transport.write(pieces[number])
        if number + 1 < len(pieces):
            due += self._interval
            self._loop.call_at(due, self._stream, pieces, number + 1, due)


async def _serve(port: int, events: int, interval: float) -> None:
    answers = make_answers(events)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: UpstreamProtocol(answers, interval), "127.0.0.1", port, family=socket.AF_INET, backlog=2048
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.upstream", description="The benchmark's cheap upstream."
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--events", type=int, default=200, help="events in a stream")
    parser.add_argument("--interval", type=float, default=0.01, help="seconds between two events")
    arguments = parser.parse_args()
    uvloop.run(_serve(arguments.port, arguments.events, arguments.interval))


if __name__ == "__main__":
    main()
