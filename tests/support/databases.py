"""Fixtures that give a test an empty database of each kind. Import them in a `conftest.py`."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.postgres import create_database, run_server, skip_or_fail


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[Path]:
    """The socket folder of a PostgreSQL server that runs for the whole session."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(run_server())
        except (RuntimeError, OSError) as error:
            skip_or_fail(f"PostgreSQL cannot be started: {error}")
        yield folder


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return str(tmp_path / "sekisho.db")
    return create_database(request.getfixturevalue("postgres_folder"))
