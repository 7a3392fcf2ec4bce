"""The client's side of Chat Completions: OpenAI, and whoever serves its format."""

from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.events import ChatAnswer
from sekisho.core.model import ModelFacts
from sekisho.core.wire import StreamReader, WireAnswer, WireRequest, WriteOptions
from sekisho.dialects.openai_chat.envelope import FAMILY
from sekisho.dialects.openai_chat.upstream_answer import read_answer
from sekisho.dialects.openai_chat.upstream_request import pass_request, write_request
from sekisho.dialects.openai_chat.upstream_stream import ChunkReader


class OpenAIChatUpstream:
    """Writes requests of Chat Completions and reads their answers."""

    family = FAMILY

    def write_request(self, chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """A translated body. Raises Unsupported for what must not be dropped."""
        return write_request(chat, facts, options)

    def pass_request(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest | None:
        """The client's own body; None when it has to be translated."""
        return pass_request(call, facts, options)

    def read_answer(self, answer: WireAnswer, request: WireRequest) -> ChatAnswer:
        """A `chat.completion` object. Raises WireFault."""
        return read_answer(answer, request)

    def stream_reader(self, request: WireRequest) -> StreamReader:
        """A reader of `chat.completion.chunk` objects."""
        return ChunkReader(request)
