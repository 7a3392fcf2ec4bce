"""Show the figures: tables for people, JSON for programs."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.goals import GOALS
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


def write_goals(figures: Figures, targets: Sequence[str], *, japanese: bool = False) -> str:
    """The Markdown table by which the gateway is judged: medians, and how many times ours the others' are."""
    ours, *others = targets
    names = ["測定項目", "単位", "目標"] if japanese else ["figure", "unit", "must reach"]
    rows = [[*names, ours.capitalize(), "", *others]]
    for goal in GOALS:
        found = goal.find(figures)
        reached = found.get(ours)
        rows.append(
            [
                goal.japanese if japanese else goal.label,
                goal.unit,
                f"≤ {goal.most:g}",
                "–" if reached is None else f"**{_number(reached)}**",
                "" if reached is None else "✓" if reached <= goal.most else "✗",
                *(_compare(found.get(other), reached) for other in others),
            ]
        )
    return "\n".join(_align(rows))


def _compare(theirs: float | None, ours: float | None) -> str:
    if theirs is None:
        return "–"
    # Added latency is a difference, and may come out below zero.
    return f"{_number(theirs)} ({_number(theirs / ours)}×)" if ours and min(ours, theirs) > 0 else _number(theirs)


def write_table(figures: Figures, targets: Sequence[str]) -> str:
    """Markdown tables of all medians with their ranges."""
    header = ["figure", "unit", *targets]
    lines: list[str] = []
    for case, rows in _by_case(figures).items():
        body = [[figure.name, figure.unit, *(_cell(figures[figure].get(name)) for name in targets)] for figure in rows]
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
