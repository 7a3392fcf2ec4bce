"""`python -m benchmarks`: measure what the gateway costs, and print a table. See docs/benchmarks.md."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from tests.support.postgres import create_database, run_server

from benchmarks.cases import EVENT_SECONDS, PAIRS, make_plan
from benchmarks.gateways import check_all_was_on, make_key, run_sekisho, run_upstream
from benchmarks.measure import Figure, Figures, Target, measure_pair, note
from benchmarks.publish import DOCUMENTS, publish
from benchmarks.report import describe_machine, write_goals, write_json, write_table
from benchmarks.rivals import find_rivals
from benchmarks.servers import HOST, BenchmarkFailed, Started, run_helper
from benchmarks.wires import OPENAI_CHAT

_UPSTREAM, _OURS = "upstream alone", "sekisho"


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What the gateway costs.")
    parser.add_argument("--quick", action="store_true", help="tiny numbers: shows that it works, measures nothing")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite", help="where usage is kept")
    parser.add_argument("--workers", type=int, default=1, help="processes that Sekisho serves with")
    parser.add_argument("--rivals", type=Path, metavar="FOLDER", help="measure the gateways installed there, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the figures of all rounds")
    parser.add_argument("--write", action="store_true", help="renew the table in the READMEs and docs/benchmarks.md")
    return parser.parse_args()


class _Run:
    """One run. What it starts stays until `stack` is closed."""

    def __init__(self, arguments: argparse.Namespace, stack: ExitStack) -> None:
        self.figures: Figures = {}
        self._plan = make_plan(quick=arguments.quick)
        self._rivals = list(find_rivals(arguments.rivals)) if arguments.rivals else []
        self._workers = arguments.workers
        self._stack = stack
        self._home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sekisho-benchmark-")))
        self._server = stack.enter_context(run_server(fsync=True)) if arguments.database == "postgresql" else None
        self._sink_port, _ = stack.enter_context(run_helper("benchmarks.sink"))
        self._upstream_port, group = stack.enter_context(run_upstream(0, self._plan.events, EVENT_SECONDS))
        self._upstream = Target(name=_UPSTREAM, host=HOST, port=self._upstream_port, group=group, direct=True)
        self.names = [_OURS, *(rival.name for rival in self._rivals)]
        self.versions = ", ".join(f"{rival.name} {rival.version}" for rival in self._rivals)

    def measure(self) -> None:
        """Start everything and send all cases. Raises BenchmarkFailed."""
        ours, started = self._start_ours()
        targets = [ours, *self._start_rivals()]
        self._note_memory("resident before the load", targets)
        for client, wire in PAIRS:
            able = [target for target in targets if target is ours or (client is OPENAI_CHAT and target.model(wire))]
            measure_pair(self.figures, self._plan, client, wire, [self._upstream, *able])
        self._note_memory("resident after the load", targets)
        for target in targets:
            note(self.figures, Figure("memory", "peak", "MB"), target.name, target.group.peak_mb())
        check_all_was_on(started, ours.api_key)
        self._note_memory("resident with the admin API in use", [ours])

    def _start_ours(self) -> tuple[Target, Started]:
        """Start Sekisho as often as the plan says with nothing there yet, and once more where the last one left a key.

        That one stays. It serves calls with a key from its database, and has not been asked for anything else before.
        """
        for number in range(self._plan.starts):
            home, environment = self._home / str(number), self._make_environment()
            with self._run_ours(home, environment) as started:
                self._note_start(_OURS, started)
                key = make_key(started.port)
        started = self._stack.enter_context(self._run_ours(home, environment))
        return Target(name=_OURS, host=HOST, port=started.port, group=started.group, api_key=key), started

    def _make_environment(self) -> dict[str, str]:
        """With a new database where it is not in the data folder."""
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{self._sink_port}"}
        if self._server is not None:
            environment["DATABASE_URL"] = create_database(self._server)
        return environment

    def _run_ours(self, home: Path, environment: Mapping[str, str]) -> AbstractContextManager[Started]:
        upstreams = [upstream for _, upstream in PAIRS]
        return run_sekisho(home, upstreams, self._upstream_port, environment, self._workers)

    def _start_rivals(self) -> Iterator[Target]:
        for rival in self._rivals:
            started, target = self._stack.enter_context(rival.run(self._home / rival.name, self._upstream_port))
            self._note_start(rival.name, started)
            yield target

    def _note_start(self, name: str, started: Started) -> None:
        note(self.figures, Figure("start", "until the first answer", "s"), name, started.start_seconds)
        note(self.figures, Figure("start", "CPU until then", "s"), name, started.start_cpu_seconds)

    def _note_memory(self, name: str, targets: Sequence[Target]) -> None:
        for target in targets:
            note(self.figures, Figure("memory", name, "MB"), target.name, target.group.resident_mb())


def main() -> int:
    """Measure and report. Returns the exit status."""
    arguments = _read_arguments()
    command = f"python -m benchmarks {' '.join(sys.argv[1:])}".removesuffix(" --write").strip()
    facts = {**describe_machine(), "command": command}
    try:
        with ExitStack() as stack:
            run = _Run(arguments, stack)
            facts["versions"] = run.versions
            run.measure()
    except BenchmarkFailed as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(", ".join(f"{name} {value}" for name, value in facts.items() if value))
    print(f"\n{write_goals(run.figures, run.names)}")
    print(write_table(run.figures, [_UPSTREAM, *run.names]))
    if arguments.json is not None:
        write_json(arguments.json, facts, run.figures)
    if arguments.write:
        for document in publish(arguments.database, run.figures, run.names, facts, DOCUMENTS):
            print(f"written: {document}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
