"""OpenAI's Responses API, of OpenAI and of Bedrock's path for it. Nothing is stored between calls."""

from collections.abc import Iterator
from typing import Any

from sekisho.simulator.errors import Refusal
from sekisho.simulator.http import Request
from sekisho.simulator.prompt import Prompt
from sekisho.simulator.wires.base import Counter, Envelope, Said, StreamEvent, Wire
from sekisho.simulator.wires.envelopes import ServerSentEvents
from sekisho.simulator.wires.openai.errors import write_openai_error
from sekisho.simulator.wires.openai.rules import decode_fields, require_model
from sekisho.simulator.wires.responses.read import COUNTED_FIELDS, KNOWN_FIELDS, read_response
from sekisho.simulator.wires.responses.stream import stream_response
from sekisho.simulator.wires.responses.write import write_failure, write_response


class ResponsesWire(Wire):
    """`POST /v1/responses`."""

    def read(self, request: Request, model: str) -> Prompt:
        """A prompt that the API allows."""
        require_model(model)
        return read_response(model, decode_fields(request, KNOWN_FIELDS))

    def write(self, said: Said) -> dict[str, Any]:
        """A whole response."""
        return write_response(said)

    def stream(self, said: Said) -> Iterator[StreamEvent]:
        """The events of a streamed response."""
        return stream_response(said)

    def envelope(self) -> Envelope:
        """Events with their names."""
        return ServerSentEvents(named=True)

    def break_off(self, said: Said, error: Refusal, after: int) -> StreamEvent:
        """The response, failed."""
        kind = "response.failed"
        return StreamEvent(kind, {"type": kind, "sequence_number": after, "response": write_failure(said, error)})

    def write_error(self, error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
        """OpenAI's shape."""
        return write_openai_error(error)


class ResponsesCounter(Counter):
    """`POST /v1/responses/input_tokens`."""

    def read(self, request: Request, model: str) -> Prompt:
        """What is to be counted."""
        require_model(model)
        return read_response(model, decode_fields(request, COUNTED_FIELDS))

    def write_count(self, tokens: int) -> dict[str, Any]:
        """The answer."""
        return {"object": "response.input_tokens", "input_tokens": tokens}

    def write_error(self, error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
        """OpenAI's shape."""
        return write_openai_error(error)
