"""The signals that end a server, or have it read its configuration anew."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator

from sekisho.core.errors import ConfigError

_log = logging.getLogger("sekisho")


def stop_on_signals() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set, in the running loop."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    return stopping


@contextlib.contextmanager
def reload_on_hangup(reload: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """While inside, SIGHUP calls `reload`, one at a time; what keeps it from being done is logged."""
    loop = asyncio.get_running_loop()
    wanted = asyncio.Event()

    async def follow() -> None:
        while True:
            await wanted.wait()
            wanted.clear()
            try:
                await reload()
            except ConfigError as error:
                _log.error("the configuration cannot be used, so nothing has changed: %s", error)
            except Exception:  # noqa: BLE001  # whatever it is, what runs must go on, and hear the next signal
                _log.exception("the configuration could not be read anew, so nothing has changed")

    following = asyncio.create_task(follow(), name="reload")
    loop.add_signal_handler(signal.SIGHUP, wanted.set)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        following.cancel()
