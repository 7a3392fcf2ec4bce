"""Writes texts for Titan and reads its vectors (Bedrock's user guide, "Amazon Titan Embeddings G1 - Text")."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from sekisho.core.chat import ClientCall, EmbeddingRequest
from sekisho.core.events import EmbeddingAnswer
from sekisho.core.model import ModelFacts
from sekisho.core.usage import Usage
from sekisho.core.wire import WireAnswer, WireFault, WireRequest, WriteOptions
from sekisho.dialects.common.omissions import Omissions

_SECOND: Final = "titan-embed-text-v2"
_DIMENSIONS_OF_FIRST: Final = 1536
_DIMENSIONS_OF_SECOND: Final = (256, 512, 1024)


class _Response(Struct, rename="camel"):
    embedding: list[float]
    input_text_token_count: Annotated[int, Meta(ge=0, le=10**12)]


_decode = msgspec.json.Decoder(_Response).decode


class TitanEmbeddings:
    """The first version (also named G1) takes nothing but the text; the second also dimensions and `normalize`."""

    family = "titan_embeddings"

    def write_requests(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> Sequence[WireRequest]:
        """One request per text. Raises Unsupported for dimensions that the model does not have."""
        notes = Omissions(drop_params=options.drop_params)
        wanted = call.embedding
        settings = _write_settings(wanted, notes, second=_SECOND in options.model)
        if wanted.input_type is not None:
            notes.drop("input_type")
        return [
            WireRequest(body=msgspec.json.encode({"inputText": text, **settings}), dropped=notes.fields)
            for text in wanted.inputs
        ]

    def read_answers(self, answers: Sequence[WireAnswer]) -> EmbeddingAnswer:
        """The vectors, and the tokens of all texts together. Raises WireFault."""
        try:
            read = [_decode(answer.body) for answer in answers]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WireFault("corrupt", f"the answer is no embedding of Titan: {error}") from error
        tokens = sum(response.input_text_token_count for response in read)
        return EmbeddingAnswer(vectors=[response.embedding for response in read], usage=Usage(input=tokens))


def _write_settings(wanted: EmbeddingRequest, notes: Omissions, *, second: bool) -> dict[str, object]:
    settings: dict[str, object] = {}
    allowed = _DIMENSIONS_OF_SECOND if second else (_DIMENSIONS_OF_FIRST,)
    if wanted.dimensions is not None and wanted.dimensions not in allowed:
        known = ", ".join(map(str, allowed))
        notes.refuse("dimensions", f"The model's vectors have {known} dimensions, not {wanted.dimensions}.")
    elif wanted.dimensions is not None and second:
        settings["dimensions"] = wanted.dimensions
    for name, value in wanted.extras.items():
        if name == "normalize" and second and isinstance(value, bool):
            settings[name] = value
        else:
            notes.drop(name)
    return settings
