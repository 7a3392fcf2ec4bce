"""What only tests ask the simulator for: unknown fields in answers, chopped streams, recorded bodies. On every wire."""

import base64
import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import EventStreamBuffer
from tests.support.bedrock import CLAUDE, call, sim

from sekisho.simulator.settings import DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY

BEARER = {"authorization": "Bearer any", "content-type": "application/json"}
NATIVE = {**BEARER, "anthropic-version": "2023-06-01"}
EXTRA = {"x_new": {"deep": ["日本", 1.5]}}
TEXT = "🦊日本語é" * 10


def converse(words: str, _: bool) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"text": words}]}]}


def invoke(words: str, _: bool) -> dict[str, Any]:
    return {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 999, "messages": [turn(words)]}


def turn(words: str) -> dict[str, Any]:
    return {"role": "user", "content": words}


def messages(words: str, stream: bool) -> dict[str, Any]:
    return {"model": CLAUDE, "max_tokens": 999, "messages": [turn(words)], "stream": stream}


def chat(words: str, stream: bool) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [turn(words)], "stream": stream}


def respond(words: str, stream: bool) -> dict[str, Any]:
    return {"model": "gpt-4o", "input": words, "stream": stream}


def complete(words: str, stream: bool) -> dict[str, Any]:
    return {"model": "gpt-4o", "prompt": words, "stream": stream, "max_tokens": 999}


WIRES: dict[str, tuple[str, str, Any, Mapping[str, str]]] = {
    "converse": (f"/model/{CLAUDE}/converse", f"/model/{CLAUDE}/converse-stream", converse, BEARER),
    "invoke": (f"/model/{CLAUDE}/invoke", f"/model/{CLAUDE}/invoke-with-response-stream", invoke, BEARER),
    "messages": ("/v1/messages", "/v1/messages", messages, NATIVE),
    "bedrock messages": ("/anthropic/v1/messages", "/anthropic/v1/messages", messages, NATIVE),
    "chat": ("/v1/chat/completions", "/v1/chat/completions", chat, BEARER),
    "bedrock chat": ("/openai/v1/chat/completions", "/openai/v1/chat/completions", chat, BEARER),
    "responses": ("/v1/responses", "/v1/responses", respond, BEARER),
    "bedrock responses": ("/openai/v1/responses", "/openai/v1/responses", respond, BEARER),
    "completions": ("/v1/completions", "/v1/completions", complete, BEARER),
    "sagemaker": ("/endpoints/e/invocations", "/endpoints/e/invocations-response-stream", chat, {}),
}


def send(simulator: str, wire: str, words: str, *, stream: bool) -> bytes:
    """What comes back, whole."""
    whole, streamed, write, headers = WIRES[wire]
    path = streamed if stream else whole
    body = json.dumps({**write(words, stream), **({} if wire == "converse" else {"x_kept": {"b": 1, "a": [2.50]}})})
    if not headers:
        request = AWSRequest("POST", f"{simulator}{path}", data=body.encode())
        SigV4Auth(Credentials(DEFAULT_ACCESS_KEY, DEFAULT_SECRET_KEY), "sagemaker", "us-east-1").add_auth(request)
        headers = dict(request.headers)
    address = urlsplit(simulator)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    try:
        connection.request("POST", path, body.encode(), dict(headers))
        response = connection.getresponse()
        data = response.read()
        assert response.status == 200, data
        return data
    finally:
        connection.close()


def documents_of(wire: str, data: bytes) -> list[dict[str, Any]]:
    """The JSON documents of a stream."""
    if wire in ("converse", "invoke", "sagemaker"):
        buffer = EventStreamBuffer()
        buffer.add_data(data)
        payloads = [event.payload for event in buffer]
        if wire == "converse":
            return [json.loads(payload) for payload in payloads]
        if wire == "invoke":
            return [json.loads(base64.b64decode(json.loads(payload)["bytes"])) for payload in payloads]
        data = b"".join(payloads)
    lines = [line.removeprefix("data: ") for line in data.decode().split("\n") if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("wire", WIRES)
def test_unknown_fields_come_back_when_asked_for(simulator: str, wire: str) -> None:
    words = sim(text="so", extra=EXTRA)
    assert json.loads(send(simulator, wire, words, stream=False))["x_new"] == EXTRA["x_new"]
    found = [document.get("x_new") for document in documents_of(wire, send(simulator, wire, words, stream=True))]
    assert found[0] == EXTRA["x_new"]
    assert len(found) > 1
    assert not any(found[1:])


@pytest.mark.parametrize("wire", WIRES)
def test_a_chopped_stream_says_the_same(simulator: str, wire: str) -> None:
    smooth, chopped = (
        documents_of(wire, send(simulator, wire, sim(text=TEXT, **more), stream=True)) for more in ({}, {"chop": 3})
    )
    assert texts_of(smooth) == texts_of(chopped) == TEXT


def texts_of(documents: list[dict[str, Any]]) -> str:
    """The text that the events of any wire put together."""
    found = ""
    for document in documents:
        delta = document.get("delta")
        if isinstance(delta, str):
            found += delta
        elif isinstance(delta, dict):
            found += delta.get("text", "")
        for choice in document.get("choices", ()):
            found += choice["delta"].get("content") or "" if "delta" in choice else choice["text"]
    return found


@pytest.mark.parametrize("wire", ["messages", "bedrock messages"])
def test_anthropics_streams_have_a_ping(simulator: str, wire: str) -> None:
    documents = documents_of(wire, send(simulator, wire, "hi", stream=True))
    assert [document["type"] for document in documents[:3]] == ["message_start", "ping", "content_block_start"]


@pytest.mark.parametrize("wire", WIRES)
def test_bodies_are_recorded_byte_for_byte_when_asked_for(simulator: str, wire: str) -> None:
    send(simulator, wire, "before", stream=False)
    assert call("PUT", f"{simulator}/_simulator/recording", {"on": True}) == (200, {"on": True})
    try:
        send(simulator, wire, TEXT, stream=True)
    finally:
        call("PUT", f"{simulator}/_simulator/recording", {"on": False})
    before, after = call("GET", f"{simulator}/_simulator/calls")[1]["calls"]
    assert (before["body"], before["headers"]) == (None, None)
    assert json.loads(after["body"]).get("x_kept", {"b": 1, "a": [2.5]}) == {"b": 1, "a": [2.5]}
    assert wire == "converse" or '"x_kept": {"b": 1, "a": [2.5]}' in after["body"]
    assert "authorization" not in after["headers"]
    assert after["headers"]["host"] == urlsplit(simulator).netloc


def test_recording_refuses_what_it_cannot_read(simulator: str) -> None:
    assert call("PUT", f"{simulator}/_simulator/recording", {"on": "maybe"})[0] == 400
    assert call("GET", f"{simulator}/_simulator/recording")[0] == 404
