"""Amazon Bedrock's Converse and ConverseStream, from the client's side."""

from sekisho.core.chat import ChatRequest
from sekisho.core.events import ChatAnswer
from sekisho.core.model import ModelFacts
from sekisho.core.wire import StreamReader, UpstreamDialect, WireRequest, WriteOptions
from sekisho.dialects.bedrock_converse.answer import read_answer
from sekisho.dialects.bedrock_converse.request import write_request
from sekisho.dialects.bedrock_converse.stream import ConverseStreamReader

name = "bedrock_converse"


class BedrockConverse:
    """Writes requests for Converse and reads its answers."""

    def write_request(self, chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """The body for Converse or ConverseStream. Raises Unsupported for what must not be dropped."""
        return write_request(chat, facts, options)

    def read_answer(self, body: bytes, request: WireRequest) -> ChatAnswer:
        """A whole answer of Converse. Raises WireFault."""
        return read_answer(body, request)

    def stream_reader(self, request: WireRequest) -> StreamReader:
        """A reader for the event stream of ConverseStream."""
        return ConverseStreamReader(request)


upstream: UpstreamDialect = BedrockConverse()
