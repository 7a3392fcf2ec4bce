"""The benchmark of reports runs, and every report comes out. How fast they are is no matter of a test."""

import os
import re
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def test_every_report_is_timed(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "benchmarks.reports", "--rows", "180", "--database", str(tmp_path / "calls.db"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout.startswith("180 usage rows, SQLite\n")
    assert len(re.findall(r"^/.+ best +[\d.]+ ms", done.stdout, flags=re.MULTILINE)) == 21
