"""The benchmark runs, and every figure comes out. How good the figures are is no matter of a test."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.cases import PAIRS

ROOT = Path(__file__).parent.parent.parent
CASES = (
    ("1 KB chat", "CPU per request"),
    ("100 KB agent", "CPU per request"),
    ("streams, 32 at a time, 20 events each", "CPU per event"),
    *(("1 KB chat, one connection", f"{kind} p{n}") for kind in ("latency", "added latency") for n in (50, 99)),
)


def test_a_failover_is_measured() -> None:
    command = (sys.executable, "-m", "benchmarks.failover", "--calls", "3", "--delay", "1")
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    figures = {line[:42].strip(): float(line[42:].split()[0]) for line in done.stdout.splitlines()}
    assert figures["a call whose first deployment refuses"] > figures["the refusing upstream's round trip"] > 1


def test_a_quick_run_measures_every_figure(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks", "--quick", "--json", str(file)),
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr

    stored = json.loads(file.read_text())
    assert set(stored["machine"]) == {"date", "cpus", "processor", "kernel", "python"}
    figures = {(row["case"], row["figure"], row["target"]): row for row in stored["figures"]}
    ours = {(case, figure) for case, figure, target in figures if target == "sekisho"}
    assert ours == {
        ("start", "until the first answer"),
        ("start", "CPU until then"),
        ("memory", "resident before the load"),
        ("memory", "resident after the load"),
        ("memory", "peak"),
        *(
            (f"{case}, {client.label} → {upstream.label}", figure)
            for client, upstream in PAIRS
            for case, figure in CASES
        ),
    }
    # What is added is a difference of two noisy times, so it alone may be below zero.
    assert all(row["min"] > 0 for (_, figure, _), row in figures.items() if not figure.startswith("added"))
    assert all(row["min"] <= row["median"] <= row["max"] for row in figures.values())
    for case, figure, _ in figures:
        assert case in done.stdout
        assert figure in done.stdout


def test_only_gateways_on_this_machine_are_measured() -> None:
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks", "--quick", "--url", "http://192.0.2.1:4000", "--pid", "1"),
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "loopback" in done.stderr
    assert "Traceback" not in done.stderr
