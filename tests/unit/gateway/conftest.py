import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop
from tests.support.databases import database_url, postgres_folder
from tests.support.stores import clock, store

__all__ = ["clock", "database_url", "postgres_folder", "store"]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The gateway runs on uvloop, whose transports differ from asyncio's; so do its tests."""
    return {"uvloop": uvloop.new_event_loop}
