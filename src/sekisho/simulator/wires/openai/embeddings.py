"""OpenAI's embeddings."""

import array
import base64
import sys
from typing import Any, Literal

from msgspec import Struct

from sekisho.simulator.accounting import count_text
from sekisho.simulator.errors import Refusal
from sekisho.simulator.http import Request
from sekisho.simulator.tasks import read_directive
from sekisho.simulator.vectors import make_vector
from sekisho.simulator.wires.base import Embedded, Embedder
from sekisho.simulator.wires.completions import read_token_text
from sekisho.simulator.wires.openai.errors import refuse, write_openai_error
from sekisho.simulator.wires.openai.rules import convert_fields, decode_fields, require_model

KNOWN_FIELDS = frozenset(("dimensions", "encoding_format", "input", "model", "user"))
"""The fields of OpenAI's embeddings, as the SDK has them."""
_MOST_INPUTS = 2048
_SIZES = {"text-embedding-3-large": 3072}
_USUAL_SIZE = 1536


class _Body(Struct, kw_only=True):
    input: str | list[Any]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] = "float"


class EmbeddingsWire(Embedder):
    """`POST /v1/embeddings`."""

    def embed(self, request: Request, model: str) -> Embedded:
        """One vector an input; the tokens are those of all inputs."""
        require_model(model)
        body = convert_fields(decode_fields(request, KNOWN_FIELDS), _Body)
        texts = _read_texts(body.input)
        size = _read_size(model, body.dimensions)
        data = [
            {"object": "embedding", "index": index, "embedding": _write(make_vector(text, size), body.encoding_format)}
            for index, text in enumerate(texts)
        ]
        tokens = sum(map(count_text, texts))
        directive = read_directive(texts[0])
        document = {
            "object": "list",
            "data": data,
            "model": model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            **(directive.extra if directive else {}),
        }
        return Embedded(document=document, tokens=tokens)

    def write_error(self, error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
        """OpenAI's shape."""
        return write_openai_error(error)


def _read_texts(given: str | list[Any]) -> list[str]:
    single = read_token_text(given)
    texts = [single] if single is not None else [read_token_text(value) for value in given]
    if not texts or len(texts) > _MOST_INPUTS or not all(texts):
        raise refuse("'$.input' is invalid. Please check the API reference: it takes 1 to 2048 inputs.", "input")
    return [text for text in texts if text]


def _read_size(model: str, dimensions: int | None) -> int:
    size = _SIZES.get(model, _USUAL_SIZE)
    if dimensions is None:
        return size
    if model.startswith("text-embedding-ada"):
        raise refuse("This model does not support specifying dimensions.", "dimensions")
    if not 1 <= dimensions <= size:
        raise refuse(f"Invalid value for 'dimensions': must be between 1 and {size}.", "dimensions", "invalid_value")
    return dimensions


def _write(vector: list[float], encoding: str) -> list[float] | str:
    if encoding == "float":
        return vector
    packed = array.array("f", vector)
    if sys.byteorder == "big":
        packed.byteswap()
    return base64.b64encode(packed.tobytes()).decode()
