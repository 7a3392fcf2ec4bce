"""The client's side of Chat Completions: OpenAI, and whoever serves its format."""

from sekisho.core.wire import StreamReader, WireRequest
from sekisho.dialects.openai_chat.envelope import FAMILY
from sekisho.dialects.openai_chat.upstream_answer import read_answer
from sekisho.dialects.openai_chat.upstream_request import pass_request, write_request
from sekisho.dialects.openai_chat.upstream_stream import ChunkReader


class OpenAIChatUpstream:
    """Writes requests of Chat Completions and reads their answers."""

    family = FAMILY
    write_request = staticmethod(write_request)
    pass_request = staticmethod(pass_request)
    read_answer = staticmethod(read_answer)

    def stream_reader(self, request: WireRequest) -> StreamReader:
        """A reader of `chat.completion.chunk` objects."""
        return ChunkReader(request)
