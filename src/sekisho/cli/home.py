"""The data folder: the embedded database, and the keys that a gateway without an administrator makes for itself."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from sekisho.identity.keys import make_key


def find_home() -> Path:
    """The data folder, made if it is not there: `SEKISHO_HOME`, or `.sekisho` in the current folder."""
    home = Path(os.environ.get("SEKISHO_HOME") or ".sekisho").absolute()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def keep_master_key(home: Path) -> str:
    """The master key of this data folder; made on the first start."""
    return _keep(home / "master.key", lambda: "sk-" + secrets.token_urlsafe(32))


def keep_starter_key(home: Path) -> str:
    """The virtual key that the embedded default offers for a first try; made on the first start."""
    return _keep(home / "starter.key", make_key)


def _keep(path: Path, make: Callable[[], str]) -> str:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        key = make()
        file.write(key + "\n")
    return key
