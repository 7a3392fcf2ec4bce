"""An open, empty store for a test. Import the fixtures in a `conftest.py`, with those of `databases`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sekisho.core.clock import ManualClock
from sekisho.store.engine import Store, open_store


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock()


@pytest_asyncio.fixture
async def store(database_url: str, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store."""
    store = await open_store(database_url, clock, spool=tmp_path / "spool")
    yield store
    await store.close()
