"""The benchmark of the money path runs, and every step of it is timed. What it costs is no matter of a test."""

import os
import re
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def test_every_step_is_timed() -> None:
    command = (sys.executable, "-m", "benchmarks.ledger", "--calls", "100", "--at-once", "8", "--rounds", "1")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert (
        len(
            re.findall(
                r"^a key .+: [\d.]+ µs of CPU per call; ledger and checks [\d.]+ µs$", done.stdout, flags=re.MULTILINE
            )
        )
        == 2
    )
    assert len(re.findall(r"^    [a-z].+ -?[\d.]+$", done.stdout, flags=re.MULTILINE)) == 22
