"""The benchmark of reports runs, and every report comes out. How fast they are is no matter of a test."""

import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.calls import DAYS, FIRST_DAY, fill
from tests.support.databases import database_url, postgres_folder
from tests.support.usage import check_books

from sekisho.store.database import Database
from sekisho.store.reports import ReportFilter, ReportRepository
from sekisho.store.schema import bring_up_to_date

__all__ = ["database_url", "postgres_folder"]

_ROOT = Path(__file__).parents[2]


def test_every_report_is_timed(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "benchmarks.reports", "--rows", "900", "--database", str(tmp_path / "calls.db"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout.startswith("900 usage rows, SQLite\n")
    assert len(re.findall(r"^/.+ best +[\d.]+ ms   CPU +[\d.]+ ms", done.stdout, flags=re.MULTILINE)) == 21


async def test_what_it_fills_a_database_with_adds_up(database_url: str) -> None:
    database = Database(database_url)
    try:
        await bring_up_to_date(database)
        await fill(database, 270)
        await check_books(database)
        every = ReportFilter(since=0, until=10**7)
        lines = await ReportRepository(database).add_up(every, ("day",), limit=1_000)
    finally:
        await database.close()
    assert [line.group for line in lines] == [(FIRST_DAY + day,) for day in range(DAYS)]
    assert {line.sums.requests for line in lines} == {3}
