"""Where spans are sent to, read from the environment under the names of OpenTelemetry, LiteLLM and Langfuse.

OpenTelemetry's are those of its "Protocol Exporter" and "SDK Environment Variables" specifications, LiteLLM's those of
its `otel` and `langfuse_otel` callbacks.
"""

import socket
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

from msgspec import Struct

_TRACES: Final = "/v1/traces"
_OTEL_CALLBACKS: Final = frozenset({"otel", "opentelemetry"})
_LANGFUSE_CALLBACKS: Final = frozenset({"langfuse", "langfuse_otel"})
_LANGFUSE_CLOUD: Final = "https://us.cloud.langfuse.com"
_PROTOCOLS: Final = frozenset({"http/protobuf", "otlp_http", "http/json", "otlp"})


class Destination(Struct, frozen=True, kw_only=True):
    """A server that takes spans by OTLP over HTTP. `name` is that of the callback, for metrics; `url` is complete."""

    name: str
    url: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        # The headers hold credentials, and so may the address.
        return f"Destination(name={self.name!r})"


class Export(Struct, frozen=True, kw_only=True):
    """How spans are sent.

    resource: what OpenTelemetry calls the resource: who sends them. environment: the same for Langfuse.
    queue: calls that may wait for each destination; batch: how many go at once; delay: seconds that they wait at most.
    problems: what is configured and cannot be done, in words for the log.
    """

    destinations: tuple[Destination, ...] = ()
    resource: Mapping[str, str] = {}
    environment: str | None = None
    queue: int = 8192
    batch: int = 512
    delay: float = 5.0
    problems: tuple[str, ...] = ()


def read_export(callbacks: Sequence[str], environ: Mapping[str, str], version: str) -> Export:
    """What the callbacks of `litellm_settings` and the environment say; nothing is sent where neither says where to."""
    problems: list[str] = []
    otel = _read_otel(callbacks, environ, problems)
    found = [one for one in (otel, _read_langfuse(callbacks, environ, problems)) if one is not None]
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        found = []
    return Export(
        destinations=tuple(found),
        resource=_read_resource(environ, version),
        environment=environ.get("LANGFUSE_TRACING_ENVIRONMENT") or environ.get("OTEL_ENVIRONMENT_NAME"),
        queue=_read_number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", 8192, problems),
        batch=_read_number(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512, problems),
        delay=_read_number(environ, "OTEL_BSP_SCHEDULE_DELAY", 5000, problems) / 1000,
        problems=tuple(problems),
    )


def _read_otel(callbacks: Sequence[str], environ: Mapping[str, str], problems: list[str]) -> Destination | None:
    wanted = not _OTEL_CALLBACKS.isdisjoint(callbacks)
    if environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return None
    url = _find_endpoint(environ)
    if url is None:
        if wanted:
            problems.append("callback otel: no spans are sent, since OTEL_EXPORTER_OTLP_ENDPOINT is not set")
        return None
    protocol = _first(environ, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER")
    if protocol is not None and protocol not in _PROTOCOLS:
        problems.append(
            f"callback otel: no spans are sent, since they are not sent by {protocol!r} but by http/protobuf"
        )
        return None
    headers = _first(environ, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_HEADERS")
    return _check("otel", url, _read_pairs(headers or ""), problems)


def _find_endpoint(environ: Mapping[str, str]) -> str | None:
    """The address for traces: given as such, or the base that their path is appended to if it is not there already."""
    if url := environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return url
    base = _first(environ, "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_ENDPOINT")
    if base is None:
        return None
    base = base.rstrip("/")
    return base if base.endswith(_TRACES) else base + _TRACES


def _read_langfuse(callbacks: Sequence[str], environ: Mapping[str, str], problems: list[str]) -> Destination | None:
    named = next((name for name in callbacks if name in _LANGFUSE_CALLBACKS), None)
    if named is None:
        return None
    public, secret = environ.get("LANGFUSE_PUBLIC_KEY"), environ.get("LANGFUSE_SECRET_KEY")
    if not public or not secret:
        problems.append(
            f"callback {named}: no spans are sent, since LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY are not set"
        )
        return None
    host = _first(environ, "LANGFUSE_OTEL_HOST", "LANGFUSE_HOST") or _LANGFUSE_CLOUD
    if "://" not in host:
        host = f"https://{host}"
    token = b64encode(f"{public}:{secret}".encode()).decode()
    headers = {"authorization": f"Basic {token}", "x-langfuse-ingestion-version": "4"}
    return _check(named, f"{host.rstrip('/')}/api/public/otel{_TRACES}", headers, problems)


def _check(name: str, url: str, headers: Mapping[str, str], problems: list[str]) -> Destination | None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        problems.append(f"callback {name}: no spans are sent, since its address is not an http(s) URL")
        return None
    if not all(value.isascii() and value.isprintable() for pair in headers.items() for value in pair):
        problems.append(f"callback {name}: no spans are sent, since a header has a character that headers cannot have")
        return None
    return Destination(name=name, url=url, headers=headers)


def _read_resource(environ: Mapping[str, str], version: str) -> dict[str, str]:
    """`OTEL_RESOURCE_ATTRIBUTES` over what is known here; `OTEL_SERVICE_NAME` over both."""
    resource = {"service.name": "sekisho", "service.version": version, "host.name": socket.gethostname()}
    if environment := environ.get("OTEL_ENVIRONMENT_NAME") or environ.get("LANGFUSE_TRACING_ENVIRONMENT"):
        resource["deployment.environment.name"] = environment
    resource |= _read_pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""), lower=False)
    if name := environ.get("OTEL_SERVICE_NAME"):
        resource["service.name"] = name
    return resource


def _read_pairs(text: str, *, lower: bool = True) -> dict[str, str]:
    """`name=value` pairs with commas between them; values are percent-encoded, as in W3C's baggage."""
    pairs = {}
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        if equals and (name := unquote(name.strip())):
            pairs[name.lower() if lower else name] = unquote(value.strip())
    return pairs


def _read_number(environ: Mapping[str, str], name: str, default: int, problems: list[str]) -> int:
    text = environ.get(name)
    if not text:
        return default
    if text.isascii() and text.isdecimal() and 0 < (number := int(text)) < 10**9:
        return number
    problems.append(f"{name} is not a whole number above 0; {default} is used")
    return default


def _first(environ: Mapping[str, str], *names: str) -> str | None:
    return next((value for name in names if (value := environ.get(name))), None)
