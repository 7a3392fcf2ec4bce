"""Which service and which wire a path belongs to.

| path | service | operation |
| --- | --- | --- |
| `/model/{id}/converse`, `…/converse-stream`, `…/count-tokens` | bedrock | Converse, ConverseStream, CountTokens |
| `/model/{id}/invoke`, `…/invoke-with-response-stream` | bedrock | InvokeModel, InvokeModelWithResponseStream |
| `/anthropic/v1/messages`; `/openai/v1/chat/completions`, `…/responses` | bedrock | as below |
| `/endpoints/{name}/invocations`, `…/invocations-response-stream` | sagemaker | InvokeEndpoint, …WithResponseStream |
| `/v1/messages`, `…/count_tokens` | anthropic | Messages, MessagesStream, CountMessageTokens |
| `/v1/chat/completions`, `/v1/completions` | openai | ChatCompletion, Completion, each also with Stream |
| `/openai/deployments/{name}/chat/completions`, `/openai/responses` | openai | as above and below, as on Azure |
| `/v1/responses`, `…/input_tokens` | openai | Response, ResponseStream, CountResponseTokens |
| `/v1/embeddings`, `/v1/models` | openai | Embeddings, ListModels |
"""

import re

import msgspec
from msgspec import Struct

from sekisho.simulator.http import Request
from sekisho.simulator.services import ANTHROPIC, BEDROCK, OPENAI, SAGEMAKER, Service
from sekisho.simulator.wires.base import Speaker
from sekisho.simulator.wires.bedrock import InvokeEmbedder, TokenCounter, is_embedding_model
from sekisho.simulator.wires.chat import ChatWire, SageMakerWire
from sekisho.simulator.wires.completions import CompletionsWire
from sekisho.simulator.wires.converse import ConverseWire
from sekisho.simulator.wires.messages import ClaudeDirectory, InvokeWire, MessagesCounter, MessagesWire
from sekisho.simulator.wires.openai.embeddings import EmbeddingsWire
from sekisho.simulator.wires.openai.models import ModelDirectory
from sekisho.simulator.wires.responses import ResponsesCounter, ResponsesWire


class Route(Struct, frozen=True):
    """What a call is for: the service, the wire (or counter, embedder, directory), the operation, the model."""

    service: Service
    speaker: Speaker
    operation: str
    model: str | None
    stream: bool


class _Known(Struct, frozen=True):
    """A path without a model in it. `streams` is whether the body's `stream` decides how it is answered."""

    service: Service
    speaker: Speaker
    operation: str
    streams: bool = False


class _Head(Struct):
    """The fields of a body that decide on the route; wrong ones are left to the wire to refuse."""

    model: str = ""
    stream: bool | None = None


_IN_MODEL = {
    "converse": ConverseWire("Converse"),
    "converse-stream": ConverseWire("ConverseStream"),
    "invoke": InvokeWire("InvokeModel"),
    "invoke-with-response-stream": InvokeWire("InvokeModelWithResponseStream"),
    "count-tokens": TokenCounter(),
}
_OPERATIONS = {
    "converse": "Converse",
    "converse-stream": "ConverseStream",
    "invoke": "InvokeModel",
    "invoke-with-response-stream": "InvokeModelWithResponseStream",
    "count-tokens": "CountTokens",
    "invocations": "InvokeEndpoint",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
}
_IN_ENDPOINT = {
    "invocations": SageMakerWire(streamed=False),
    "invocations-response-stream": SageMakerWire(streamed=True),
}
_POSTED = {
    "/v1/messages": _Known(ANTHROPIC, MessagesWire(bedrock=False), "Messages", streams=True),
    "/v1/messages/count_tokens": _Known(ANTHROPIC, MessagesCounter(), "CountMessageTokens"),
    "/v1/chat/completions": _Known(OPENAI, ChatWire(), "ChatCompletion", streams=True),
    "/v1/completions": _Known(OPENAI, CompletionsWire(), "Completion", streams=True),
    "/v1/responses": _Known(OPENAI, ResponsesWire(), "Response", streams=True),
    "/v1/responses/input_tokens": _Known(OPENAI, ResponsesCounter(), "CountResponseTokens"),
    "/openai/responses": _Known(OPENAI, ResponsesWire(), "Response", streams=True),
    "/v1/embeddings": _Known(OPENAI, EmbeddingsWire(), "Embeddings"),
    "/anthropic/v1/messages": _Known(BEDROCK, MessagesWire(bedrock=True), "Messages", streams=True),
    "/openai/v1/chat/completions": _Known(BEDROCK, ChatWire(), "ChatCompletion", streams=True),
    "/openai/v1/responses": _Known(BEDROCK, ResponsesWire(), "Response", streams=True),
}
_AZURE_CHAT = re.compile(r"/openai/deployments/[^/]+/chat/completions")
_EMBEDDER = InvokeEmbedder()
_DIRECTORY = ModelDirectory()
_CLAUDES = ClaudeDirectory()


def find_route(request: Request) -> Route | None:
    """What a request is for; None when no service has its path."""
    if request.method == "GET" and request.raw_path == "/v1/models":
        if "anthropic-version" in request.headers:
            return Route(ANTHROPIC, _CLAUDES, "ListModels", None, stream=False)
        return Route(OPENAI, _DIRECTORY, "ListModels", None, stream=False)
    if request.method != "POST":
        return None
    known = _POSTED.get(_AZURE_CHAT.sub("/v1/chat/completions", request.raw_path))
    return _find_in_path(request) if known is None else _read_head(request, known)


def _read_head(request: Request, known: _Known) -> Route:
    try:
        head = msgspec.json.decode(request.body, type=_Head)
    except msgspec.DecodeError:
        head = _Head()
    stream = known.streams and head.stream is True
    operation = f"{known.operation}Stream" if stream else known.operation
    return Route(known.service, known.speaker, operation, head.model or None, stream)


def _find_in_path(request: Request) -> Route | None:
    if len(request.segments) != 3:
        return None
    kind, name, last = request.segments
    stream = last.endswith("stream")
    if kind == "model" and last in _IN_MODEL:
        embeds = last == "invoke" and is_embedding_model(name)
        return Route(BEDROCK, _EMBEDDER if embeds else _IN_MODEL[last], _OPERATIONS[last], name, stream)
    if kind == "endpoints" and last in _IN_ENDPOINT:
        return Route(SAGEMAKER, _IN_ENDPOINT[last], _OPERATIONS[last], name, stream)
    return None
