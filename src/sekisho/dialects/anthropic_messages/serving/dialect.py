"""The server's side of the Messages API."""

from typing import Final

from sekisho.core.chat import ClientCall
from sekisho.core.errors import SekishoError
from sekisho.core.events import ChatAnswer
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, Endpoint, HeaderPairs, Inbound, StreamWriter
from sekisho.dialects.anthropic_messages.family import FAMILY
from sekisho.dialects.anthropic_messages.serving.answer import write_answer, write_count, write_error
from sekisho.dialects.anthropic_messages.serving.envelope import read_call
from sekisho.dialects.anthropic_messages.serving.stream import MessageWriter

# As Anthropic has it, under its own name as LiteLLM has it, and without a version as LiteLLM has its other paths.
_PATHS: Final = ("/v1/messages", "/anthropic/v1/messages", "/messages")


class AnthropicMessages:
    """Reads calls of the Messages API and writes their answers."""

    family = FAMILY
    endpoints = (
        *(Endpoint(path=path, call_type="anthropic_messages") for path in _PATHS),
        *(
            Endpoint(path=f"{path}/count_tokens", call_type="acount_tokens", operation="count_tokens")
            for path in _PATHS
        ),
    )
    stream_type = b"text/event-stream; charset=utf-8"

    def read_call(self, inbound: Inbound) -> ClientCall:
        """The envelope of a request. Raises InvalidRequest naming the field."""
        return read_call(inbound)

    def write_answer(self, answer: ChatAnswer, head: AnswerHead, call: ClientCall, cost: int | None) -> bytes:
        """A `message` object; the cost has no place in it."""
        return write_answer(answer, head)

    def stream_writer(self, head: AnswerHead, call: ClientCall) -> StreamWriter:
        """A writer of the events of a message."""
        return MessageWriter(head)

    def write_count(self, tokens: int) -> bytes:
        """The number of input tokens."""
        return write_count(tokens)

    def write_error(self, error: SekishoError) -> bytes:
        """The JSON body of an error response."""
        return write_error(error)

    def answer_headers(self, call_id: str, usage: Usage | None) -> HeaderPairs:
        """The request's id, under Anthropic's name for it."""
        return ((b"request-id", f"req_{call_id}".encode()),)
