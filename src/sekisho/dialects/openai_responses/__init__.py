"""OpenAI's Responses API."""

from typing import Final

from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.events import ChatAnswer
from sekisho.core.model import ModelFacts
from sekisho.core.wire import ChatClient, StreamReader, UpstreamDialect, WireAnswer, WireRequest, WriteOptions
from sekisho.dialects.openai_responses.calling.answer import read_answer, read_count
from sekisho.dialects.openai_responses.calling.request import pass_request, write_count_request, write_request
from sekisho.dialects.openai_responses.calling.stream import ResponsesReader
from sekisho.dialects.openai_responses.names import FAMILY
from sekisho.dialects.openai_responses.serving.client import OpenAIResponsesClient

name: Final = FAMILY


class OpenAIResponses:
    """Responses from the client's side: OpenAI, and whoever serves its format."""

    family = FAMILY

    def write_request(self, chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """A translated body. Raises Unsupported for what must not be dropped."""
        return write_request(chat, facts, options)

    def pass_request(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest | None:
        """The client's own body; None when something in it can only be read here. Raises InvalidRequest."""
        return pass_request(call, facts, options)

    def read_answer(self, answer: WireAnswer, request: WireRequest) -> ChatAnswer:
        """A `response` object. Raises WireFault."""
        return read_answer(answer, request)

    def stream_reader(self, request: WireRequest) -> StreamReader:
        """A reader of the events of an answer."""
        return ResponsesReader(request)

    def write_count_request(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """The question for the number of input tokens. Raises Unsupported."""
        return write_count_request(call, facts, options)

    def read_count(self, answer: WireAnswer) -> int:
        """The number of input tokens. Raises WireFault."""
        return read_count(answer)


client: Final[ChatClient] = OpenAIResponsesClient()
upstream: Final[UpstreamDialect] = OpenAIResponses()
