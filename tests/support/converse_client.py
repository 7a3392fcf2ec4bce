"""Talking to the Converse client dialect in tests, as boto3 would: with botocore's own parsers."""

from collections.abc import Iterator
from typing import Any

import msgspec
from botocore.eventstream import EventStream
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser

from sekisho.core.chat import ClientCall
from sekisho.core.wire import AnswerHead, Inbound
from sekisho.dialects.bedrock_converse import client
from tests.support.service_model import validate, validate_shape

_MODEL = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")
_PARSER = create_parser("rest-json")
HEAD = AnswerHead(call_id="0199-call", model="sonnet", created=1_790_000_000, elapsed_ms=lambda: 321)
HELLO = [{"role": "user", "content": [{"text": "hi"}]}]


def read_call(body: object, path: str = "/model/{model}/converse") -> ClientCall:
    """A call as it is read of a client's body, which may be JSON values or bytes."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    endpoint = next(endpoint for endpoint in client.endpoints if endpoint.path == path)
    return client.read_call(Inbound(endpoint=endpoint, body=raw, header=lambda name: None, model="sonnet"))


def converse(messages: object = HELLO, **fields: Any) -> ClientCall:
    """A call that satisfies the service model."""
    body = {"messages": messages, **fields}
    assert validate("Converse", {"modelId": "m", **body}) == []
    return read_call(body)


def parse_answer(body: bytes, operation: str = "Converse") -> Any:
    """A whole answer as botocore gives it to its user. Fails where the service model would not allow it."""
    shape = _MODEL.operation_model(operation).output_shape
    assert shape is not None
    parsed = _PARSER.parse({"status_code": 200, "headers": {}, "body": body}, shape)
    parsed.pop("ResponseMetadata")
    assert validate_shape(shape.name, msgspec.json.decode(body)) == []
    return parsed


def parse_error(status: int, headers: dict[str, str], body: bytes) -> Any:
    """An error as botocore reads it."""
    shape = _MODEL.operation_model("Converse").output_shape
    return _PARSER.parse({"status_code": status, "headers": headers, "body": body}, shape)["Error"]


class _Raw:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> Iterator[bytes]:
        yield self._data

    def close(self) -> None:
        pass


def parse_stream(data: bytes) -> list[Any]:
    """The events of a stream as botocore gives them to its user. Raises its EventStreamError for an exception frame."""
    shape = _MODEL.operation_model("ConverseStream").get_event_stream_output()
    parser = _PARSER._event_stream_parser
    events = list(EventStream(_Raw(data), shape, parser, "ConverseStream"))
    for event in events:
        kind, value = next(iter(event.items()))
        assert validate_shape(shape.members[kind].name, value) == []
    return events
