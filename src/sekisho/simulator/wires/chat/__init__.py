"""OpenAI's chat completions: of OpenAI and compatible servers, of Bedrock's path, and of SageMaker's containers."""

from collections.abc import Iterator
from typing import Any

import msgspec

from sekisho.simulator.errors import Refusal
from sekisho.simulator.http import Request
from sekisho.simulator.prompt import Prompt
from sekisho.simulator.wires.base import Envelope, Said, StreamEvent, Wire
from sekisho.simulator.wires.chat.read import known_fields, read_chat
from sekisho.simulator.wires.chat.write import stream_chat, write_chat
from sekisho.simulator.wires.envelopes import PayloadParts, ServerSentEvents
from sekisho.simulator.wires.openai.errors import INVALID, refuse, word_error, write_openai_error
from sekisho.simulator.wires.openai.rules import decode_fields, require_model

_SAGEMAKER_WORDS = {
    "InternalServerException": "InternalFailure",
    "ServiceUnavailableException": "ServiceUnavailable",
    "ValidationException": "ValidationError",
}


class ChatWire(Wire):
    """`POST /v1/chat/completions`."""

    def read(self, request: Request, model: str) -> Prompt:
        """A prompt that the API allows."""
        require_model(model)
        return read_chat(model, decode_fields(request, known_fields(model)))

    def write(self, said: Said) -> dict[str, Any]:
        """A whole answer."""
        return write_chat(said)

    def stream(self, said: Said) -> Iterator[StreamEvent]:
        """The chunks of a streamed answer."""
        return stream_chat(said)

    def envelope(self) -> Envelope:
        """Events without names."""
        return ServerSentEvents(named=False)

    def break_off(self, said: Said, error: Refusal, after: int) -> StreamEvent:
        """An object with `error` instead of a chunk."""
        return StreamEvent("error", word_error(error))

    def write_error(self, error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
        """OpenAI's shape."""
        return write_openai_error(error)


class SageMakerWire(ChatWire):
    """The chat completions of a SageMaker endpoint's container; the model is the endpoint's name."""

    def __init__(self, *, streamed: bool) -> None:
        self._streamed = streamed

    def read(self, request: Request, model: str) -> Prompt:
        """A prompt that the container allows. It streams when its body says so, whichever path was called."""
        prompt = super().read(request, model)
        if bool(prompt.raw.get("stream")) != self._streamed:
            raise refuse("The simulated container streams only when the path and the field 'stream' agree.", "stream")
        return prompt

    def envelope(self) -> Envelope:
        """The container's events in parts."""
        return PayloadParts()

    def write_error(self, error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
        """SageMaker's own errors, and its error for those of the container."""
        if error.kind == INVALID:
            status, headers, document = write_openai_error(error)
            original = msgspec.json.encode(document).decode()
            error_type, message = (
                "ModelError",
                f'Received client error ({status}) from primary with message "{original}".',
            )
            more: dict[str, Any] = {"OriginalStatusCode": status, "OriginalMessage": original, "LogStreamArn": ""}
            status = 424
        else:
            error_type, message, more = _SAGEMAKER_WORDS.get(error.kind, error.kind), error.words, {}
            status, headers = error.status, error.headers
        return status, {**headers, "x-amzn-errortype": error_type}, {"Message": message, **more}
