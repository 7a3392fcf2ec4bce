"""Send the cases to each target in turn, round by round, and note the figures."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from math import ceil

import msgspec
from msgspec import Struct

from benchmarks.cases import EVENT_SECONDS, Case, Plan
from benchmarks.load import Load, Result
from benchmarks.processes import ProcessGroup
from benchmarks.servers import ROOT, BenchmarkFailed
from benchmarks.wires import TICK, ClientWire, UpstreamWire

# A gateway does part of its work, such as writing usage rows, after the answer; it gets this long for it in each round.
_SETTLE_SECONDS = 0.5


class Target(Struct, frozen=True, kw_only=True):
    """Something that answers requests, and whose processes are measured.

    `models` are its names for the wires' models, where they are not the same; what has none there is not measured.
    `path` stands before that of the wire. `headers` are sent in addition. `direct` says that it is the upstream itself,
    asked at its own path; `rival` that what it cannot do only leaves a gap.
    """

    name: str
    host: str
    port: int
    group: ProcessGroup
    path: str = ""
    api_key: str = ""
    headers: Mapping[str, str] = {}
    models: Mapping[str, str] | None = None
    direct: bool = False
    rival: bool = False

    def model(self, upstream: UpstreamWire) -> str | None:
        """Its name for what the upstream serves."""
        return upstream.model if self.models is None else self.models.get(upstream.model)


class Figure(Struct, frozen=True, order=True):
    """What is measured, in which unit."""

    case: str
    name: str
    unit: str


class ResultLost(BenchmarkFailed):
    """The load was sent, and its result did not arrive whole."""


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
        loads = {target.name: write_load(case, client, upstream, target) for target in targets}
        able = [target for target in targets if _warm(loads[target.name], target, case)]
        label = f"{case.label}, {client.label} → {upstream.label}"
        for _ in range(plan.rounds):
            latencies: Sequence[float] = ()
            for target in tuple(able):
                if (measured := _try_round(loads[target.name], target, case)) is None:
                    able.remove(target)
                    continue
                cpu_seconds, result, megabytes = measured
                latencies = result.latencies if target.direct else latencies
                for name, unit, value in _read_round(case, cpu_seconds, result, latencies, target):
                    note(figures, Figure(label, name, unit), target.name, value)
                if case.events:
                    note(figures, Figure(label, "largest process", "MB"), target.name, megabytes)


def _warm(load: Load, target: Target, case: Case) -> bool:
    """Send what does not count. Returns whether the target can be measured."""
    try:
        send(msgspec.structs.replace(load, count=case.warmup), f"{target.name}: {case.label}")
    except BenchmarkFailed as error:
        _bear(target, error)
        return False
    return True


def _try_round(load: Load, target: Target, case: Case) -> tuple[float, Result, float] | None:
    """A round's CPU time in seconds, its result, and the largest process's memory in MB; None if a rival failed."""
    try:
        with target.group.watch_largest() as samples:
            cpu_seconds, result = measure_round(load, target, case)
    except BenchmarkFailed as error:
        _bear(target, error)
        return None
    return cpu_seconds, result, max(samples)


def _bear(target: Target, error: BenchmarkFailed) -> None:
    """What a rival cannot do is said; with anything else the run ends."""
    if not target.rival:
        raise error
    print(f"benchmarks: left out: {error}", file=sys.stderr)


def measure_round(load: Load, target: Target, case: Case) -> tuple[float, Result]:
    """Send a load. Returns the CPU time of it, in seconds, and how it went. Raises BenchmarkFailed."""
    before = target.group.cpu_seconds()
    try:
        result = send(load, f"{target.name}: {case.label}")
    except ResultLost as error:
        print(f"benchmarks: once more: {error}", file=sys.stderr)
        before = target.group.cpu_seconds()
        result = send(load, f"{target.name}: {case.label}")
    time.sleep(_SETTLE_SECONDS)
    return target.group.cpu_seconds() - before, result


def _read_round(
    case: Case, cpu_seconds: float, result: Result, direct: Sequence[float], target: Target
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
                yield f"added latency p{percent}", "ms", latency - _percentile(direct, percent) * 1000


def _percentile(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile."""
    return sorted(values)[ceil(len(values) * percent / 100) - 1]


def write_load(case: Case, client: ClientWire, upstream: UpstreamWire, target: Target) -> Load:
    """What a case sends to a target."""
    model = target.model(upstream) or ""
    before, after = case.write(client, model)
    path = target.path + (client.stream_path if case.events else client.path).replace("{model}", model)
    if target.direct:
        path = upstream.stream_path if case.events else upstream.path
    further = "".join(f"{name}: {value}\r\n" for name, value in target.headers.items())
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {target.host}:{target.port}\r\nauthorization: Bearer {target.api_key}\r\n"
        f"{further}content-type: application/json\r\ncontent-length: {len(before) + 8 + len(after)}\r\n\r\n"
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
    try:
        result = msgspec.json.decode(done.stdout, type=Result)
    except msgspec.DecodeError as error:
        raise ResultLost(f"{name}: of the load generator's result came {len(done.stdout)} bytes: {error}") from error
    if result.failure is not None:
        raise BenchmarkFailed(f"{name}: {result.failure}")
    return result
