"""The benchmark of many clients runs with few, and every figure comes out."""

import os
import re
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def test_every_figure_of_pressure_is_measured() -> None:
    few = ("--streams", "20", "--events", "5", "--slow", "2", "--idle", "20", "--long", "4", "--seconds", "0.5")
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks.pressure", *few),
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = dict(re.findall(r"^(\S.*?) {2,}(-?[\d.]+) ", done.stdout, flags=re.MULTILINE))
    assert len(figures) == 11
    assert figures["20 streams, 200 ms apart: lost"] == "0.0"
