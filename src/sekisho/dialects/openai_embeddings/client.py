"""The server's side of embeddings."""

from base64 import b64encode
from typing import Final

import msgspec

from sekisho.core.chat import ClientCall
from sekisho.core.errors import SekishoError
from sekisho.core.events import EmbeddingAnswer
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, Endpoint, HeaderPairs, Inbound
from sekisho.dialects.common.openai import write_error, write_headers
from sekisho.dialects.openai_embeddings.floats import pack_floats
from sekisho.dialects.openai_embeddings.request import FAMILY, read_call, read_encoding

_PATHS: Final = (
    "/v1/embeddings",
    "/embeddings",
    "/openai/v1/embeddings",
    "/openai/deployments/{model}/embeddings",
    "/v1/engines/{model}/embeddings",
    "/engines/{model}/embeddings",
)


class OpenAIEmbeddings:
    """Reads calls for embeddings and writes their vectors."""

    family = FAMILY
    endpoints = tuple(Endpoint(path=path, call_type="aembedding", operation="embeddings") for path in _PATHS)

    def read_call(self, inbound: Inbound) -> ClientCall:
        """The envelope of a request. Raises InvalidRequest naming the field."""
        return read_call(inbound)

    def write_embeddings(self, answer: EmbeddingAnswer, head: AnswerHead, call: ClientCall) -> bytes:
        """A list of `embedding` objects, each with numbers or base64 as the client wants them."""
        as_numbers = read_encoding(call.members, call.body) == "float"
        data = [
            {"object": "embedding", "index": index, "embedding": vector if as_numbers else _encode(vector)}
            for index, vector in enumerate(answer.vectors)
        ]
        usage = {"prompt_tokens": answer.usage.prompt, "total_tokens": answer.usage.total}
        return msgspec.json.encode({"object": "list", "data": data, "model": head.model, "usage": usage})

    def write_error(self, error: SekishoError) -> bytes:
        """The JSON body of an error response."""
        return write_error(error)

    def answer_headers(self, call_id: str, usage: Usage | None) -> HeaderPairs:
        """The request's id, under OpenAI's name for it."""
        return write_headers(call_id)


def _encode(vector: list[float]) -> str:
    return b64encode(pack_floats(vector)).decode()
