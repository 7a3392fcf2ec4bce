"""Amazon Bedrock's Converse, ConverseStream and CountTokens."""

from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.events import ChatAnswer
from sekisho.core.model import ModelFacts
from sekisho.core.wire import ChatClient, StreamReader, UpstreamDialect, WireAnswer, WireRequest, WriteOptions
from sekisho.dialects.bedrock_converse.calling.answer import read_answer
from sekisho.dialects.bedrock_converse.calling.counting import read_count, write_count_request
from sekisho.dialects.bedrock_converse.calling.passing import pass_count_request, pass_request
from sekisho.dialects.bedrock_converse.calling.request import write_request
from sekisho.dialects.bedrock_converse.calling.stream import ConverseStreamReader
from sekisho.dialects.bedrock_converse.forms import COUNT_ENDING
from sekisho.dialects.bedrock_converse.serving.client import ConverseClient

name = "bedrock_converse"


class BedrockConverse:
    """Converse from the client's side: writes requests and reads answers."""

    family = name

    def write_request(self, chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """The body for Converse or ConverseStream. Raises Unsupported for what must not be dropped."""
        return write_request(chat, facts, options)

    def pass_request(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest | None:
        """The client's own body with the gateway's edits. Raises InvalidRequest for a broken one."""
        return pass_request(call, facts, options)

    def read_answer(self, answer: WireAnswer, request: WireRequest) -> ChatAnswer:
        """A whole answer of Converse. Raises WireFault."""
        return read_answer(answer, request)

    def stream_reader(self, request: WireRequest) -> StreamReader:
        """A reader for the event stream of ConverseStream."""
        return ConverseStreamReader(request)

    def write_count_request(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """The body for CountTokens; that of CountTokens' own clients is passed on. Raises Unsupported."""
        if call.family == self.family and call.path.endswith(COUNT_ENDING):
            return pass_count_request(call)
        return write_count_request(call, facts, options)

    def read_count(self, answer: WireAnswer) -> int:
        """The number of input tokens that CountTokens tells. Raises WireFault."""
        return read_count(answer)


client: ChatClient = ConverseClient(name)
upstream: UpstreamDialect = BedrockConverse()
