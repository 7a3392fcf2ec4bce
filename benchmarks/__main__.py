"""`python -m benchmarks`: measure what the gateway costs, and print a table. See docs/benchmarks.md."""

import argparse
import ipaddress
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.cases import EVENT_SECONDS, PAIRS, Plan, make_plan
from benchmarks.gateways import HOST, BenchmarkFailed, Started, make_key, run_sekisho, run_upstream
from benchmarks.measure import Figure, Figures, Target, measure_pair, note
from benchmarks.processes import ProcessGroup
from benchmarks.report import describe_machine, write_json, write_table
from benchmarks.wires import MODEL, OPENAI_CHAT

_UPSTREAM, _OURS, _OTHER = "upstream alone", "sekisho", "other"


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What the gateway costs.")
    parser.add_argument("--quick", action="store_true", help="tiny numbers: shows that it works, measures nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the figures of all rounds")
    parser.add_argument(
        "--upstream-port", type=int, default=0, metavar="PORT", help="the upstream's port; 0: a free one"
    )
    other = parser.add_argument_group("another gateway, measured in turn with ours")
    other.add_argument("--url", help="where it listens on this machine, without the API's own path")
    other.add_argument("--pid", type=int, help="one of its processes: the whole group of it is measured")
    other.add_argument("--api-key", default="", metavar="KEY", help="sent as bearer token")
    other.add_argument("--model", default=MODEL, help=f"its name for the upstream's model (default: {MODEL})")
    other.add_argument("--name", default=_OTHER, help="its name in the table")
    arguments = parser.parse_args()
    if (arguments.url is None) != (arguments.pid is None):
        parser.error("--url and --pid are needed together")
    if arguments.name in (_UPSTREAM, _OURS):
        parser.error(f"--name {arguments.name} is taken")
    return arguments


def _find_other(arguments: argparse.Namespace) -> Target | None:
    """The other gateway. Raises BenchmarkFailed when it cannot be measured."""
    if arguments.url is None:
        return None
    url = urlsplit(arguments.url)
    if url.scheme != "http" or url.hostname is None or not _is_loopback(url.hostname):
        raise BenchmarkFailed(f"--url {arguments.url}: only http:// on this machine's loopback is measured")
    try:
        group = ProcessGroup(arguments.pid)
    except ProcessLookupError as error:
        raise BenchmarkFailed(f"--pid {arguments.pid}: there is no such process") from error
    if group.id in (os.getpgrp(), os.getsid(0)):
        raise BenchmarkFailed(f"--pid {arguments.pid}: it shares the benchmark's group; start it with `setsid`")
    return Target(
        name=arguments.name,
        host=url.hostname,
        port=url.port or 80,
        group=group,
        path=url.path.rstrip("/"),
        api_key=arguments.api_key,
        model=arguments.model,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _start_ours(stack: ExitStack, figures: Figures, plan: Plan, upstream_port: int) -> Target:
    """Start Sekisho as often as the plan says, on a fresh data folder each time; the last one stays."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sekisho-benchmark-")))
    upstreams = [upstream for _, upstream in PAIRS]
    for number in range(plan.starts - 1):
        with run_sekisho(folder / str(number), upstreams, upstream_port) as started:
            _note_start(figures, started)
    started = stack.enter_context(run_sekisho(folder / "measured", upstreams, upstream_port))
    _note_start(figures, started)
    return Target(name=_OURS, host=HOST, port=started.port, group=started.group, api_key=make_key(started.port))


def _note_start(figures: Figures, started: Started) -> None:
    note(figures, Figure("start", "until the first answer", "s"), _OURS, started.start_seconds)
    note(figures, Figure("start", "CPU until then", "s"), _OURS, started.start_cpu_seconds)


def _note_memory(figures: Figures, name: str, targets: list[Target]) -> None:
    for target in targets:
        note(figures, Figure("memory", name, "MB"), target.name, target.group.resident_mb())


def _measure(arguments: argparse.Namespace) -> tuple[Figures, list[str]]:
    """The figures and the names of the targets: the upstream, ours, and the other if there is one."""
    plan, figures = make_plan(quick=arguments.quick), Figures()
    other = _find_other(arguments)
    with ExitStack() as stack:
        running = run_upstream(arguments.upstream_port, plan.events, EVENT_SECONDS)
        port, group = stack.enter_context(running)
        upstream = Target(name=_UPSTREAM, host=HOST, port=port, group=group, direct=True)
        ours = _start_ours(stack, figures, plan, port)
        gateways = [ours, *([other] if other else [])]
        _note_memory(figures, "resident before the load", gateways)
        for client, wire in PAIRS:
            measured = gateways if wire.model == MODEL and client is OPENAI_CHAT else [ours]
            measure_pair(figures, plan, client, wire, [upstream, *measured])
        _note_memory(figures, "resident after the load", gateways)
        for target in gateways:
            note(figures, Figure("memory", "peak", "MB"), target.name, target.group.peak_mb())
    return figures, [_UPSTREAM, *(gateway.name for gateway in gateways)]


def main() -> int:
    """Measure and report. Returns the exit status."""
    arguments = _read_arguments()
    machine = describe_machine()
    try:
        figures, targets = _measure(arguments)
    except BenchmarkFailed as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(write_table(machine, figures, targets, arguments.name if arguments.url else None))
    if arguments.json is not None:
        write_json(arguments.json, machine, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
