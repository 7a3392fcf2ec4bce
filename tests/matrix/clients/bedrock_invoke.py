"""Bedrock's InvokeModel with Claude: Anthropic's Messages in the envelope of botocore's service model."""

import base64
import json
from typing import Any

from tests.matrix.clients import anthropic_messages
from tests.matrix.clients.bedrock_converse import quote_model, read_error
from tests.matrix.conversation import Conversation, Outcome, Sent, expect
from tests.matrix.envelopes import read_frames


def build(conversation: Conversation, model: str, *, stream: bool) -> Sent:
    body: dict[str, Any] = {
        "anthropic_version": "bedrock-2023-05-31",
        **anthropic_messages.write_body(conversation),
    }
    operation = "invoke-with-response-stream" if stream else "invoke"
    return Sent(f"/model/{quote_model(model)}/{operation}", {}, body)


def read_answer(status: int, body: bytes) -> Outcome:
    document = json.loads(body)
    if status != 200:
        return Outcome(status, error=read_error(document))
    return anthropic_messages.read_message(document)


def read_stream(body: bytes) -> Outcome:
    events, error = [], None
    for kind, payload in read_frames(body):
        expect(error is None, "something comes after an exception")
        if kind == "chunk":
            events.append(json.loads(base64.b64decode(payload["bytes"])))
        else:
            expect(kind.endswith("Exception"), f"a frame is of the unknown type {kind}")
            error = payload["message"]
    outcome = anthropic_messages.gather(events)
    if error is not None:
        expect(not outcome.whole, "an exception comes after the end")
        outcome.error = error
    if outcome.whole:
        expect("amazon-bedrock-invocationMetrics" in events[-1], "the last chunk has no metrics")
    return outcome
