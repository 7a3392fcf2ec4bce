"""OpenAI's Responses API, from the server's side."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from sekisho.core.chat import ClientCall
from sekisho.core.errors import SekishoError
from sekisho.core.events import ChatAnswer
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, Endpoint, HeaderPairs, Inbound, KeepingWriter
from sekisho.dialects.common.openai import STREAM_TYPE, write_error, write_headers
from sekisho.dialects.openai_responses.names import COMPACT, COUNT, FAMILY
from sekisho.dialects.openai_responses.serving import continuation
from sekisho.dialects.openai_responses.serving.answer import write_answer
from sekisho.dialects.openai_responses.serving.envelope import read_call
from sekisho.dialects.openai_responses.serving.stream import EventWriter

_PREFIXES: Final = ("/v1/responses", "/responses", "/openai/v1/responses")


class OpenAIResponsesClient:
    """Responses, their compaction, and the count of their input tokens. Its answers can be gone on from."""

    family = FAMILY
    stream_type = STREAM_TYPE
    endpoints = (
        *(Endpoint(path=prefix, call_type="aresponses") for prefix in _PREFIXES),
        *(Endpoint(path=prefix + COMPACT, call_type="acompact_responses", stream=False) for prefix in _PREFIXES),
        *(
            Endpoint(path=prefix + COUNT, call_type="acount_tokens", operation="count_tokens", stream=False)
            for prefix in _PREFIXES
        ),
    )

    def read_call(self, inbound: Inbound) -> ClientCall:
        """The envelope of a request. Raises InvalidRequest."""
        return read_call(inbound)

    def write_answer(self, answer: ChatAnswer, head: AnswerHead, call: ClientCall, cost: int | None) -> bytes:
        """A `response` object, or a `response.compaction`."""
        return write_answer(answer, head, call, cost)

    def stream_writer(self, head: AnswerHead, call: ClientCall) -> KeepingWriter:
        """A writer of the events of one answer."""
        return EventWriter(head, call)

    def write_count(self, tokens: int) -> bytes:
        """The number of input tokens."""
        return msgspec.json.encode({"object": "response.input_tokens", "input_tokens": tokens})

    def write_error(self, error: SekishoError) -> bytes:
        """An error object."""
        return write_error(error)

    def answer_headers(self, call_id: str, usage: Usage | None) -> HeaderPairs:
        """The request's id."""
        return write_headers(call_id)

    def builds_on(self, call: ClientCall) -> Sequence[str]:
        """The ids of the kept answers that a call refers to."""
        return continuation.builds_on(call)

    def resume(self, call: ClientCall, kept: Mapping[str, bytes]) -> None:
        """Puts what was kept in place of what refers to it. Raises InvalidRequest for what is missing."""
        continuation.resume(call, kept)

    def keep(self, call: ClientCall, answer: bytes) -> tuple[str, bytes] | None:
        """An answer's id, and what is to be kept."""
        return continuation.keep(call, answer)

    def show_kept(self, kept: bytes) -> bytes:
        """The answer that was kept."""
        return continuation.show_kept(kept)
