"""`sekisho audit verify`: whether the audit trail is as it was written."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sekisho.core.errors import ConfigError, StoreUnavailable
from sekisho.store.audit import AuditRepository, Verdict
from sekisho.store.database import Database


def verify_audit(database: str | None, expected: Sequence[str]) -> int:
    """Walk the chain and print what was found.

    Args:
        database: the address; None for the embedded database of the data folder.
        expected: hashes of earlier heads that must still be in the chain.

    Returns:
        The exit status: 0 when the chain is whole, 1 when it is broken, 2 when it cannot be read.
    """
    try:
        verdict = asyncio.run(_verify(_find_database(database), expected))
    except (ConfigError, StoreUnavailable) as error:
        print(f"sekisho: cannot read the audit trail: {error}", file=sys.stderr)
        return 2
    if verdict.problem is not None:
        print(f"BROKEN: {verdict.problem}. Good up to record {verdict.records}, {verdict.head}.")
        return 1
    print(f"whole: {verdict.records} records; the hash of the last one is {verdict.head}")
    return 0


async def _verify(url: str, expected: Sequence[str]) -> Verdict:
    database = Database(url)
    try:
        return await AuditRepository(database).verify(expected)
    finally:
        await database.close()


def _find_database(given: str | None) -> str:
    """The address of a database that exists; asking must not make one."""
    home = Path(os.environ.get("SEKISHO_HOME") or ".sekisho")
    url = given or str(home / "sekisho.db")
    file = Path(url.removeprefix("sqlite:///")).expanduser()
    if ("://" not in url or url.startswith("sqlite:///")) and not file.exists():
        raise ConfigError(f"there is no database at {file}. Say where it is with --database.")
    return url
