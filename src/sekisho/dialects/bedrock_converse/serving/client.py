"""Converse, ConverseStream and CountTokens as APIs of the gateway."""

from collections.abc import Sequence
from typing import Final

import msgspec

from sekisho.core.chat import ClientCall
from sekisho.core.errors import SekishoError
from sekisho.core.events import ChatAnswer
from sekisho.core.usage import Usage
from sekisho.core.wire import AnswerHead, Endpoint, HeaderPairs, Inbound, StreamWriter
from sekisho.dialects.bedrock_converse.forms import COUNT_ENDING
from sekisho.dialects.bedrock_converse.serving.answer import write_answer
from sekisho.dialects.bedrock_converse.serving.call import read_call
from sekisho.dialects.bedrock_converse.serving.stream import ConverseStreamWriter
from sekisho.dialects.common.bedrock_errors import bedrock_error


def _list_endpoints() -> list[Endpoint]:
    """Under the runtime's own paths, and under LiteLLM's prefix for them."""
    endpoints: list[Endpoint] = []
    for prefix in ("", "/bedrock"):
        model = f"{prefix}/model/{{model}}"
        endpoints += [
            Endpoint(path=f"{model}/converse", call_type="aconverse", stream=False),
            Endpoint(path=f"{model}/converse-stream", call_type="aconverse_stream", stream=True),
            Endpoint(path=f"{model}{COUNT_ENDING}", call_type="acount_tokens", operation="count_tokens", stream=False),
        ]
    return endpoints


class ConverseClient:
    """Converse from the server's side."""

    stream_type: Final = b"application/vnd.amazon.eventstream"

    def __init__(self, family: str) -> None:
        self.family = family
        self.endpoints: Sequence[Endpoint] = _list_endpoints()

    def read_call(self, inbound: Inbound) -> ClientCall:
        """What concerns the gateway of a request. Raises InvalidRequest naming the field."""
        return read_call(inbound, self.family)

    def write_error(self, error: SekishoError) -> bytes:
        """An error as the AWS SDKs expect it, its exception's name in `__type`."""
        return bedrock_error(error)[1]

    def answer_headers(self, call_id: str, usage: Usage | None) -> HeaderPairs:
        """The request's id."""
        return [(b"x-amzn-requestid", call_id.encode())]

    def write_answer(self, answer: ChatAnswer, head: AnswerHead, call: ClientCall, cost: int | None) -> bytes:
        """A whole answer; Converse has no place for the cost."""
        return write_answer(answer, head, call)

    def stream_writer(self, head: AnswerHead, call: ClientCall) -> StreamWriter:
        """A writer for one answer of ConverseStream."""
        return ConverseStreamWriter(head, call)

    def write_count(self, tokens: int) -> bytes:
        """The answer of CountTokens."""
        return msgspec.json.encode({"inputTokens": tokens})
