"""Bedrock's Converse and ConverseStream."""

from collections.abc import Iterator
from typing import Any

from sekisho.simulator.errors import Refusal
from sekisho.simulator.http import Request
from sekisho.simulator.model import load_service_model
from sekisho.simulator.prompt import Prompt
from sekisho.simulator.wires.aws import decode_object, write_aws_error
from sekisho.simulator.wires.base import Envelope, Said, StreamEvent, Wire
from sekisho.simulator.wires.converse.read import read_converse
from sekisho.simulator.wires.converse.rules import check_converse
from sekisho.simulator.wires.converse.write import stream_converse, write_converse
from sekisho.simulator.wires.envelopes import EventStream


class ConverseWire(Wire):
    """Converse; `operation` is its name in the service model."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def read(self, request: Request, model: str) -> Prompt:
        """A prompt that the service model, Bedrock and the model allow."""
        body = decode_object(request.body)
        load_service_model().check_request(self._operation, model, body, request.headers)
        prompt = read_converse(model, body)
        check_converse(prompt)
        return prompt

    def write(self, said: Said) -> dict[str, Any]:
        """A whole answer."""
        return write_converse(said)

    def stream(self, said: Said) -> Iterator[StreamEvent]:
        """The events of a streamed answer."""
        return stream_converse(said)

    def envelope(self) -> Envelope:
        """One frame an event."""
        return EventStream()

    def write_error(self, error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
        """AWS's shape."""
        return write_aws_error(error)
