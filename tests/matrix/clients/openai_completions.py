"""OpenAI's completions, as https://platform.openai.com/docs/api-reference/completions describes them."""

import json
from typing import Any

from tests.matrix.clients.openai_chat import read_error
from tests.matrix.conversation import Conversation, Outcome, Said, Sent, expect
from tests.matrix.envelopes import read_sse


def build(conversation: Conversation, model: str, *, stream: bool) -> Sent:
    (turn,) = conversation.turns
    assert isinstance(turn, Said)
    body: dict[str, Any] = {"model": model, "prompt": turn.text, "max_tokens": conversation.max_tokens}
    if conversation.stop:
        body["stop"] = list(conversation.stop)
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return Sent("/v1/completions", {}, body)


def read_answer(status: int, body: bytes) -> Outcome:
    document = json.loads(body)
    if status != 200:
        return Outcome(status, error=read_error(document))
    outcome = Outcome(status, whole=True)
    _add(outcome, document)
    expect(outcome.finish and outcome.input_tokens, "there is no finish reason, or no usage")
    return outcome


def read_stream(body: bytes) -> Outcome:
    outcome, done = Outcome(200), False
    for name, data in read_sse(body):
        expect(name is None and not done, "chunks have no event names, and nothing comes after [DONE]")
        if data == "[DONE]":
            done = True
            continue
        chunk = json.loads(data)
        if "error" in chunk:
            outcome.error = read_error(chunk)
        else:
            _add(outcome, chunk)
    outcome.whole = done and outcome.finish is not None and outcome.input_tokens > 0
    return outcome


def _add(outcome: Outcome, document: dict[str, Any]) -> None:
    expect(document["object"] == "text_completion", f"the object is {document['object']}")
    for choice in document["choices"]:
        outcome.text += choice["text"]
        outcome.finish = choice["finish_reason"] or outcome.finish
    if usage := document.get("usage"):
        outcome.input_tokens, outcome.output_tokens = usage["prompt_tokens"], usage["completion_tokens"]
