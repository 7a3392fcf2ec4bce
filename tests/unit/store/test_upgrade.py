"""Whatever version a database comes from, it is brought up to date with all that is in it."""

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from tests.support.admin import Admin
from tests.support.recorded_schema import (
    missing,
    read_answers,
    read_recorded,
    recorded_revisions,
    restore,
    write_schema,
)
from tests.support.usage import check_books
from tests.unit.store.test_schema import columns_and_keys

import sekisho.store
from sekisho.core.clock import ManualClock
from sekisho.store.database import Database
from sekisho.store.schema import HEAD, bring_up_to_date

_HOW = "record the schema: python -m tests.support.recorded_schema (tests/support/recorded_schema.py says when)"


def test_every_revision_is_recorded() -> None:
    scripts = ScriptDirectory(str(Path(sekisho.store.__file__).parent / "migrations"))
    assert recorded_revisions() == sorted(script.revision for script in scripts.walk_revisions()), _HOW


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_the_newest_record_is_the_schema(dialect: str) -> None:
    assert read_recorded(HEAD)["schema"][dialect] == write_schema(dialect), _HOW


@pytest.mark.parametrize("revision", recorded_revisions())
async def test_what_was_told_before_an_upgrade_is_told_after_it(
    revision: str, database_url: str, tmp_path: Path
) -> None:
    recorded = read_recorded(revision)
    await restore(recorded, database_url)
    with Admin(ManualClock()).serve(database_url) as admin:
        told = read_answers(admin)
        assert list(missing(recorded["answers"], told)) == []
        made = admin.make("/key/generate", {"key_alias": "new", "max_budget": 1})
        admin.record(1_000, key_hash=made["token"])
        assert admin.read("/key/info", key=made["key"])["info"]["spend"] == pytest.approx(1e-6)
        assert admin.run(lambda store: store.audit.verify()).problem is None
    upgraded, fresh = Database(database_url), Database(str(tmp_path / "fresh.db"))
    await bring_up_to_date(fresh)
    await check_books(upgraded)
    if not upgraded.postgres:
        async with upgraded.read() as old, fresh.read() as new:
            assert await old.run_sync(columns_and_keys) == await new.run_sync(columns_and_keys)
    await upgraded.close()
    await fresh.close()
