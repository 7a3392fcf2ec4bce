"""Heads that a connection has carried before: the same requests are found with the memory of them and without."""

import asyncio
import re
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sekisho.http.asgi import LINE, Receive, Scope, Send
from sekisho.http.familiar import FamiliarHead
from sekisho.http.http1 import Http1Protocol
from sekisho.http.state import ServerState

HEAD = b"POST /v1/chat?a=b HTTP/1.1\r\nHost: h\r\nX-Key: k\r\nContent-Length: %b\r\nAccept: */*\r\n\r\n"
Seen = list[tuple[dict[str, Any], bytes | None]]


class _Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def serve(pieces: list[bytes]) -> tuple[Seen, bytes]:
    """What an application is asked by these bytes, and what is answered."""
    seen: Seen = []

    async def answer(scope: Scope, _receive: Receive, _send: Send) -> None:
        line = scope["extensions"][LINE]
        place = len(seen)
        seen.append(({name: value for name, value in scope.items() if name != "extensions"}, None))
        body = await line.read_body(1_000, 10.0)
        seen[place] = (seen[place][0], body)
        if body is not None:
            line.answer(200, [(b"x", b"y")], b"%d" % len(body))

    wire, state = _Wire(), ServerState(answer)
    protocol = Http1Protocol(state)
    protocol.connection_made(wire)
    for piece in pieces:
        if not wire.closed:
            protocol.data_received(piece)
        for _ in range(12):
            await asyncio.sleep(0)
    protocol.connection_lost(None)
    await asyncio.gather(*state.tasks)
    return seen, re.sub(rb"date: [^\r]*", b"", wire.sent)


async def serve_unfamiliar(pieces: list[bytes]) -> tuple[Seen, bytes]:
    with mock.patch.object(FamiliarHead, "learn", return_value=None):
        return await serve(pieces)


def request(size: int) -> bytes:
    return HEAD % (b"%d" % size) + b"b" * size


async def test_a_head_that_differs_in_its_length_alone_is_known_again() -> None:
    with mock.patch.object(FamiliarHead, "find", autospec=True, side_effect=FamiliarHead.find) as find:
        seen, sent = await serve([request(5), request(12), request(0), request(5) + request(700)])
    assert [body for _, body in seen] == [b"b" * size for size in (5, 12, 0, 5, 700)]
    assert [dict(scope["headers"])[b"content-length"] for scope, _ in seen] == [b"5", b"12", b"0", b"5", b"700"]
    assert find.call_count == 4
    assert sent.count(b"200 OK") == 5


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(b"Content-Length: %b", b"Content-Length: 5\r\nContent-Length: 5"),
        HEAD.replace(b"Content-Length: %b", b"Transfer-Encoding: chunked"),
        HEAD.replace(b"Content-Length: %b", b"Content-Length: 5 "),
        HEAD.replace(b"Content-Length: %b", b"X: 1"),
        b"\r\n" + HEAD % b"5",
        HEAD % b"5",
    ],
)
def test_only_a_plain_head_with_one_length_is_learned(head: bytes) -> None:
    headers = [
        (name.lower(), value.strip())
        for name, _, value in (line.partition(b":") for line in head.strip().split(b"\r\n")[1:])
    ]
    learned = FamiliarHead.learn(head, {"headers": headers})
    assert (learned is not None) == (head == HEAD % b"5")


LENGTHS = st.sampled_from(
    [b"0", b"3", b"03", b"+3", b"3 ", b" 3", b"3,3", b"-1", b"", b"0x3", b"3\t", b"\xb2", b"3\nX: y", b"9" * 20]
)
TWISTS = [
    lambda head: head.replace(b"X-Key: k", b"Content-Length: 4"),
    lambda head: head.replace(b"X-Key: k", b"Transfer-Encoding: chunked"),
    lambda head: head,
    lambda head: head.lower(),
    lambda head: head.replace(b"POST", b"PUT"),
    lambda head: head.replace(b"\r\n", b"\n"),
    lambda head: head.replace(b"X-Key: k", b"X-Key: K"),
    lambda head: head.replace(b"X-Key: k", b"Connection: close"),
    lambda head: head.replace(b"X-Key: k", b"Connection: Upgrade\r\nUpgrade: h2c"),
    lambda head: head.replace(b"X-Key: k", b"Expect: 100-continue"),
    lambda head: head.replace(b"HTTP/1.1", b"HTTP/1.0"),
    lambda head: head.replace(b"Accept:", b" folded\r\nAccept:"),
    lambda head: head[:-2],
    lambda head: b"\r\n" + head,
    lambda head: b"\r" + head,
    lambda head: b"P" + head,
]
REQUESTS = st.builds(
    lambda length, twist, body: twist(HEAD % length) + body,
    st.one_of(st.just(b"3"), st.just(b"3"), LENGTHS),
    st.one_of(st.just(lambda head: head), st.sampled_from(TWISTS)),
    st.sampled_from([b"abc", b"abc", b"ab", b"abcd", b"", b"3\r\nabc\r\n0\r\n\r\n"]),
)


@given(requests=st.lists(REQUESTS, min_size=1, max_size=5), cuts=st.lists(st.integers(0, 600), max_size=6))
@example(requests=[HEAD % b"3" + b"abc"] * 3, cuts=[])
@example(requests=[HEAD % b"3" + b"abc"] * 3, cuts=[88, 89, 90, 180, 181])
@settings(max_examples=600, deadline=None)
def test_memory_changes_nothing_of_what_is_read(requests: list[bytes], cuts: list[int]) -> None:
    data, bounds = b"".join(requests), [0, *sorted(cuts)]
    ends = [*bounds[1:], len(data)]
    pieces = [piece for begin, end in zip(bounds, ends, strict=True) if (piece := data[begin:end])]
    each = [part for part in requests if part]
    for way in (pieces, each):
        assert asyncio.run(serve(way)) == asyncio.run(serve_unfamiliar(way))
