"""Cleartext HTTP/2 with the clients that speak it: Node's, and AWS's JavaScript SDK on top of it."""

import asyncio
import json
import threading
from typing import Any

from tests.clients.node import run_script
from tests.clients.npm import installed
from tests.support.http2 import Receive, Scope, Send, serving_in_thread

from sekisho.dialects.common.eventstream import encode_frame

SDK, SDK_VERSION = "@aws-sdk/client-bedrock-runtime", "3.1164.0"


async def body_of(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    return body


async def reply(send: Send, body: bytes, kind: bytes = b"text/plain", *, more: bool = False) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": body, "more_body": more})


def test_nodes_client_shares_the_port_with_http_1() -> None:
    hung_up = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = await body_of(receive)
        match scope["path"]:
            case "/echo":
                await reply(send, body)
            case "/endless":
                await reply(send, b"x", more=True)
                assert (await receive())["type"] == "http.disconnect"
                hung_up.set()
            case "/hung-up":
                await reply(send, b"%r" % await asyncio.to_thread(hung_up.wait, 10))
            case "/broken":
                await reply(send, b"half", more=True)
            case _:
                await reply(send, scope["http_version"].encode())

    with serving_in_thread(app) as url:
        seen = run_script("http2.mjs", url)
    assert seen == {
        "many": True,
        "large": True,
        "heard": "True",
        "farewell": True,
        "broken": "ERR_HTTP2_STREAM_ERROR",
        "http1": "1.1",
    }


def test_awss_javascript_sdk_calls_bedrock_with_its_defaults() -> None:
    folder = installed(SDK, SDK_VERSION, SDK)
    seen: list[dict[str | bytes, Any]] = []
    message = {"role": "assistant", "content": [{"text": "Hi."}]}
    usage = {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}
    events = [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi."}}),
        ("messageStop", {"stopReason": "end_turn"}),
    ]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append({"version": scope["http_version"], "path": scope["raw_path"], **dict(scope["headers"])})
        body = json.loads(await body_of(receive))
        assert body["messages"][0]["content"] == [{"text": "Hello"}]
        if scope["path"].endswith("/converse"):
            answer = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}
            await reply(send, json.dumps(answer).encode(), b"application/json")
            return
        await reply(send, b"", b"application/vnd.amazon.eventstream", more=True)
        for name, payload in events:
            headers = {":message-type": "event", ":event-type": name, ":content-type": "application/json"}
            frame = encode_frame(headers, json.dumps(payload).encode())
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body"})

    with serving_in_thread(app) as url:
        got = run_script("bedrock.mjs", str(folder), url, "sk-virtual", "us.anthropic.claude-x-v1:0")
    assert got["whole"] == message
    assert [(name, payload) for event in got["events"] for name, payload in event.items()] == events
    assert [call["version"] for call in seen] == ["2", "2"]
    assert {call[b"authorization"] for call in seen} == {b"Bearer sk-virtual"}
    assert seen[0]["path"] == b"/model/us.anthropic.claude-x-v1%3A0/converse"
