"""Show the figures: a table for people, JSON for programs."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.measure import Figure, Figures


def describe_machine() -> dict[str, object]:
    """What the figures depend on."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpus": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def write_table(machine: dict[str, object], figures: Figures, targets: Sequence[str], compared: str | None) -> str:
    """A Markdown table of medians with their ranges; with the ratio of `compared` to the gateway that is ours."""
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    header = ["figure", "unit", *targets]
    if compared is not None:
        header.append(f"{compared} / {targets[1]}")
    lines: list[str] = [facts]
    for case, rows in _by_case(figures).items():
        body = [_row(figure, figures[figure], targets, compared) for figure in rows]
        lines += ["", case, "", *_align([header, *body])]
    return "\n".join(lines)


def write_json(path: Path, machine: dict[str, object], figures: Figures) -> None:
    """Store the machine's facts and each figure with the values of all rounds."""
    rows = [
        {
            "case": figure.case,
            "figure": figure.name,
            "unit": figure.unit,
            "target": target,
            "median": median(values),
            "min": min(values),
            "max": max(values),
            "rounds": values,
        }
        for figure, by_target in figures.items()
        for target, values in by_target.items()
    ]
    path.write_bytes(msgspec.json.format(msgspec.json.encode({"machine": machine, "figures": rows})) + b"\n")


def _by_case(figures: Figures) -> dict[str, list[Figure]]:
    cases: dict[str, list[Figure]] = {}
    for figure in figures:
        cases.setdefault(figure.case, []).append(figure)
    return cases


def _row(figure: Figure, by_target: dict[str, list[float]], targets: Sequence[str], compared: str | None) -> list[str]:
    row = [figure.name, figure.unit, *(_cell(by_target.get(target)) for target in targets)]
    if compared is not None:
        ours, theirs = by_target.get(targets[1]), by_target.get(compared)
        # Added latency is a difference, and may come out below zero.
        row.append(f"{median(theirs) / median(ours):.2f}" if ours and theirs and median(ours) > 0 else "–")
    return row


def _cell(values: Sequence[float] | None) -> str:
    if not values:
        return "–"
    low, middle, high = (_number(value) for value in (min(values), median(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low}–{high})"


def _number(value: float) -> str:
    """Three digits that count, as far as whole numbers allow."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return lines


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
