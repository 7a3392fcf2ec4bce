"""The metrics as Prometheus reads them (text format 0.0.4), under LiteLLM's names where it has one.

LiteLLM's client library appends `_total` to the names of counters, so that stands here, too.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from sekisho.telemetry import metrics
from sekisho.telemetry.counts import Labels, Row

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
_STEPS: Final = 200
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Rows = dict[Labels, list[int]]
Pick = Callable[[Labels, list[int]], int]
"""What of a row a metric counts."""


class Counter(Struct, frozen=True):
    """A metric that only grows: the sum of what `pick` finds in the rows of a table, by some of the labels.

    rename: names of labels that differ from the table's. scale: how many of what is counted make one.
    """

    name: str
    text: str
    table: int
    labels: Labels
    pick: Pick
    rename: Mapping[str, str] = {}
    scale: int = 1


class Histogram(Struct, frozen=True):
    """A metric of durations in seconds, with the labels of its table."""

    name: str
    text: str
    part: str


_CALLER_AND_ROAD: Final = (*metrics.CALLER_LABELS, *metrics.ROAD_LABELS)
_ALL: Final = metrics.CALL_LABELS
_STATUS: Final = _ALL.index("status_code")
_FAILURE: Final = _ALL.index("exception_class")
_REQUESTED: Final = _ALL.index("requested_model")
_GROUP: Final = _ALL.index("model_group")
_DEPLOYMENT: Final = metrics.ATTEMPT_LABELS[:5]
_EXCEPTION: Final = {"status_code": "exception_status"}
_FALLBACK: Final = {"model_group": "fallback_model"}


def _value(name: str) -> Pick:
    index = metrics.CALL_VALUES.index(name)
    return lambda _labels, values: values[index]


def _tokens(_labels: Labels, values: list[int]) -> int:
    return values[2] + values[3]


def _succeeded(labels: Labels, values: list[int]) -> int:
    return 0 if labels[_FAILURE] else values[0]


def _failed(labels: Labels, values: list[int]) -> int:
    return values[0] if labels[_FAILURE] else 0


def _fell_back(labels: Labels) -> bool:
    return labels[_GROUP] not in ("", labels[_REQUESTED])


def _attempts(_labels: Labels, values: list[int]) -> int:
    return values[0]


def _answered(labels: Labels, values: list[int]) -> int:
    return 0 if labels[-1] else values[0]


def _refused(labels: Labels, values: list[int]) -> int:
    return values[0] if labels[-1] else 0


def _counter(name: str, text: str, value: str, scale: int = 1) -> Counter:
    return Counter(name, text, metrics.CALLS, _CALLER_AND_ROAD, _value(value), scale=scale)


_DROPPED: Final = "Calls whose spans did not reach a destination."
COUNTERS: Final = (
    Counter(
        "litellm_proxy_total_requests_metric_total",
        "Calls to model endpoints, by the status that the client got.",
        metrics.CALLS,
        (*_CALLER_AND_ROAD, "route", "status_code"),
        _value("calls"),
    ),
    Counter(
        "litellm_proxy_failed_requests_metric_total",
        "Calls to model endpoints that did not succeed.",
        metrics.CALLS,
        _ALL,
        _failed,
        _EXCEPTION,
    ),
    Counter(
        "litellm_requests_metric_total",
        "Calls to models that succeeded.",
        metrics.CALLS,
        _CALLER_AND_ROAD,
        _succeeded,
    ),
    _counter("litellm_spend_metric_total", "What calls cost, in dollars.", "spend_nano", 10**9),
    Counter(
        "litellm_total_tokens_metric_total",
        "Input and output tokens.",
        metrics.CALLS,
        _CALLER_AND_ROAD,
        _tokens,
    ),
    _counter("litellm_input_tokens_metric_total", "Input tokens, cached or not.", "input"),
    _counter("litellm_output_tokens_metric_total", "Output tokens, with reasoning.", "output"),
    _counter("litellm_input_cached_tokens_metric_total", "Input tokens read from a prompt cache.", "cache_read"),
    _counter("litellm_input_cache_creation_tokens_metric_total", "Input tokens written to one.", "cache_write"),
    _counter("litellm_output_reasoning_tokens_metric_total", "Output tokens spent on reasoning.", "reasoning"),
    _counter("sekisho_call_retries_total", "Attempts at upstreams beyond the first of a call.", "retries"),
    Counter(
        "litellm_deployment_total_requests_total",
        "Attempts at upstreams.",
        metrics.ATTEMPTS,
        _DEPLOYMENT,
        _attempts,
    ),
    Counter(
        "litellm_deployment_success_responses_total",
        "Attempts at upstreams that were answered.",
        metrics.ATTEMPTS,
        _DEPLOYMENT,
        _answered,
    ),
    Counter(
        "litellm_deployment_failure_responses_total",
        "Attempts at upstreams that failed.",
        metrics.ATTEMPTS,
        metrics.ATTEMPT_LABELS,
        _refused,
        _EXCEPTION,
    ),
    Counter(
        "litellm_deployment_successful_fallbacks_total",
        "Calls that another model group answered than the one asked for.",
        metrics.CALLS,
        _CALLER_AND_ROAD,
        lambda labels, values: _succeeded(labels, values) if _fell_back(labels) else 0,
        _FALLBACK,
    ),
    Counter(
        "litellm_deployment_failed_fallbacks_total",
        "Calls that failed, also at another model group than the one asked for.",
        metrics.CALLS,
        _CALLER_AND_ROAD,
        lambda labels, values: _failed(labels, values) if _fell_back(labels) else 0,
        _FALLBACK,
    ),
    Counter(
        "litellm_callback_logging_failures_metric_total",
        _DROPPED,
        metrics.EXPORTS,
        ("callback_name",),
        lambda labels, values: 0 if labels[1] == "exported" else values[0],
    ),
    Counter(
        "sekisho_exported_calls_total",
        "Calls whose spans were sent to a destination, or given up, by what became of them.",
        metrics.EXPORTS,
        metrics.EXPORT_LABELS,
        lambda _labels, values: values[0],
    ),
)
HISTOGRAMS: Final = (
    Histogram("litellm_request_total_latency_metric", "From a call's first header to the end of its answer.", "total"),
    Histogram("litellm_llm_api_latency_metric", "The same without what the gateway itself took.", "api"),
    Histogram(
        "litellm_llm_api_time_to_first_token_metric", "Until the first byte of a streamed answer.", "first_token"
    ),
    Histogram("litellm_overhead_latency_metric", "What the gateway itself took until the first byte.", "overhead"),
)
_LABELS_OF: Final = {
    metrics.CALLS: metrics.CALL_LABELS,
    metrics.ATTEMPTS: metrics.ATTEMPT_LABELS,
    metrics.EXPORTS: metrics.EXPORT_LABELS,
}


def write_metrics(rows: Iterable[Row]) -> Iterator[bytes]:
    """All metrics as text, in pieces, some of them empty: between two the writer may let others have their turn."""
    lines: list[str] = []
    for step, line in enumerate(_write_lines(rows), 1):
        if line:
            lines.append(line)
        if step % _STEPS == 0:
            yield "".join(lines).encode()
            lines.clear()
    yield "".join(lines).encode()


def _write_lines(rows: Iterable[Row]) -> Iterator[str]:
    """The lines, and an empty text after each other step of the work."""
    tables: dict[int, Rows] = {}
    for table, labels, values in rows:
        known = tables.setdefault(table, {}).setdefault(labels, values)
        if known is not values:
            known[:] = map(int.__add__, known, values)
        yield ""
    for counter in COUNTERS:
        yield _head(counter.name, counter.text, "counter")
        yield from _write_counter(counter, tables.get(counter.table, {}))
    start = 0
    for histogram in HISTOGRAMS:
        bounds = metrics.HISTOGRAMS[histogram.part]
        yield _head(histogram.name, histogram.text, "histogram")
        for labels, values in tables.get(metrics.LATENCIES, {}).items():
            yield from _write_histogram(histogram.name, labels, values[start : start + len(bounds) + 2], bounds)
        start += len(bounds) + 2


def _head(name: str, text: str, kind: str) -> str:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def _write_counter(counter: Counter, rows: Rows) -> Iterator[str]:
    known = _LABELS_OF[counter.table]
    indices = [known.index(label) for label in counter.labels]
    names = tuple(counter.rename.get(label, label) for label in counter.labels)
    sums: dict[Labels, int] = {}
    for labels, values in rows.items():
        if picked := counter.pick(labels, values):
            key = tuple([labels[index] for index in indices])
            sums[key] = sums.get(key, 0) + picked
        yield ""
    for key, amount in sums.items():
        shown = amount if counter.scale == 1 else amount / counter.scale
        yield f"{counter.name}{{{_write_labels(names, key)}}} {shown}\n"


def _write_histogram(name: str, labels: Labels, values: list[int], bounds: tuple[float, ...]) -> Iterator[str]:
    *counts, micros = values
    if not any(counts):
        return
    text = _write_labels(metrics.ROAD_LABELS, labels)
    below = 0
    for bound, count in zip((*bounds, float("inf")), counts, strict=True):
        below += count
        edge = "+Inf" if bound == float("inf") else repr(bound)
        yield f'{name}_bucket{{{text},le="{edge}"}} {below}\n'
    yield f"{name}_sum{{{text}}} {micros / 1e6}\n{name}_count{{{text}}} {below}\n"


def _write_labels(names: Labels, labels: Labels) -> str:
    return ",".join([f'{name}="{label.translate(_ESCAPES)}"' for name, label in zip(names, labels, strict=True)])
