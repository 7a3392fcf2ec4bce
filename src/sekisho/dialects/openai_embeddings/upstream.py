"""The client's side of embeddings: OpenAI, and whoever serves its format."""

from base64 import b64decode
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sekisho.core.chat import ClientCall
from sekisho.core.events import EmbeddingAnswer
from sekisho.core.model import ModelFacts
from sekisho.core.usage import Usage
from sekisho.core.wire import WireAnswer, WireFault, WireRequest, WriteOptions
from sekisho.dialects.common.members import write_members
from sekisho.dialects.common.omissions import Omissions
from sekisho.dialects.common.openai import ErrorObject, TokenUsage, read_fault, read_usage
from sekisho.dialects.common.openai_envelope import edit_members
from sekisho.dialects.openai_embeddings.floats import unpack_floats
from sekisho.dialects.openai_embeddings.request import FAMILY


class _Item(Struct):
    embedding: list[float] | str
    index: Annotated[int, Meta(ge=0)] = 0


class _Response(Struct):
    data: list[_Item] | None = None
    usage: TokenUsage | None = None
    error: ErrorObject | str | None = None


_decode = msgspec.json.Decoder(_Response).decode


class OpenAIEmbeddingsUpstream:
    """Asks for embeddings in OpenAI's format, in one request for all texts."""

    family = FAMILY

    def write_requests(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> Sequence[WireRequest]:
        """The client's own body where it speaks this format, else one of its texts. Raises Unsupported."""
        if call.family == FAMILY:
            return [WireRequest(body=write_members(edit_members(call, options)), native=True)]
        notes = Omissions(drop_params=options.drop_params)
        wanted = call.embedding
        body: dict[str, object] = {"model": options.model, "input": wanted.inputs, "encoding_format": "float"}
        if wanted.dimensions is not None:
            body["dimensions"] = wanted.dimensions
        if wanted.input_type is not None:
            notes.drop("input_type")
        for name in wanted.extras:
            notes.drop(name)
        return [WireRequest(body=msgspec.json.encode(body), dropped=notes.fields)]

    def read_answers(self, answers: Sequence[WireAnswer]) -> EmbeddingAnswer:
        """The vectors by their index. Usage that was not told is all zero. Raises WireFault."""
        (answer,) = answers
        try:
            response = _decode(answer.body)
            if response.error is not None:
                raise read_fault(response.error)
            if response.data is None:
                raise WireFault("corrupt", "the answer has no embeddings")
            items = sorted(response.data, key=lambda item: item.index)
            vectors = [_read_vector(item.embedding) for item in items]
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
            raise WireFault("corrupt", f"the answer is no list of embeddings: {error}") from error
        return EmbeddingAnswer(vectors=vectors, usage=read_usage(response.usage) or Usage())


def _read_vector(embedding: list[float] | str) -> list[float]:
    return unpack_floats(b64decode(embedding, validate=True)) if isinstance(embedding, str) else embedding
