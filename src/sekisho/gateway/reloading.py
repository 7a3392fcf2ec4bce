"""The configuration read anew from its files while calls go on."""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from sekisho.config import load
from sekisho.config.snapshot import Finding, Snapshot
from sekisho.core.author import current_author
from sekisho.gateway.worlds import WorldKeeper

_log = logging.getLogger("sekisho")


class Reloaded(Struct, frozen=True, kw_only=True):
    """What came of a reload: whether anything is different now, and what is worth knowing of the files."""

    changed: bool
    findings: tuple[Finding, ...]


class Reloader:
    """Lets the files of the configuration count anew; calls under way keep what they began with.

    Args:
        file: the file that the gateway was started with.
        worlds: what keeps the configuration in use.
        spread: tells the other processes on this machine, where there are some, to do the same.
    """

    def __init__(self, file: Path, worlds: WorldKeeper, spread: Callable[[], None] | None = None) -> None:
        self._file = file
        self._worlds = worlds
        self._spread = spread

    async def reload(self) -> Reloaded:
        """Read, check and use the files, here now and in the other processes in a moment.

        Raises:
            ConfigError: with file, line, key and what is wrong; then what was in use stays in use.
        """
        loaded = await asyncio.to_thread(load, self._file, os.environ)
        changed = self.adopt(loaded.snapshot)
        if self._spread is not None:
            self._spread()
        return Reloaded(changed=changed, findings=loaded.findings)

    def adopt(self, snapshot: Snapshot) -> bool:
        """Use what files that have been checked say; whether anything is different now."""
        changed = self._worlds.adopt(snapshot)
        if changed:
            by = current_author().name
            _log.info("configuration reloaded file=%s models=%d by=%s", self._file, len(snapshot.groups), by)
        return changed
