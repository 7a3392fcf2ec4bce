"""Where spans go, by the variables that OpenTelemetry, LiteLLM and Langfuse know."""

from base64 import b64decode
from collections.abc import Mapping

import pytest

from sekisho.telemetry.destinations import Destination, read_export

LANGFUSE = {"LANGFUSE_PUBLIC_KEY": "pk-lf-1", "LANGFUSE_SECRET_KEY": "sk-lf-secret"}


def only(environ: Mapping[str, str], callbacks: tuple[str, ...] = ()) -> Destination:
    export = read_export(callbacks, environ, "1")
    assert not export.problems
    (destination,) = export.destinations
    return destination


def test_nothing_is_sent_when_nobody_says_where_to() -> None:
    assert read_export((), {}, "1").destinations == ()
    assert read_export(("prometheus",), LANGFUSE, "1").destinations == ()


@pytest.mark.parametrize(
    ("variable", "value", "url"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318", "http://collector:4318/v1/traces"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/otlp/", "http://collector:4318/otlp/v1/traces"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector/any?x=1", "https://collector/any?x=1"),
        ("OTEL_ENDPOINT", "https://api.honeycomb.io/v1/traces", "https://api.honeycomb.io/v1/traces"),
        ("OTEL_ENDPOINT", "http://collector:4318", "http://collector:4318/v1/traces"),
    ],
)
def test_the_endpoint(variable: str, value: str, url: str) -> None:
    destination = only({variable: value})
    assert (destination.name, destination.url, dict(destination.headers)) == ("otel", url, {})


def test_the_special_variable_wins_over_the_general_one() -> None:
    both = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/t"}
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "x=general", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x=special"}
    assert only(both).url == "http://b/t"
    assert only({**both, **headers}).headers == {"x": "special"}


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_HEADERS"])
def test_headers(variable: str) -> None:
    text = "Authorization=Basic%20YTpiPQ==, x-mlflow-experiment-id=7,,x-empty=,broken"
    found = only({"OTEL_ENDPOINT": "http://a", variable: text})
    assert found.headers == {"authorization": "Basic YTpiPQ==", "x-mlflow-experiment-id": "7", "x-empty": ""}


@pytest.mark.parametrize("name", ["langfuse", "langfuse_otel"])
@pytest.mark.parametrize(
    ("host", "url"),
    [
        ({}, "https://us.cloud.langfuse.com/api/public/otel/v1/traces"),
        ({"LANGFUSE_HOST": "http://langfuse:3000/"}, "http://langfuse:3000/api/public/otel/v1/traces"),
        ({"LANGFUSE_HOST": "langfuse.example"}, "https://langfuse.example/api/public/otel/v1/traces"),
        ({"LANGFUSE_HOST": "http://a", "LANGFUSE_OTEL_HOST": "http://b"}, "http://b/api/public/otel/v1/traces"),
    ],
)
def test_langfuse(name: str, host: dict[str, str], url: str) -> None:
    found = only({**LANGFUSE, **host}, (name,))
    assert (found.name, found.url) == (name, url)
    scheme, _, token = found.headers["authorization"].partition(" ")
    assert (scheme, b64decode(token)) == ("Basic", b"pk-lf-1:sk-lf-secret")
    assert found.headers["x-langfuse-ingestion-version"] == "4"
    assert "sk-lf" not in repr(found)


def test_two_destinations_at_once() -> None:
    export = read_export(("otel", "langfuse_otel"), {**LANGFUSE, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}, "1")
    assert [one.name for one in export.destinations] == ["otel", "langfuse_otel"]


@pytest.mark.parametrize(
    ("callbacks", "environ", "said"),
    [
        (("otel",), {}, "OTEL_EXPORTER_OTLP_ENDPOINT is not set"),
        (("langfuse",), {"LANGFUSE_PUBLIC_KEY": "pk"}, "LANGFUSE_SECRET_KEY"),
        ((), {"OTEL_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "'grpc'"),
        (("otel",), {"OTEL_ENDPOINT": "http://a", "OTEL_EXPORTER": "console"}, "'console'"),
        ((), {"OTEL_ENDPOINT": "collector:4318"}, "not an http(s) URL"),
        ((), {"OTEL_ENDPOINT": "http://a", "OTEL_HEADERS": "x=a%0d%0ab: c"}, "character"),
    ],
)
def test_what_cannot_be_done_is_said(callbacks: tuple[str, ...], environ: dict[str, str], said: str) -> None:
    export = read_export(callbacks, environ, "1")
    assert export.destinations == ()
    (problem,) = export.problems
    assert said in problem


@pytest.mark.parametrize("off", [{"OTEL_SDK_DISABLED": "True"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_it_can_be_switched_off(off: dict[str, str]) -> None:
    export = read_export(("otel",), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", **off}, "1")
    assert (export.destinations, export.problems) == ((), ())


def test_numbers_and_who_sends() -> None:
    environ = {
        "OTEL_BSP_SCHEDULE_DELAY": "250",
        "OTEL_BSP_MAX_QUEUE_SIZE": "9",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "0",
        "OTEL_SERVICE_NAME": "gate",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=other,k8s.Pod=a%2Cb",
        "OTEL_ENVIRONMENT_NAME": "staging",
    }
    export = read_export((), environ, "1.2")
    assert (export.delay, export.queue, export.batch) == (0.25, 9, 512)
    assert export.problems == ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE is not a whole number above 0; 512 is used",)
    assert export.environment == "staging"
    assert export.resource["k8s.Pod"] == "a,b"
    assert (export.resource["service.name"], export.resource["service.version"]) == ("gate", "1.2")
    assert export.resource["deployment.environment.name"] == "staging"
