"""The benchmark runs, and every figure comes out. How good the figures are is no matter of a test."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.cases import PAIRS
from benchmarks.goals import GOALS
from benchmarks.measure import Figure, note
from benchmarks.publish import publish

ROOT = Path(__file__).parent.parent.parent
CASES = (
    ("1 KB chat", "CPU per request"),
    ("100 KB agent", "CPU per request"),
    ("streams, 32 at a time, 20 events each", "CPU per event"),
    ("streams, 32 at a time, 20 events each", "largest process"),
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
    assert set(stored["machine"]) == {"date", "cpus", "processor", "kernel", "python", "command", "versions"}
    figures = {(row["case"], row["figure"], row["target"]): row for row in stored["figures"]}
    ours = {(case, figure) for case, figure, target in figures if target == "sekisho"}
    assert ours == {
        ("start", "until the first answer"),
        ("start", "CPU until then"),
        ("memory", "resident before the load"),
        ("memory", "resident after the load"),
        ("memory", "peak"),
        ("memory", "resident with the admin API in use"),
        *(
            (f"{case}, {client.label} → {upstream.label}", figure)
            for client, upstream in PAIRS
            for case, figure in CASES
        ),
    }
    lines = [line for line in done.stdout.splitlines() if "| ≤ " in line]
    assert len(lines) == len(GOALS)
    assert all(line.rstrip(" |")[-1] in "✓✗" for line in lines)
    # What is added is a difference of two noisy times, so it alone may be below zero.
    assert all(row["min"] > 0 for (_, figure, _), row in figures.items() if not figure.startswith("added"))
    assert all(row["min"] <= row["median"] <= row["max"] for row in figures.values())
    for case, figure, _ in figures:
        assert case in done.stdout
        assert figure in done.stdout


def test_a_run_renews_its_own_table_and_nothing_else(tmp_path: Path) -> None:
    english, japanese, other = (tmp_path / name for name in ("a.md", "a.ja.md", "b.md"))
    text = "before\n<!-- benchmark sqlite -->\nold\n<!-- end of benchmark -->\nafter\n"
    english.write_text(text + text.replace("sqlite", "postgresql"))
    japanese.write_text(text)
    other.write_text("before\nafter\n")
    figures: dict[Figure, dict[str, list[float]]] = {}
    note(figures, Figure("start", "until the first answer", "s"), "sekisho", 0.5)
    note(figures, Figure("start", "until the first answer", "s"), "slow", 2.0)
    facts = {"date": "today", "command": "it", "cpus": 2, "processor": "one", "python": "3", "versions": "slow 1.0"}
    assert publish("sqlite", figures, ["sekisho", "slow"], facts, [english, japanese, other]) == [english, japanese]
    for document, label in ((english, "start to first answer"), (japanese, "起動から最初の応答まで")):
        renewed = document.read_text()
        (line,) = (line for line in renewed.splitlines() if label in line)
        assert [cell.strip() for cell in line.split("|")][3:7] == ["≤ 1", "**0.50**", "✓", "2.00 (4.00×)"]
        assert "`it`, today, 2 × one, Python 3, slow 1.0" in renewed
        assert renewed.startswith("before\n<!-- benchmark sqlite -->\n| ")
    assert english.read_text().endswith("<!-- benchmark postgresql -->\nold\n<!-- end of benchmark -->\nafter\n")
