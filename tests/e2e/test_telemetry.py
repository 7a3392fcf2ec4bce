"""What a served gateway tells of its calls: metrics of all its workers, and spans at a local server."""

import json
import os
import signal
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.gateway import Gateway, Simulator, call, run_gateway
from tests.support.otlp import Sink, attributes, run_sink
from tests.support.workers import connect_to, find_workers

CONFIG = """
model_list:
  - model_name: sonnet
    litellm_params:
      model: bedrock/converse/us.anthropic.claude-sonnet-4-5-20250929-v1:0
      aws_region_name: us-east-1
  - model_name: haiku
    litellm_params:
      model: bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0
      aws_region_name: eu-west-1
litellm_settings:
  callbacks: [otel, prometheus]
  success_callback: [langfuse_otel]
  fallbacks:
    - sonnet: [haiku]
router_settings:
  num_retries: 0
  cooldown_time: 0
"""
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LANGFUSE = "/api/public/otel/v1/traces"
Samples = dict[str, list[tuple[dict[str, str], float]]]


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    with run_sink() as running:
        yield running


@pytest.fixture(scope="module")
def told(running_simulator: Simulator, sink: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of two workers that sends spans to the sink under two names."""
    environment = {
        **running_simulator.environment,
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-mlflow-experiment-id=7",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_SERVICE_NAME": "the-gate",
        "LANGFUSE_PUBLIC_KEY": "pk-lf-1",
        "LANGFUSE_SECRET_KEY": "sk-lf-1",
        "LANGFUSE_HOST": sink.url,
    }
    with run_gateway(tmp_path_factory.mktemp("home"), CONFIG, environment, workers=2) as gateway:
        yield gateway


def chat(model: str = "sonnet", **fields: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "The secret word is abracadabra."}], **fields}


def parse(text: bytes) -> Samples:
    samples: Samples = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return samples


def total(samples: Samples, name: str, **labels: str) -> float:
    return sum(value for known, value in samples.get(name, []) if labels.items() <= known.items())


def scrape(gateway: Gateway) -> Samples:
    answer = gateway.get("/metrics")
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(answer.body)


def read_rows(gateway: Gateway, key: str, count: int) -> list[dict[str, Any]]:
    """The usage rows of a key, once there are so many: another worker may still be writing them."""
    deadline = monotonic() + 30
    while len(rows := gateway.get(f"/spend/logs?api_key={key}").json()) < count:
        assert monotonic() < deadline, f"only {len(rows)} rows"
    assert len(rows) == count
    return list(rows)


def wait_for_calls(gateway: Gateway, alias: str, count: int) -> None:
    """Wait until so many calls of a key are counted: that happens just after their answers have gone out."""
    deadline, name = monotonic() + 30, "litellm_proxy_total_requests_metric_total"
    while (counted := total(scrape(gateway), name, api_key_alias=alias)) < count:
        assert monotonic() < deadline, f"only {counted} calls"
    assert counted == count


def ask(connection: HTTPConnection, method: str, path: str, key: str, body: object = None) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    return response.status, response.read()


def test_metrics_are_of_all_workers_and_equal_the_usage_rows(told: Gateway, simulator: Simulator) -> None:
    workers = find_workers(told, 2)
    team = told.post("/team/new", {"team_alias": "Compilers"}).json()["team_id"]
    key = told.make_key(team_id=team, key_alias="laptop")
    before = scrape(told)
    pages: list[Samples] = []
    for worker in workers:
        with connect_to(told, worker, workers) as connection:
            for body in (chat(), chat(stream=True), chat("haiku")):
                assert ask(connection, "POST", "/v1/chat/completions", key, body)[0] == 200
            assert ask(connection, "POST", "/v1/chat/completions", key, chat("no-such-model"))[0] == 400
    wait_for_calls(told, "laptop", 8)
    for worker in workers:
        with connect_to(told, worker, workers) as connection:
            status, page = ask(connection, "GET", "/metrics/", told.master_key)
            assert status == 200
            pages.append(parse(page))
    counted = "litellm_proxy_total_requests_metric_total"
    assert pages[0][counted] == pages[1][counted]
    metrics = pages[0]
    mine = {"api_key_alias": "laptop", "team": team, "team_alias": "Compilers"}
    assert total(metrics, counted, **mine, status_code="200", route="/v1/chat/completions") == 6
    assert total(metrics, counted, **mine, status_code="200", requested_model="haiku", region="eu-west-1") == 2
    assert total(metrics, "litellm_proxy_failed_requests_metric_total", **mine, exception_class="UnknownModel") == 2
    streams = "litellm_llm_api_time_to_first_token_metric_count"
    assert total(metrics, streams) == total(before, streams) + 2
    assert b"no-such-model" not in told.get("/metrics").body
    rows = read_rows(told, key, 8)
    spend = sum(round(row["spend"] * 10**9) for row in rows)
    assert round(total(metrics, "litellm_spend_metric_total", **mine) * 10**9) == spend > 0
    for name, member in (("input", "prompt_tokens"), ("output", "completion_tokens"), ("total", "total_tokens")):
        assert total(metrics, f"litellm_{name}_tokens_metric_total", **mine) == sum(row[member] for row in rows)


def test_what_a_killed_worker_has_counted_is_kept(told: Gateway, simulator: Simulator) -> None:
    key = told.make_key(key_alias="survivor")
    for _ in range(8):
        assert told.post("/v1/chat/completions", chat(), key).status == 200
    wait_for_calls(told, "survivor", 8)
    for victim in find_workers(told, 2):
        os.kill(victim, signal.SIGKILL)
        workers = find_workers(told, 2)
        while victim in workers:
            workers = find_workers(told, 2)
    for worker in (workers := find_workers(told, 2)):
        with connect_to(told, worker, workers) as connection:
            assert ask(connection, "POST", "/v1/chat/completions", key, chat())[0] == 200
    wait_for_calls(told, "survivor", 10)
    assert len(list((told.home / "metrics").iterdir())) == 2


def test_fallbacks_and_failed_attempts_are_counted(told: Gateway, simulator: Simulator) -> None:
    key = told.make_key(key_alias="unlucky")
    before = scrape(told)
    simulator.fault({"region": "us-east-1"}, {"kind": "throttle"}, times=1)
    assert told.post("/v1/chat/completions", chat(), key).status == 200
    wait_for_calls(told, "unlucky", 1)
    found = scrape(told)
    labels = {"api_key_alias": "unlucky", "requested_model": "sonnet", "fallback_model": "haiku"}
    assert total(found, "litellm_deployment_successful_fallbacks_total", **labels) == 1
    failures = "litellm_deployment_failure_responses_total"
    throttled = {"exception_status": "429", "exception_class": "UpstreamThrottled", "model_group": "sonnet"}
    assert total(found, failures, **throttled) == total(before, failures, **throttled) + 1


def test_spans_come_to_every_destination(told: Gateway, simulator: Simulator, sink: Sink) -> None:
    key = told.make_key(key_alias="traced")
    trace = TRACEPARENT.split("-")[1]
    headers = {"traceparent": TRACEPARENT, "x-sekisho-session-id": "the-session"}
    simulator.fault({"region": "us-east-1"}, {"kind": "throttle"}, times=1)
    answer = told.post("/v1/chat/completions", chat(stream=True), key, **headers)
    assert answer.status == 200
    spans = sink.wait_for(3, trace=trace)
    spans_of_langfuse = sink.wait_for(3, LANGFUSE, trace)
    assert [span.SerializeToString() for span in spans] == [span.SerializeToString() for span in spans_of_langfuse]
    span, failed, served = spans
    assert span.parent_span_id.hex() == TRACEPARENT.split("-")[2]
    found = attributes(span)
    assert found["litellm.call_id"] == answer.headers["x-litellm-call-id"]
    assert found["session.id"] == "the-session"
    assert found["langfuse.trace.metadata.user_api_key_alias"] == "traced"
    assert (found["gen_ai.request.model"], found["sekisho.model_group"]) == ("sonnet", "haiku")
    (row,) = read_rows(told, key, 1)
    assert found["gen_ai.usage.input_tokens"] == row["prompt_tokens"]
    cost = json.loads(found["langfuse.observation.cost_details"])
    assert cost["total"] == pytest.approx(row["spend"], abs=1e-9)
    assert (attributes(failed)["error.type"], attributes(failed)["cloud.region"]) == ("UpstreamThrottled", "us-east-1")
    assert (attributes(served)["sekisho.model_group"], attributes(served)["cloud.region"]) == ("haiku", "eu-west-1")
    assert failed.parent_span_id == served.parent_span_id == span.span_id
    assert total(scrape(told), "sekisho_exported_calls_total", callback_name="otel", outcome="exported") > 0


def test_destinations_are_told_who_sends_and_nothing_of_what_is_said(told: Gateway, sink: Sink) -> None:
    told.post("/v1/chat/completions", chat())
    sink.wait_for(1)
    sink.wait_for(1, LANGFUSE)
    by_path = {one.path: one for one in sink.requests}
    assert set(by_path) == {"/v1/traces", LANGFUSE}
    plain, langfuse = by_path["/v1/traces"].headers, by_path[LANGFUSE].headers
    assert plain["content-type"] == langfuse["content-type"] == "application/x-protobuf"
    assert plain["x-mlflow-experiment-id"] == "7"
    assert "authorization" not in plain
    assert langfuse["authorization"] == "Basic cGstbGYtMTpzay1sZi0x"
    assert langfuse["x-langfuse-ingestion-version"] == "4"
    for one in sink.requests:
        resource = {pair.key: pair.value.string_value for pair in one.message.resource_spans[0].resource.attributes}
        assert resource["service.name"] == "the-gate"
        assert b"abracadabra" not in one.body
        assert b"sk-" not in one.body


def test_metrics_are_for_those_who_may_see_everything(told: Gateway) -> None:
    assert call(f"{told.url}/metrics").status == 401
    assert told.get("/metrics", "sk-unknown").status == 401
    assert told.get("/metrics", told.make_key()).status == 403
    assert call(f"{told.url}/metrics", key=told.master_key, method="POST").status == 405
    viewer = told.post("/user/new", {"user_role": "proxy_admin_viewer", "auto_create_key": False}).json()["user_id"]
    assert told.get("/metrics", told.make_key(user_id=viewer, allowed_routes=["/metrics"])).status == 200
    assert told.get("/metrics", told.make_key(user_id=viewer, allowed_routes=["/key/info"])).status == 403


def test_metrics_can_be_opened_and_spans_are_off_without_a_destination(tmp_path: Path) -> None:
    config = "litellm_settings:\n  require_auth_for_metrics_endpoint: false\n  callbacks: [otel]\n"
    with run_gateway(tmp_path / "home", config) as gateway:
        assert call(f"{gateway.url}/v1/chat/completions", chat()).status == 401
        found = parse(call(f"{gateway.url}/metrics").body)
        assert total(found, "litellm_proxy_total_requests_metric_total", status_code="401") == 1
        assert "sekisho_exported_calls_total" not in found
        assert "OTEL_EXPORTER_OTLP_ENDPOINT is not set" in gateway.errors()
