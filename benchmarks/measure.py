"""Send the cases to each target in turn, round by round, and note the figures."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from math import ceil

import msgspec
from msgspec import Struct

from benchmarks.cases import EVENT_SECONDS, Case, Plan
from benchmarks.gateways import ROOT, BenchmarkFailed
from benchmarks.load import Load, Result
from benchmarks.processes import ProcessGroup
from benchmarks.wires import TICK, ClientWire, UpstreamWire

# A gateway does part of its work, such as writing usage rows, after the answer; it gets this long for it in each round.
_SETTLE_SECONDS = 0.5


class Target(Struct, frozen=True, kw_only=True):
    """Something that answers requests, and whose processes are measured.

    `path` stands before that of the wire. `model` is its name for the upstream's model, if that is not the wire's.
    `direct` says that it is the upstream itself, asked at its own path.
    """

    name: str
    host: str
    port: int
    group: ProcessGroup
    path: str = ""
    api_key: str = ""
    model: str = ""
    direct: bool = False


class Figure(Struct, frozen=True, order=True):
    """What is measured, in which unit."""

    case: str
    name: str
    unit: str


Figures = dict[Figure, dict[str, list[float]]]
"""For each figure and target the values of all rounds."""


def note(figures: Figures, figure: Figure, target: str, value: float) -> None:
    """Add a value to a figure."""
    figures.setdefault(figure, {}).setdefault(target, []).append(value)


def measure_pair(
    figures: Figures, plan: Plan, client: ClientWire, upstream: UpstreamWire, targets: Sequence[Target]
) -> None:
    """Measure all cases of a pair of wires. `targets[0]` must be the upstream: added latency is beyond its own."""
    for case in plan.cases:
        loads = [_make_load(case, client, upstream, target) for target in targets]
        for target, load in zip(targets, loads, strict=True):
            send(msgspec.structs.replace(load, count=case.warmup), f"{target.name}: {case.label}")
        label = f"{case.label}, {client.label} → {upstream.label}"
        for _ in range(plan.rounds):
            results = [_measure_round(load, target, case) for target, load in zip(targets, loads, strict=True)]
            for target, (cpu_seconds, result) in zip(targets, results, strict=True):
                for name, unit, value in _read_round(case, cpu_seconds, result, results[0][1], target):
                    note(figures, Figure(label, name, unit), target.name, value)


def _measure_round(load: Load, target: Target, case: Case) -> tuple[float, Result]:
    before = target.group.cpu_seconds()
    result = send(load, f"{target.name}: {case.label}")
    time.sleep(_SETTLE_SECONDS)
    return target.group.cpu_seconds() - before, result


def _read_round(
    case: Case, cpu_seconds: float, result: Result, direct: Result, target: Target
) -> Iterator[tuple[str, str, float]]:
    """Names, units and values of one round's figures."""
    requests = len(result.latencies)
    if case.figure == "request":
        yield "CPU per request", "µs", cpu_seconds * 1e6 / requests
    elif case.figure == "event":
        yield "CPU per event", "µs", cpu_seconds * 1e6 / (requests * case.events)
    else:
        for percent in (50, 99):
            latency = _percentile(result.latencies, percent) * 1000
            yield f"latency p{percent}", "ms", latency
            if not target.direct:
                yield f"added latency p{percent}", "ms", latency - _percentile(direct.latencies, percent) * 1000


def _percentile(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile."""
    return sorted(values)[ceil(len(values) * percent / 100) - 1]


def _make_load(case: Case, client: ClientWire, upstream: UpstreamWire, target: Target) -> Load:
    model = target.model or upstream.model
    before, after = case.write(client, model)
    path = target.path + (client.stream_path if case.events else client.path).replace("{model}", model)
    if target.direct:
        path = upstream.stream_path if case.events else upstream.path
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {target.host}:{target.port}\r\nauthorization: Bearer {target.api_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(before) + 8 + len(after)}\r\n\r\n"
    )
    return Load(
        host=target.host,
        port=target.port,
        before=head.encode() + before,
        after=after,
        connections=case.connections,
        count=case.count,
        seconds=case.seconds,
        word=TICK.encode(),
        words=case.events or 1,
        # Streams that all tick in the same instant would be an unlikely burst.
        stagger=EVENT_SECONDS / case.connections if case.events else 0.0,
    )


def send(load: Load, name: str) -> Result:
    """Let the load generator's own process send a load. Raises BenchmarkFailed, naming the load."""
    command = (sys.executable, "-m", "benchmarks.load")
    done = subprocess.run(command, cwd=ROOT, input=msgspec.json.encode(load), stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise BenchmarkFailed("the load generator failed; its own message stands above")
    result = msgspec.json.decode(done.stdout, type=Result)
    if result.failure is not None:
        raise BenchmarkFailed(f"{name}: {result.failure}")
    return result
