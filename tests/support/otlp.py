"""A server that takes spans by OTLP over HTTP, and reads them with OpenTelemetry's own classes."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.servers import serve_app

_REQUEST: Any = ExportTraceServiceRequest
_SPAN: Any = Span


def read_request(body: bytes) -> Any:
    """The body of an export as OpenTelemetry's class for it."""
    return _REQUEST.FromString(body)


def read_span(body: bytes) -> Any:
    """A span as OpenTelemetry's class for it."""
    return _SPAN.FromString(body)


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> Any:
        return read_request(self.body)

    @property
    def spans(self) -> list[Any]:
        (resource,) = self.message.resource_spans
        (scope,) = resource.scope_spans
        return list(scope.spans)


@dataclass
class Sink:
    """What has come. `statuses` are what to answer next; 200 when there are none left."""

    url: str = ""
    requests: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    _came: threading.Condition = field(default_factory=threading.Condition)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        status = self.statuses.pop(0) if self.statuses else 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        with self._came:
            self.requests.append(Received(scope["path"], headers, body))
            self._came.notify_all()

    def wait_for(self, spans: int, path: str = "/v1/traces", trace: str = "") -> list[Any]:
        """The spans that came on this path, or those of one trace (hex), once there are so many."""
        deadline = monotonic() + 30
        with self._came:
            while len(found := self._find(path, trace)) < spans:
                assert self._came.wait(deadline - monotonic()), f"only {len(found)} spans"
        return found

    def _find(self, path: str, trace: str) -> list[Any]:
        spans = [span for one in self.requests if one.path == path for span in one.spans]
        return [span for span in spans if not trace or span.trace_id.hex() == trace]


@contextlib.contextmanager
def run_sink() -> Iterator[Sink]:
    sink = Sink()
    with serve_app(sink) as sink.url:
        yield sink


def attributes(span: Any) -> dict[str, Any]:
    """A span's attributes by key; every key may be there once."""
    pairs = [(pair.key, _value(pair.value)) for pair in span.attributes]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(member) for member in value.array_value.values]
    return getattr(value, kind)
