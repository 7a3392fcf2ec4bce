"""Where things stand in the files, and what is wrong with them."""

from collections.abc import Iterable
from typing import NamedTuple

from sekisho.config.snapshot import Finding
from sekisho.core.errors import ConfigError

Path = tuple[str | int, ...]
"""The way from the top of the configuration to a value: names of keys, and positions in lists from 0."""

_LONGEST_NAME = 80


class Place(NamedTuple):
    """A position in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Document:
    """Plain values with the places they were read from.

    `keys` holds the place of a mapping's key, `values` that of a value, both by the path from the top. An alias has
    the place of its anchor.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.sections: dict[str, object] = {}
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}

    def key_place(self, path: Path) -> Place:
        """Where the key that ends `path` stands; where its value stands when it is an item of a list."""
        return self.keys.get(path) or self.values.get(path) or Place(self.file, 1, 1)

    def value_place(self, path: Path) -> Place:
        """Where the value at `path` stands."""
        return self.values.get(path) or self.key_place(path)


class InvalidConfig(ConfigError):
    """A configuration that cannot be used, with everything that was found: the errors are its message."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        errors = [finding for finding in self.findings if finding.level == "error"]
        lines = [errors[0].message, *(f"{error.where}: {error.message}" for error in errors[1:])]
        super().__init__("\n".join(lines), where=errors[0].where)


class Report:
    """Collects findings while a configuration is read."""

    def __init__(self) -> None:
        self._noted: list[tuple[Place, Finding]] = []

    def error(self, place: Place, message: str) -> None:
        """Notes something that makes the configuration unusable."""
        self._noted.append((place, Finding(level="error", where=str(place), message=message)))

    def warn(self, place: Place, message: str) -> None:
        """Notes something that should be known and does not stop the start."""
        self._noted.append((place, Finding(level="warning", where=str(place), message=message)))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything noted, by place."""
        return tuple(finding for _, finding in sorted(self._noted, key=lambda noted: noted[0]))

    @property
    def failed(self) -> bool:
        """Whether any error was noted."""
        return any(finding.level == "error" for _, finding in self._noted)


def invalid(place: Place, message: str) -> InvalidConfig:
    """The exception for a file that cannot be read on past `place`."""
    return InvalidConfig([Finding(level="error", where=str(place), message=message)])


def show_file(path: str) -> str:
    """The path of a file as it may stand in a message: printable, and whole, for its end says most."""
    return "".join(char if char.isprintable() else "?" for char in path)


def show_name(name: str) -> str:
    """A name from a file as it may stand in a message: printable, on one line, not endless."""
    shown = show_file(name)
    return shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 1] + "…"


def show_path(path: Path) -> str:
    """A path as people write it: `model_list[0].litellm_params.model`."""
    shown = ""
    for step in path:
        if isinstance(step, int):
            shown += f"[{step}]"
        else:
            shown += f".{show_name(step)}" if shown else show_name(step)
    return shown
