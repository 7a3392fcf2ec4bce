"""Chat Completions behind a SageMaker endpoint: the body is OpenAI's, streams come in an envelope.

The envelope is an event-stream whose `PayloadPart` frames hold the container's own stream of server-sent events, cut
wherever SageMaker likes. Source: InvokeEndpointWithResponseStream in botocore's service model of sagemaker-runtime.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.events import ChatAnswer
from sekisho.core.model import ModelFacts
from sekisho.core.wire import Piece, StreamReader, WireAnswer, WireFault, WireRequest, WriteOptions
from sekisho.dialects.common.eventstream import FrameDecoder
from sekisho.dialects.openai_chat import upstream as openai_chat


class SageMakerChat:
    """Writes requests for a container behind an endpoint and reads its answers."""

    family = openai_chat.family

    def write_request(self, chat: ChatRequest, facts: ModelFacts, options: WriteOptions) -> WireRequest:
        """A translated body. Raises Unsupported for what must not be dropped."""
        return openai_chat.write_request(chat, facts, options)

    def pass_request(self, call: ClientCall, facts: ModelFacts, options: WriteOptions) -> WireRequest | None:
        """The client's own body."""
        return openai_chat.pass_request(call, facts, options)

    def read_answer(self, answer: WireAnswer, request: WireRequest) -> ChatAnswer:
        """A `chat.completion` object. Raises WireFault."""
        return openai_chat.read_answer(answer, request)

    def stream_reader(self, request: WireRequest) -> StreamReader:
        """A reader of an event-stream of `chat.completion.chunk` objects."""
        return PayloadReader(openai_chat.stream_reader(request))


class PayloadReader:
    """Takes the container's stream out of its frames; `payload` reads it."""

    def __init__(self, payload: StreamReader) -> None:
        self._frames = FrameDecoder()
        self._payload = payload

    @property
    def complete(self) -> bool:
        """Whether the container's stream has come to its proper end, and no frame is half read."""
        return self._payload.complete and self._frames.empty

    def feed(self, data: bytes) -> Sequence[Piece]:
        """The events that `data` completes.

        Raises:
            WireFault: SageMaker or the container said it failed, or this is no such stream (`corrupt`).
        """
        pieces: list[Piece] = []
        try:
            for headers, payload in self._frames.feed(data):
                if headers.get(":message-type") != "event":
                    raise _read_exception(headers, payload)
                if headers.get(":event-type") == "PayloadPart":
                    pieces += self._payload.feed(payload)
        except WireFault as fault:
            fault.before = (*pieces, *fault.before)
            raise
        return pieces


def _read_exception(headers: Mapping[str, str], payload: bytes) -> WireFault:
    """`ModelStreamError` tells in `ErrorCode` what it is; an `error` frame has its words in its headers."""
    try:
        document: Any = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    fields: dict[str, Any] = document if isinstance(document, dict) else {}
    code = fields.get("ErrorCode") or headers.get(":exception-type") or headers.get(":error-code")
    text = fields.get("Message") or fields.get("message") or headers.get(":error-message")
    return WireFault(
        code if isinstance(code, str) else "ModelStreamError",
        text if isinstance(text, str) else "the stream failed without a word",
    )
