"""Fields that Completions and Chat Completions have alike, and how they are checked."""

from collections.abc import Callable, Mapping
from typing import Final

from sekisho.dialects.common.fields import read_integer, read_name, read_names, read_number, read_object, wrong_type

Extras = Mapping[str, tuple[Callable[[object, str], object], object]]
"""Known fields without a neutral form: how to check them, and the value that asks for nothing."""


def read_count(value: object, path: str) -> int:
    """An integer of zero or more."""
    return read_integer(value, path, minimum=0)


def read_positive(value: object, path: str) -> int:
    """An integer of one or more."""
    return read_integer(value, path, minimum=1)


def read_temperature(value: object, path: str) -> float:
    """A temperature, which OpenAI has from 0 to 2."""
    return read_number(value, path, minimum=0, maximum=2)


def read_share(value: object, path: str) -> float:
    """A number from 0 to 1."""
    return read_number(value, path, minimum=0, maximum=1)


def read_stop(value: object, path: str) -> list[str]:
    """Stop sequences: a string, or an array of them."""
    if isinstance(value, str):
        return [read_name(value, path)]
    if isinstance(value, list):
        return read_names(value, path)
    raise wrong_type(value, path, "a string or an array of strings")


def _read_penalty(value: object, path: str) -> float:
    return read_number(value, path, minimum=-2, maximum=2)


EXTRAS: Final[Extras] = {
    "n": (read_positive, 1),
    "seed": (read_integer, None),
    "logit_bias": (read_object, {}),
    "presence_penalty": (_read_penalty, 0),
    "frequency_penalty": (_read_penalty, 0),
}
"""Those that both formats have."""
