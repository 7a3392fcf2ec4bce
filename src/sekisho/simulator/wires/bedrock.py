"""Bedrock's operations beside conversations: CountTokens, and InvokeModel with embedding models."""

import base64
import re
from typing import Any, Literal

import msgspec
from msgspec import Struct

from sekisho.simulator.accounting import count_text
from sekisho.simulator.errors import Refusal, invalid
from sekisho.simulator.http import Request
from sekisho.simulator.model import load_service_model
from sekisho.simulator.prompt import Prompt
from sekisho.simulator.tasks import read_directive
from sekisho.simulator.vectors import make_vector
from sekisho.simulator.wires.aws import decode_object, write_aws_error
from sekisho.simulator.wires.base import Counter, Embedded, Embedder
from sekisho.simulator.wires.converse.read import read_converse
from sekisho.simulator.wires.converse.rules import check_converse
from sekisho.simulator.wires.messages import read_invoke

_EMBEDDING_MODEL = re.compile(r"titan-embed|cohere\.embed")
_MOST_TEXTS = 96
_LONGEST_TEXT = 2048


class TokenCounter(Counter):
    """CountTokens, of what Converse or InvokeModel would be asked."""

    def read(self, request: Request, model: str) -> Prompt:
        """What is to be counted."""
        body = decode_object(request.body)
        load_service_model().check_request("CountTokens", model, body, request.headers)
        question = body["input"]
        if question.get("converse") is None:
            return read_invoke(model, base64.b64decode(question["invokeModel"]["body"]))
        prompt = read_converse(model, question["converse"])
        check_converse(prompt)
        return prompt

    def write_count(self, tokens: int) -> dict[str, Any]:
        """The answer."""
        return {"inputTokens": tokens}

    def write_error(self, error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
        """AWS's shape."""
        return write_aws_error(error)


def is_embedding_model(model: str) -> bool:
    """Whether InvokeModel makes vectors with a model."""
    return _EMBEDDING_MODEL.search(model) is not None


class InvokeEmbedder(Embedder):
    """InvokeModel with Titan's and Cohere's embedding models."""

    def embed(self, request: Request, model: str) -> Embedded:
        """The vectors in the model's own document; the header tells the tokens, Cohere's document does not."""
        load_service_model().check_request("InvokeModel", model, {"body": request.body}, request.headers)
        return _embed_cohere(model, request.body) if "cohere" in model else _embed_titan(model, request.body)

    def write_error(self, error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
        """AWS's shape."""
        return write_aws_error(error)


class _TitanFirst(Struct, kw_only=True, forbid_unknown_fields=True):
    inputText: str  # noqa: N815 - the model's name for it


class _Titan(Struct, kw_only=True, forbid_unknown_fields=True):
    inputText: str  # noqa: N815 - the model's name for it
    dimensions: Literal[256, 512, 1024] = 1024
    normalize: bool = True
    embeddingTypes: tuple[Literal["float", "binary"], ...] = ("float",)  # noqa: N815 - the model's name for it


class _Cohere(Struct, kw_only=True, forbid_unknown_fields=True):
    texts: list[str]
    input_type: Literal["search_document", "search_query", "classification", "clustering"]
    truncate: Literal["NONE", "START", "END", "LEFT", "RIGHT"] = "NONE"
    embedding_types: list[Literal["float", "int8", "uint8", "binary", "ubinary"]] = []
    output_dimension: Literal[256, 512, 1024, 1536] = 1536
    max_tokens: int | None = None


def _embed_titan(model: str, raw: bytes) -> Embedded:
    if "titan-embed-text-v2" in model:
        body = _convert(raw, _Titan)
        text, vector = body.inputText, make_vector(body.inputText, body.dimensions)
        by_type: dict[str, Any] = {"float": vector, "binary": [int(number > 0) for number in vector]}
        document: dict[str, Any] = {"embeddingsByType": {kind: by_type[kind] for kind in body.embeddingTypes}}
        if "float" in body.embeddingTypes:
            document["embedding"] = vector
    else:
        text = _convert(raw, _TitanFirst).inputText
        document = {"embedding": make_vector(text, 1536)}
    if not text:
        raise _malformed("expected minLength: 1, actual: 0")
    tokens = count_text(text)
    return _pack({**document, "inputTextTokenCount": tokens}, text, tokens)


def _embed_cohere(model: str, raw: bytes) -> Embedded:
    fields = _drop_unknown(raw)
    newest = "embed-v4" in model
    if not newest and "output_dimension" in fields:
        raise _malformed("extraneous key [output_dimension] is not permitted")
    body = _convert(raw, _Cohere)
    if not 1 <= len(body.texts) <= _MOST_TEXTS:
        raise _malformed(f"#/texts: expected 1 to {_MOST_TEXTS} items, found: {len(body.texts)}")
    longest = max(map(len, body.texts))
    if not newest and longest > _LONGEST_TEXT:
        raise _malformed(f"expected maxLength: {_LONGEST_TEXT}, actual: {longest}")
    size = body.output_dimension if newest else 1024
    vectors = [make_vector(text, size) for text in body.texts]
    kinds = body.embedding_types
    document: dict[str, Any] = {
        "id": "simulated-embedding",
        "texts": body.texts,
        "embeddings": {kind: vectors if kind == "float" else _round(vectors) for kind in kinds} if kinds else vectors,
        "response_type": "embeddings_by_type" if kinds else "embeddings_floats",
    }
    return _pack(document, body.texts[0], sum(map(count_text, body.texts)))


def _round(vectors: list[list[float]]) -> list[list[int]]:
    return [[round(number * 127) for number in vector] for vector in vectors]


def _pack(document: dict[str, Any], text: str, tokens: int) -> Embedded:
    directive = read_directive(text)
    headers = {"x-amzn-bedrock-input-token-count": str(tokens), "x-amzn-bedrock-invocation-latency": "0"}
    extra = directive.extra if directive else {}
    return Embedded(document={**document, **extra}, tokens=tokens, headers=headers)


def _convert(raw: bytes, body_type: type[Any]) -> Any:
    try:
        return msgspec.convert(_drop_unknown(raw), body_type)
    except msgspec.ValidationError as error:
        raise _malformed(str(error)) from None


def _drop_unknown(raw: bytes) -> dict[str, Any]:
    """The fields without those that begin with `x_`, which stand for what is not known yet."""
    return {name: value for name, value in decode_object(raw).items() if not name.startswith("x_")}


def _malformed(words: str) -> Refusal:
    return invalid(f"Malformed input request: {words}, please reformat your input and try again.")
