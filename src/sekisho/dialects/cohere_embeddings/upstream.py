"""Writes texts for Cohere's Embed and reads its vectors (Bedrock's user guide, "Cohere Embed models")."""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from sekisho.core.chat import ClientCall, EmbeddingRequest
from sekisho.core.events import EmbeddingAnswer
from sekisho.core.model import ModelFacts
from sekisho.core.usage import Usage
from sekisho.core.wire import WireAnswer, WireFault, WireRequest, WriteOptions
from sekisho.dialects.common.omissions import Omissions

_MOST_TEXTS: Final = 96
_DEFAULT_TYPE: Final = "search_document"
_DIMENSIONS_OF_THIRD: Final = 1024
_DIMENSIONS_OF_FOURTH: Final = (256, 512, 1024, 1536)
_TOKENS_HEADER: Final = "x-amzn-bedrock-input-token-count"


class _ByType(Struct):
    float: list[list[float]]


class _Response(Struct):
    """`embeddings` is by type where types were asked for, and where the model sees fit."""

    embeddings: list[list[float]] | _ByType


_decode = msgspec.json.Decoder(_Response).decode


class CohereEmbeddings:
    """Up to 96 texts per request. What they are for is told by `input_type`; indexing where the client says nothing."""

    family = "cohere_embeddings"

    def write_requests(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> Sequence[WireRequest]:
        """As many requests as the texts need. Raises Unsupported for dimensions that the model does not have."""
        notes = Omissions(drop_params=options.drop_params)
        wanted = call.embedding
        settings = _write_settings(wanted, notes, fourth="embed-v4" in options.model)
        batches = [wanted.inputs[at : at + _MOST_TEXTS] for at in range(0, len(wanted.inputs), _MOST_TEXTS)]
        return [
            WireRequest(body=msgspec.json.encode({"texts": texts, **settings}), dropped=notes.fields)
            for texts in batches
        ]

    def read_answers(self, answers: Sequence[WireAnswer]) -> EmbeddingAnswer:
        """The vectors of all batches.

        The tokens stand in a header of Bedrock's alone. Where one of the answers lacks it, the usage is all zero, so
        that the gateway estimates it. Raises WireFault.
        """
        vectors: list[list[float]] = []
        for answer in answers:
            vectors += _read_vectors(answer.body)
        counts = [answer.headers.get(_TOKENS_HEADER, "") for answer in answers]
        told = all(count.isascii() and count.isdigit() and len(count) <= 12 for count in counts)
        return EmbeddingAnswer(vectors=vectors, usage=Usage(input=sum(map(int, counts))) if told else Usage())


def _write_settings(wanted: EmbeddingRequest, notes: Omissions, *, fourth: bool) -> dict[str, object]:
    settings: dict[str, object] = {"input_type": wanted.input_type or _DEFAULT_TYPE}
    allowed = _DIMENSIONS_OF_FOURTH if fourth else (_DIMENSIONS_OF_THIRD,)
    if wanted.dimensions is not None and wanted.dimensions not in allowed:
        known = ", ".join(map(str, allowed))
        notes.refuse("dimensions", f"The model's vectors have {known} dimensions, not {wanted.dimensions}.")
    elif wanted.dimensions is not None and fourth:
        settings["output_dimension"] = wanted.dimensions
    for name, value in wanted.extras.items():
        if name == "truncate" and isinstance(value, str):
            settings[name] = value
        else:
            notes.drop(name)
    return settings


def _read_vectors(body: bytes) -> list[list[float]]:
    try:
        embeddings = _decode(body).embeddings
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireFault("corrupt", f"the answer is no list of Cohere's embeddings: {error}") from error
    return embeddings.float if isinstance(embeddings, _ByType) else embeddings
