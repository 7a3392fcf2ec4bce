"""What Prometheus reads is what was called, whatever the labels; and there are never too many of them."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from tests.support.ended import KEY_HASH, Upstream, attempt, caller, client_call, ended

from sekisho.core.errors import BudgetExceeded, ClientGone, UnknownModel, UpstreamThrottled
from sekisho.core.usage import Usage
from sekisho.telemetry import metrics as metrics_module
from sekisho.telemetry.calls import Call
from sekisho.telemetry.counts import open_counts
from sekisho.telemetry.exposition import write_metrics
from sekisho.telemetry.metrics import Metrics

Sample = tuple[dict[str, str], float]


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    made = Metrics(open_counts(None, "run"))
    yield made
    made.close()


def read(metrics: Metrics) -> dict[str, list[Sample]]:
    text = b"".join(write_metrics(metrics.read_all())).decode()
    found: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    for name, samples in found.items():
        labels = [tuple(sorted(labels.items())) for labels, _ in samples]
        assert len(set(labels)) == len(labels), name
    return found


def total(samples: list[Sample], **labels: str) -> float:
    return sum(value for known, value in samples if labels.items() <= known.items())


def test_a_call_is_counted_under_litellm_s_names(metrics: Metrics) -> None:
    metrics.count_call(ended())
    found = read(metrics)
    who = {"hashed_api_key": KEY_HASH, "api_key_alias": "laptop", "user": "ada", "org_id": "o1", "project_id": ""}
    who |= {"team": "t1", "team_alias": "Compilers"}
    where = {"requested_model": "sonnet", "model_group": "sonnet", "model": Upstream.upstream_model}
    where |= {"model_id": "dep-1", "api_provider": "bedrock", "region": "us-east-1"}
    assert found["litellm_proxy_total_requests_metric_total"] == [
        ({**who, **where, "route": "/v1/chat/completions", "status_code": "200"}, 1)
    ]
    sums = {name: samples[0][1] for name, samples in found.items() if samples[0][0] == {**who, **where}}
    assert sums == {
        "litellm_requests_metric_total": 1,
        "litellm_spend_metric_total": 0.001234567,
        "litellm_total_tokens_metric_total": 165,
        "litellm_input_tokens_metric_total": 115,
        "litellm_output_tokens_metric_total": 50,
        "litellm_input_cached_tokens_metric_total": 10,
        "litellm_input_cache_creation_tokens_metric_total": 5,
        "litellm_output_reasoning_tokens_metric_total": 20,
    }
    assert total(found["litellm_deployment_success_responses_total"], model_id="dep-1") == 1
    for absent in ("litellm_proxy_failed_requests_metric_total", "litellm_deployment_failure_responses_total"):
        assert absent not in found


def test_latencies_are_of_calls_that_succeeded_and_first_tokens_of_streams(metrics: Metrics) -> None:
    metrics.count_call(ended())
    metrics.count_call(ended(call=client_call(stream=True), seconds=4.0, waited=0.25, first_byte_after=0.252))
    metrics.count_call(ended(error=UpstreamThrottled("rate limit", verdict="elsewhere"), seconds=100.0))
    found = read(metrics)
    counts = {name: total(samples) for name, samples in found.items() if name.endswith("_count")}
    assert counts == {
        "litellm_request_total_latency_metric_count": 2,
        "litellm_llm_api_latency_metric_count": 2,
        "litellm_llm_api_time_to_first_token_metric_count": 1,
        "litellm_overhead_latency_metric_count": 2,
    }
    assert total(found["litellm_request_total_latency_metric_sum"]) == pytest.approx(5.25)
    assert total(found["litellm_overhead_latency_metric_sum"]) == pytest.approx(0.0025, abs=1e-5)
    buckets = found["litellm_request_total_latency_metric_bucket"]
    assert {
        labels["le"]: value for labels, value in buckets if labels["le"] in {"1.0", "2.0", "3.0", "5.0", "+Inf"}
    } == {
        "1.0": 0,
        "2.0": 1,
        "3.0": 1,
        "5.0": 2,
        "+Inf": 2,
    }


def test_failures_are_told_by_kind_and_never_by_their_words(metrics: Metrics) -> None:
    metrics.count_call(
        ended(error=BudgetExceeded("the secret plan of ada is over"), target=None, group="", attempts=[])
    )
    metrics.count_call(ended(error=ClientGone("gone")))
    nobody = ended(
        error=UnknownModel("no model named 'my-own-text'"), caller=None, call=None, target=None, requested=""
    )
    metrics.count_call(nobody)
    failed = read(metrics)["litellm_proxy_failed_requests_metric_total"]
    assert {(labels["exception_status"], labels["exception_class"], labels["user"]) for labels, _ in failed} == {
        ("402", "BudgetExceeded", "ada"),
        ("499", "ClientGone", "ada"),
        ("400", "UnknownModel", ""),
    }
    text = b"".join(write_metrics(metrics.read_all()))
    assert b"secret" not in text
    assert b"my-own-text" not in text


def test_attempts_and_fallbacks_are_counted_by_deployment(metrics: Metrics) -> None:
    failed = attempt(status=429, error="UpstreamThrottled:ThrottlingException")
    other = attempt(group="haiku", deployment_id="dep-2", upstream_model="haiku-model")
    metrics.count_call(ended(group="haiku", attempts=[failed, other], retries=1))
    metrics.count_call(ended(group="haiku", attempts=[failed], error=UpstreamThrottled("rate limit", verdict="never")))
    found = read(metrics)
    ((labels, value),) = found["litellm_deployment_failure_responses_total"]
    assert (labels["model_id"], labels["exception_status"], labels["exception_class"]) == (
        "dep-1",
        "429",
        "UpstreamThrottled",
    )
    assert value == 2
    assert total(found["litellm_deployment_total_requests_total"]) == 3
    assert total(found["litellm_deployment_success_responses_total"], model_id="dep-2") == 1
    fallback = {"requested_model": "sonnet", "fallback_model": "haiku"}
    assert total(found["litellm_deployment_successful_fallbacks_total"], **fallback) == 1
    assert total(found["litellm_deployment_failed_fallbacks_total"], **fallback) == 1
    assert total(found["sekisho_call_retries_total"]) == 1


def test_exports_are_counted_by_what_became_of_them(metrics: Metrics) -> None:
    metrics.count_exports("otel", "exported", 5)
    metrics.count_exports("otel", "queue_full")
    metrics.count_exports("otel", "refused", 2)
    found = read(metrics)
    assert total(found["litellm_callback_logging_failures_metric_total"], callback_name="otel") == 3
    assert {labels["outcome"]: value for labels, value in found["sekisho_exported_calls_total"]} == {
        "exported": 5,
        "queue_full": 1,
        "refused": 2,
    }


def test_what_is_too_much_counts_under_other() -> None:
    metrics = Metrics(open_counts(None, "run"), most_rows=10)
    for number in range(50):
        metrics.count_call(ended(caller=caller(key_hash=f"{number:064x}"), requested=f"model {number}"))
        metrics.count_call(ended(attempts=[attempt(deployment_id=f"dep {number}")]))
    found = read(metrics)
    calls = found["litellm_proxy_total_requests_metric_total"]
    assert len(calls) == 11
    assert total(calls) == 100
    assert total(calls, hashed_api_key="other", user="other", requested_model="other", status_code="200") == 41
    assert total(found["litellm_spend_metric_total"]) == pytest.approx(100 * 0.001234567)
    assert total(found["litellm_deployment_total_requests_total"]) == 100
    assert len(found["litellm_deployment_total_requests_total"]) == 11
    metrics.close()


def test_calls_count_together_by_their_labels_and_not_by_what_is_remembered(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers are read anew from time to time, and there are more of them than are remembered."""
    monkeypatch.setattr(metrics_module, "_MOST_SERIES", 3)
    for number in range(40):
        target = Upstream() if number % 2 else None
        metrics.count_call(ended(caller=caller(user_id=f"user {number % 5}"), target=target, attempts=[]))
        metrics.count_call(ended(attempts=[attempt(error=f"UpstreamThrottled:{number}", status=429)]))
    calls = read(metrics)["litellm_proxy_total_requests_metric_total"]
    for user in range(5):
        assert total(calls, user=f"user {user}", model_id="dep-1") == 4
        assert total(calls, user=f"user {user}", model_id="") == 4
    assert len(calls) == 11
    (failures,) = read(metrics)["litellm_deployment_failure_responses_total"]
    assert failures[1] == 40


CALLS = st.builds(
    lambda key, alias, usage, cost, error, group: ended(
        caller=caller(key_hash=key, key_alias=alias), usage=usage, cost=cost, error=error, group=group
    ),
    st.sampled_from(["a", "b", None]),
    st.one_of(st.none(), st.text(max_size=5), st.sampled_from(['q"u\\o\nte', "関所", "a,b={}"])),
    st.builds(Usage, **{name: st.integers(0, 10**7) for name in ("input", "output", "cache_read", "cache_write_1h")}),
    st.one_of(st.none(), st.integers(0, 10**12)),
    st.sampled_from([None, BudgetExceeded("no money"), ClientGone("gone")]),
    st.sampled_from(["sonnet", "haiku", ""]),
)


@given(calls=st.lists(CALLS, max_size=20), workers=st.integers(1, 3))
def test_the_sums_are_exact(calls: list[Call], workers: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("metrics")
    parts = [Metrics(open_counts(folder, "run")) for _ in range(workers)]
    for number, call in enumerate(calls):
        parts[number % workers].count_call(call)
    for asked in parts:
        found = read(asked)
        sums: dict[str, Any] = {name: total(samples) for name, samples in found.items()}
        assert sums.get("litellm_proxy_total_requests_metric_total", 0) == len(calls)
        assert sums.get("litellm_input_tokens_metric_total", 0) == sum(call.usage.prompt for call in calls)
        assert sums.get("litellm_output_tokens_metric_total", 0) == sum(call.usage.output for call in calls)
        spend = sum(round(value * 10**9) for _, value in found.get("litellm_spend_metric_total", []))
        assert spend == sum(call.cost or 0 for call in calls)
        failed = sum(call.error is not None for call in calls)
        assert sums.get("litellm_proxy_failed_requests_metric_total", 0) == failed
        for alias in {call.caller.key_alias or "" for call in calls if call.caller}:
            counted = total(found["litellm_proxy_total_requests_metric_total"], api_key_alias=alias)
            assert counted == sum((call.caller.key_alias or "") == alias for call in calls if call.caller)
    for one in parts:
        one.close()
