"""The server's side of Completions."""

from typing import Final

from sekisho.core.chat import ClientCall
from sekisho.core.errors import InternalError, SekishoError
from sekisho.core.events import ChatAnswer
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, Endpoint, HeaderPairs, Inbound, StreamWriter
from sekisho.dialects.common.openai import STREAM_TYPE, write_error, write_headers
from sekisho.dialects.openai_completions.answer import CompletionWriter, write_answer
from sekisho.dialects.openai_completions.request import FAMILY, read_call, read_echo

_PATHS: Final = (
    "/v1/completions",
    "/completions",
    "/openai/v1/completions",
    "/openai/deployments/{model}/completions",
    "/v1/engines/{model}/completions",
    "/engines/{model}/completions",
)


class OpenAICompletions:
    """Reads calls of Completions and writes their answers."""

    family = FAMILY
    endpoints = tuple(Endpoint(path=path, call_type="atext_completion") for path in _PATHS)
    stream_type = STREAM_TYPE

    def read_call(self, inbound: Inbound) -> ClientCall:
        """The envelope of a request. Raises InvalidRequest naming the field."""
        return read_call(inbound)

    def write_answer(self, answer: ChatAnswer, head: AnswerHead, call: ClientCall, cost: int | None) -> bytes:
        """A `text_completion` object."""
        return write_answer(answer, head, cost, read_echo(call.members))

    def stream_writer(self, head: AnswerHead, call: ClientCall) -> StreamWriter:
        """A writer of `text_completion` chunks."""
        # Only a translated call has been read; one that was passed on is answered by its upstream, echo and all.
        echo = read_echo(call.members) if call.known is not None else ""
        return CompletionWriter(head, include_usage=call.include_usage, echo=echo)

    def write_count(self, tokens: int) -> bytes:
        """Never asked for: no endpoint counts tokens. Raises InternalError."""
        raise InternalError("Completions has no endpoint that counts tokens.")

    def write_error(self, error: SekishoError) -> bytes:
        """The JSON body of an error response."""
        return write_error(error)

    def answer_headers(self, call_id: str, usage: Usage | None) -> HeaderPairs:
        """The request's id, under OpenAI's name for it."""
        return write_headers(call_id)
