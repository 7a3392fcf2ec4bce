"""Amazon Bedrock's Converse, ConverseStream and CountTokens."""

from sekisho.core.chat import ClientCall
from sekisho.core.model import ModelFacts
from sekisho.core.wire import ChatClient, UpstreamDialect, WireRequest, WriteOptions
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

    write_request = staticmethod(write_request)
    pass_request = staticmethod(pass_request)
    read_answer = staticmethod(read_answer)
    stream_reader = ConverseStreamReader

    def write_count_request(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """The body for CountTokens; that of CountTokens' own clients is passed on. Raises Unsupported."""
        if call.family == self.family and call.path.endswith(COUNT_ENDING):
            return pass_count_request(call)
        return write_count_request(call, facts, options)

    read_count = staticmethod(read_count)


client: ChatClient = ConverseClient(name)
upstream: UpstreamDialect = BedrockConverse()
