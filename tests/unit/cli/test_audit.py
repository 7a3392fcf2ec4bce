import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.support.command_line import run_command

from sekisho.core.clock import ManualClock
from sekisho.store.database import Database
from sekisho.store.tables import audit, budgets, metadata


async def fill(path: Path) -> None:
    database = Database(str(path), ManualClock())
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
    for number in range(3):
        limits = {"budget_rollover": False, "budget_limits": [], "model_limits": {}}
        row = {"budget_id": f"b{number}", "created_at": 1.0, "updated_at": 1.0, **limits}
        async with database.change() as connection:
            await connection.execute(sa.insert(budgets).values(row))
    await database.close()


async def tamper(path: Path) -> None:
    database = Database(str(path))
    async with database.write() as connection:
        await connection.execute(sa.update(audit).where(audit.c.seq == 2).values(actor="nobody"))
    await database.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEKISHO_HOME", str(tmp_path))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return tmp_path


def verify(*options: str) -> tuple[int, str]:
    result = run_command("audit", "verify", *options)
    return result.exit_code, result.stdout + result.stderr


def test_a_whole_trail(home: Path) -> None:
    asyncio.run(fill(home / "sekisho.db"))
    status, text = verify()
    assert status == 0
    assert text.startswith("whole: 3 records; the hash of the last one is ")
    head = text.split()[-1]
    assert verify("--expect", head)[0] == 0
    assert verify("--database", f"sqlite:///{home / 'sekisho.db'}") == (0, text)
    assert verify("--expect", "ab" * 32)[0] == 1


def test_a_broken_trail(home: Path) -> None:
    asyncio.run(fill(home / "sekisho.db"))
    asyncio.run(tamper(home / "sekisho.db"))
    status, text = verify()
    assert status == 1
    assert text.startswith("BROKEN: record 2 is not what was written: it was altered. Good up to record 1, ")


def test_no_database(home: Path) -> None:
    status, text = verify()
    assert status == 2
    assert str(home / "sekisho.db") in text
    assert list(home.iterdir()) == [], "asking makes nothing"
    assert verify("--database", "mysql://x/y")[0] == 2
