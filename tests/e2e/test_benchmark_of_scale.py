"""The benchmark of scale runs on a small company, and every figure comes out."""

import os
import re
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def test_every_figure_of_scale_is_measured(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "benchmarks.scale", "--keys", "200", "--database", str(tmp_path / "scale.db"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False)
    figures = dict(re.findall(r"^(\S.*?) {2,}([\d,.]+) \S+$", done.stdout, flags=re.MULTILINE))
    assert done.returncode in (0, 1), done.stderr
    assert all(float(value.replace(",", "")) > 0 for value in figures.values())
    changes = [name for name in figures if name.endswith("until it counts elsewhere")]
    lists = [name for name in figures if name.startswith("/") and name not in changes]
    assert (len(changes), len(lists), len(figures)) == (3, 14, 29), done.stderr
