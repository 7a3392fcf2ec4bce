"""OpenAI Chat Completions, from the server's side."""

from typing import Final

from sekisho.core.chat import ClientCall
from sekisho.core.errors import SekishoError
from sekisho.core.events import ChatAnswer
from sekisho.core.wire import AnswerHead, ClientDialect, StreamWriter
from sekisho.dialects.openai_chat import answer as _answer
from sekisho.dialects.openai_chat import request as _request
from sekisho.dialects.openai_chat.stream import ChunkWriter


class _OpenAIChat:
    def read_request(self, body: bytes) -> ClientCall:
        return _request.read_request(body)

    def write_answer(self, answer: ChatAnswer, head: AnswerHead, cost: int | None) -> bytes:
        return _answer.write_answer(answer, head, cost)

    def stream_writer(self, head: AnswerHead, *, include_usage: bool) -> StreamWriter:
        return ChunkWriter(head, include_usage=include_usage)

    def write_error(self, error: SekishoError) -> bytes:
        return _answer.write_error(error)


name: Final = "openai_chat"
client: Final[ClientDialect] = _OpenAIChat()
