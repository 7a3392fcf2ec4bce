"""`python -m benchmarks.telemetry`: what it costs to tell of a call, in CPU time of this process.

The call is a streamed chat of a team's user that one attempt answered. The best of some rounds counts, since the
machine may have other things to do.
"""

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from time import process_time
from typing import cast

from sekisho.core.caller import Caller, Scope
from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.ids import new_id
from sekisho.core.target import Target
from sekisho.core.usage import Usage
from sekisho.core.wire import Endpoint
from sekisho.telemetry.calls import Attempt, Call
from sekisho.telemetry.counts import open_counts
from sekisho.telemetry.destinations import Destination, Export
from sekisho.telemetry.exporter import Answer, Exporter
from sekisho.telemetry.exposition import write_metrics
from sekisho.telemetry.metrics import Metrics
from sekisho.telemetry.spans import SpanWriter
from sekisho.telemetry.telling import Telemetry

_CALLS = 10_000
_ROUNDS = 7
_MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
_ENDPOINT = Endpoint(path="/v1/chat/completions", call_type="acompletion")
_CALLER = Caller(
    role="internal_user",
    key_hash="ab" * 32,
    key_alias="laptop",
    user_id="ada",
    team_id="compilers",
    organization_id="research",
    scopes=tuple(
        Scope(kind=kind, id=kind) for kind in ("key", "member", "user", "team", "organization", "installation")
    ),
)


class _Target:
    """What is told of a target."""

    deployment_id = "d" * 64
    provider = "bedrock"
    upstream_model = _MODEL
    account = "123456789012"
    region = "us-east-1"
    simulated = False


def _make_calls() -> list[Call]:
    """Calls of a hundred sessions, each with tokens and a cost of its own."""
    target = cast(Target, _Target())
    attempt = Attempt(target, "sonnet", began_ms=1, ms=900, status=200)
    return [
        Call(
            id=new_id(1.7e9 + number),
            endpoint=_ENDPOINT,
            started=1.7e9 + number / 100,
            seconds=1.25,
            waited=0.9,
            first_byte_after=0.9002,
            caller=_CALLER,
            call=_make_client_call(number % 100),
            requested="sonnet",
            group="sonnet",
            usage=Usage(input=900 + number % 1000, output=50 + number % 333, cache_read=20_000 + number),
            cost=1_000_000 + number,
            output_cost=100_000 + number,
            target=target,
            attempts=[attempt],
        )
        for number in range(_CALLS)
    ]


def _make_client_call(session: int) -> ClientCall:
    return ClientCall(
        model="sonnet",
        body=b"",
        family="openai_chat",
        path="/v1/chat/completions",
        read=lambda: ChatRequest(system=[], messages=[]),
        stream=True,
        session_id=f"{session:032x}",
        agent="claude-code",
        agent_version="2.1.0",
    )


async def _post(url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Answer:
    return Answer(200)


def _report(name: str, figures: list[float]) -> None:
    print(f"{name:<44}{min(figures) / _CALLS * 1e6:8.2f} µs per call")


def _time(work: Callable[[Call], object], calls: list[Call]) -> float:
    began = process_time()
    for call in calls:
        work(call)
    return process_time() - began


async def _time_all(calls: list[Call], metrics: Metrics) -> float:
    """Tell of the calls, and send the spans to nobody, as the gateway does it."""
    destination = Destination(name="otel", url="http://localhost/v1/traces", headers={})
    export = Export(destinations=(destination,), resource={"service.name": "sekisho"}, queue=_CALLS)
    exporter = Exporter(destination, export, "1", _post, metrics)
    telemetry = Telemetry(metrics, [exporter], SpanWriter())
    began = process_time()
    exporter.start()
    for number, call in enumerate(calls):
        telemetry.tell(call)
        if number % 500 == 0:
            await asyncio.sleep(0)
    await exporter.close()
    return process_time() - began


async def _measure(folder: Path) -> None:
    calls, spans, rounds = _make_calls(), SpanWriter(), range(_ROUNDS)
    metrics = Metrics(open_counts(folder, "benchmark"))
    _report("metrics", [_time(metrics.count_call, calls) for _ in rounds])
    _report("spans, encoded", [_time(spans.write_call, calls) for _ in rounds])
    _report("both, queued, batched and handed to HTTP", [await _time_all(calls, metrics) for _ in rounds])
    size = sum(len(piece) for piece in write_metrics(metrics.read_all()))
    print(f"{'/metrics after these calls':<44}{size:8d} bytes")
    metrics.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as _folder:
        asyncio.run(_measure(Path(_folder)))
