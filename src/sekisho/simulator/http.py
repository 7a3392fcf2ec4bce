"""The little of HTTP the simulator needs, on raw ASGI."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from msgspec import Struct

from sekisho.simulator.errors import Refusal

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_LIMIT = 32_000_000
"""Bytes. Above Bedrock's own limit of 25,000,000 for a body, so that the service model is what refuses."""


class Request(Struct, frozen=True, kw_only=True):
    """A whole request. `raw_path` is the path as it was sent, still percent-encoded; header names are lower case."""

    method: str
    raw_path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def segments(self) -> list[str]:
        """The decoded parts of the path, without the leading slash."""
        return [unquote(part) for part in self.raw_path.lstrip("/").split("/")]


class Reply(Struct, kw_only=True):
    """A whole answer. With `cut` the connection is closed in the middle of the body."""

    status: int = 200
    headers: dict[str, str]
    body: bytes
    cut: bool = False


async def read_request(scope: Scope, receive: Receive) -> Request:
    """Reads a request to its end. Raises Refusal when it is too large, ConnectionError when the client leaves."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client left before its request was complete")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > BODY_LIMIT:
            raise Refusal("RequestEntityTooLargeException", f"The request is larger than {BODY_LIMIT} bytes.")
        more = message.get("more_body", False)
    return Request(
        method=scope["method"],
        raw_path=(scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0],
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        body=b"".join(chunks),
    )


async def send_reply(send: Send, reply: Reply) -> None:
    """Sends a whole answer, or half of it."""
    headers = dict(reply.headers) if reply.cut else {**reply.headers, "content-length": str(len(reply.body))}
    await start_response(send, reply.status, headers)
    # A body that is left open and never ended makes the server close the connection: that is the cut.
    body = reply.body[: len(reply.body) // 2] if reply.cut else reply.body
    await send({"type": "http.response.body", "body": body, "more_body": reply.cut})


async def start_response(send: Send, status: int, headers: dict[str, str]) -> None:
    """Sends the status and the headers."""
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


class Hangup:
    """Notices while an answer is being sent that its client has left; use it as a context manager."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._task: asyncio.Task[None] | None = None

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def pause(self, milliseconds: float) -> bool:
        """Waits, at least for one turn of the event loop, and says whether the client has left meanwhile."""
        if self._task is None:
            raise RuntimeError("a Hangup must be entered before it is asked")
        if milliseconds > 0:
            await asyncio.wait({self._task}, timeout=milliseconds / 1000)
        else:
            await asyncio.sleep(0)
        return self._task.done()

    async def __aenter__(self) -> "Hangup":
        self._task = asyncio.create_task(self._wait())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
