"""The headers of upstreams' answers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

_BREAK: Final = re.compile(rb"\r\n?")


class ResponseHeaders(Mapping[str, str]):
    """The headers of an answer by their lower-case names.

    They are read when one is asked for, which few answers are that are what was hoped for. `came` is what came until
    the parser, which has found it well-formed, had read the last of them.
    """

    __slots__ = ("_came", "_found")

    def __init__(self, came: Sequence[bytes]) -> None:
        self._came = came
        self._found: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        return self._named()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._named())

    def __len__(self) -> int:
        return len(self._named())

    def _named(self) -> dict[str, str]:
        if self._found is None:
            self._found = _read_headers(b"".join(self._came))
        return self._found


def _read_headers(came: bytes) -> dict[str, str]:
    """The headers of the first answer that is not an interim one."""
    found: dict[str, str] = {}
    passing = True
    while passing and came:
        head, _, came = _BREAK.sub(b"\n", came.lstrip(b"\r\n")).partition(b"\n\n")
        status, *lines = head.decode("latin-1").split("\n")
        passing = status.split()[1].startswith("1")
        pairs = (line.partition(":") for line in lines)
        found = {name.lower(): value.strip(" \t") for name, _, value in pairs}
    return found
