"""The server's side of Chat Completions."""

from typing import Final

from sekisho.core.chat import ClientCall
from sekisho.core.errors import InternalError
from sekisho.core.events import ChatAnswer
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, Endpoint, HeaderPairs, StreamWriter
from sekisho.dialects.common.openai import STREAM_TYPE, write_error, write_headers
from sekisho.dialects.openai_chat.answer import write_answer
from sekisho.dialects.openai_chat.envelope import FAMILY, read_call
from sekisho.dialects.openai_chat.stream import ChunkWriter

# With and without a version, as Azure has it, and by engine, which is how OpenAI's oldest clients name a model.
_PATHS: Final = (
    "/v1/chat/completions",
    "/chat/completions",
    "/openai/v1/chat/completions",
    "/openai/deployments/{model}/chat/completions",
    "/v1/engines/{model}/chat/completions",
    "/engines/{model}/chat/completions",
)


class OpenAIChat:
    """Reads calls of Chat Completions and writes their answers."""

    family = FAMILY
    endpoints = tuple(Endpoint(path=path, call_type="acompletion") for path in _PATHS)
    stream_type = STREAM_TYPE
    read_call = staticmethod(read_call)
    write_error = staticmethod(write_error)

    def write_answer(self, answer: ChatAnswer, head: AnswerHead, call: ClientCall, cost: int | None) -> bytes:
        """A `chat.completion` object."""
        return write_answer(answer, head, cost)

    def stream_writer(self, head: AnswerHead, call: ClientCall) -> StreamWriter:
        """A writer of `chat.completion.chunk` objects."""
        return ChunkWriter(head, include_usage=call.include_usage)

    def write_count(self, tokens: int) -> bytes:
        """Never asked for: no endpoint counts tokens. Raises InternalError."""
        raise InternalError("Chat Completions has no endpoint that counts tokens.")

    def answer_headers(self, call_id: str, usage: Usage | None) -> HeaderPairs:
        """The request's id, under OpenAI's name for it."""
        return write_headers(call_id)
