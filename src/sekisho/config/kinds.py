"""What kind of value a key takes."""

import math
import re
from collections.abc import Callable

from msgspec import Struct

from sekisho.core.durations import check_zone, expiry, parse_duration

_SECRET = re.compile(r"key|secret|token|password", re.IGNORECASE)
_INTERNAL_ROLES = ("internal_user", "internal_user_viewer")
_TRUE, _FALSE = frozenset({"true", "yes", "on"}), frozenset({"false", "no", "off"})


class Kind(Struct, frozen=True):
    """A kind of value: its name for messages, and a reader that raises ValueError for anything else."""

    expected: str
    read: Callable[[object], object]
    numeric: bool = False


def _read_text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError


def _read_texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [_read_text(item) for item in value if item is not None]
    raise ValueError


def _read_boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _TRUE | _FALSE:
        return value.strip().lower() in _TRUE
    raise ValueError


def _read_number(value: object) -> float:
    """An int stays an int; text (from the environment, or `3e-6`, which YAML 1.1 takes for text) is read as a float."""
    if isinstance(value, str):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return value


def _read_integer(value: object) -> int:
    if isinstance(value, str):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError
    return value


def _read_list(value: object) -> list[object]:
    if isinstance(value, list):
        return value
    raise ValueError


def _read_mapping(value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    raise ValueError


def _read_collection(value: object) -> object:
    if isinstance(value, list | dict):
        return value
    raise ValueError


def _read_duration(value: object) -> float:
    """Seconds."""
    if not isinstance(value, str):
        raise ValueError
    return expiry(value, 0.0)


def _read_window(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    parse_duration(value)
    return value


def _read_zone(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return check_zone(value)


def _read_role(value: object) -> str:
    if value in _INTERNAL_ROLES:
        return str(value)
    raise ValueError


def _within(read: Callable[[object], float], least: float, most: float) -> Callable[[object], object]:
    def read_within(value: object) -> float:
        number = read(value)
        if not least <= number <= most:
            raise ValueError
        return number

    return read_within


_MOST = 2**53  # what every JSON reader still takes exactly

TEXT = Kind("text", _read_text)
TEXTS = Kind("text, or a list of nothing but text", _read_texts)
BOOLEAN = Kind("true or false", _read_boolean)
LIST = Kind("a list", _read_list)
MAPPING = Kind("a mapping", _read_mapping)
COLLECTION = Kind("a list or a mapping", _read_collection)
COUNT = Kind("a whole number, 0 or more", _within(_read_integer, 0, _MOST), numeric=True)
POSITIVE = Kind("a whole number, 1 or more", _within(_read_integer, 1, _MOST), numeric=True)
NUMBER = Kind("a number, 0 or more", _within(_read_number, 0, _MOST), numeric=True)
SECONDS = Kind("a number of seconds, more than 0", _within(_read_number, 1e-3, _MOST), numeric=True)
WEIGHT = Kind("a number, more than 0", _within(_read_number, 1e-3, _MOST), numeric=True)
MEGABYTES = Kind("a number of megabytes, more than 0", _within(_read_number, 1e-3, 4096), numeric=True)
DURATION = Kind("text for a duration, such as 24h or 30d", _read_duration)
WINDOW = Kind("text for the length of a budget window, such as 24h or 30d", _read_window)
ZONE = Kind("text for a time zone, such as Asia/Tokyo", _read_zone)
ROLE = Kind("internal_user or internal_user_viewer", _read_role)
CLIENT_ERROR = Kind("an HTTP status from 400 to 499", _within(_read_integer, 400, 499), numeric=True)


def is_secret(key: str, value: object) -> bool:
    """Whether a value is one that must not be shown: text under a name that speaks of keys, tokens and the like."""
    return isinstance(value, str) and _SECRET.search(key) is not None


def describe_mismatch(kind: Kind, value: object) -> str:
    """What was expected and what was found; a value is shown only where a number is, because text may be secret."""
    if isinstance(value, bool):
        found = "true or false"
    elif isinstance(value, int | float):
        found = f"the number {value}" if kind.numeric else "a number"
        if kind.expected.startswith("text"):
            found += " (put it in quotes to make it text)"
    elif isinstance(value, str):
        found = "text"
    else:
        found = "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else "nothing"
    return f"expected {kind.expected}, found {found}"
