"""`python -m benchmarks.guard`: what a call costs, as a ratio to a fixed piece of Python work. See docs/benchmarks.md.

CPU time of both is taken in turn on the same machine, and the best of some rounds counts, so neither the machine nor
what else it does matters much. `--write` records the ratios with which the tests compare.
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import thread_time

import msgspec

from benchmarks.cases import EVENT_SECONDS, Case, Plan, make_plan
from benchmarks.gateways import make_key, run_sekisho, run_upstream
from benchmarks.measure import Target, measure_round, write_load
from benchmarks.servers import HOST, run_helper
from benchmarks.wires import BEDROCK_CONVERSE, OPENAI_CHAT, OPENAI_COMPATIBLE

RECORD = Path(__file__).with_name("guard.json")
_ROUNDS = 3
_REQUESTS = {"request": 400, "event": 32}
_STEPS = 400


class Ratios(msgspec.Struct, frozen=True, kw_only=True):
    """CPU time per request and per streamed event, in units of the fixed work."""

    chat: float
    converse: float
    event: float


def measure() -> Ratios:
    """Start a gateway with everything on and send it small loads. Raises BenchmarkFailed."""
    plan = make_plan(quick=True)
    chat, events = _pick(plan, "1 KB chat"), _pick(plan, "streams")
    loads = {
        "chat": (chat, OPENAI_COMPATIBLE),
        "converse": (chat, BEDROCK_CONVERSE),
        "event": (events, OPENAI_COMPATIBLE),
    }
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sekisho-guard-")))
        sink_port, _ = stack.enter_context(run_helper("benchmarks.sink"))
        upstream_port, _ = stack.enter_context(run_upstream(0, plan.events, EVENT_SECONDS))
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{sink_port}"}
        wires = (OPENAI_COMPATIBLE, BEDROCK_CONVERSE)
        started = stack.enter_context(run_sekisho(home / "home", wires, upstream_port, environment))
        key = make_key(started.port)
        target = Target(name="sekisho", host=HOST, port=started.port, group=started.group, api_key=key)
        units: list[float] = []
        costs: dict[str, list[float]] = {name: [] for name in loads}
        for _ in range(_ROUNDS):
            for name, (case, wire) in loads.items():
                units.append(_time_fixed_work())
                seconds, result = measure_round(write_load(case, OPENAI_CHAT, wire, target), target, case)
                costs[name].append(seconds / (len(result.latencies) * (case.events or 1)))
    unit = min(units)
    return Ratios(**{name: round(min(values) / unit, 4) for name, values in costs.items()})


def read_record() -> Ratios:
    """The ratios that were recorded."""
    return msgspec.json.decode(RECORD.read_bytes(), type=Ratios)


def _pick(plan: Plan, label: str) -> Case:
    case = next(case for case in plan.cases if case.label.startswith(label))
    return msgspec.structs.replace(case, count=_REQUESTS[case.figure])


def _time_fixed_work() -> float:
    """CPU seconds of what Python code mostly does: calls, attributes, dictionaries, text and JSON."""
    began = thread_time()
    counted: dict[str, int] = {}
    for step in range(_STEPS):
        point = _Point(step)
        fields = {f"field-{number}": number for number in range(8)}
        text = msgspec.json.encode({"point": point.move(), "fields": fields})
        for name, value in msgspec.json.decode(text)["fields"].items():
            counted[name.upper()] = counted.get(name, 0) + value
    return thread_time() - began


class _Point:
    def __init__(self, x: int) -> None:
        self.x = x

    def move(self) -> int:
        self.x += 1
        return self.x


def main() -> None:
    """Print the ratios; record them if told so."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description="What a call costs, as a ratio.")
    parser.add_argument("--write", action="store_true", help=f"record them in {RECORD.name}")
    arguments = parser.parse_args()
    measured = measure()
    print(f"recorded: {read_record() if RECORD.exists() else 'nothing'}\nmeasured: {measured}")
    if arguments.write:
        RECORD.write_bytes(msgspec.json.format(msgspec.json.encode(measured)) + b"\n")


if __name__ == "__main__":
    main()
