"""What a start leaves out."""

import subprocess
import sys

SELDOM_NEEDED = {"alembic", "asyncpg", "botocore", "fastapi", "h2", "pydantic", "rich", "sekisho.simulator.app"}


def test_what_only_some_gateways_need_is_not_imported_at_the_start() -> None:
    program = """
import sys, sekisho.cli.serve
sekisho.cli.serve.serve = lambda *_: 0  # but its options are read
from sekisho.cli.main import main
main(["serve", "--config", "c.yaml", "--port", "4001", "--workers", "2"])
print(*sys.modules)
"""
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, timeout=60, check=True)
    modules = set(done.stdout.split())
    assert "sekisho.assembly" in modules
    assert not modules & SELDOM_NEEDED
