"""Durations as LiteLLM writes them (`30s`, `5m`, `2h`, `7d`, `1w`, `1mo`), and the ends of budget windows.

Windows end on the clock in UTC, not a duration after they began: `1d` at midnight, `7d` and `1w` on Monday, `30d` and
`1mo` on the first of the month. Other days run from today's midnight, other months from the first of this month.
Hours, minutes and seconds that divide a day end on their multiples since midnight (`2h` at every even hour); others
run from the start of the current hour, minute or second.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

_FORM: Final = re.compile(r"(\d{1,9})(s|m|h|d|w|mo)", re.ASCII)
_NAMED: Final = {"hourly": "1h", "daily": "1d", "weekly": "7d", "monthly": "1mo"}
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "mo": 30 * 86_400}
_DAY: Final = 86_400
_MONDAY: Final = 4 * _DAY
"""The first Monday after the epoch, which was a Thursday."""
_CENTURY: Final = 36_525 * _DAY


class Duration(Struct, frozen=True):
    """A count of one unit: `s`, `m`, `h`, `d`, `w` or `mo`."""

    count: int
    unit: str


def parse_duration(text: str) -> Duration:
    """Read a duration of at most a century.

    Raises:
        ValueError: it is none; the message says what is expected.
    """
    found = _FORM.fullmatch(_NAMED.get(text.strip().lower(), text.strip()))
    if found is None:
        raise ValueError(f"not a duration: {text[:40]!r}; expected a count and s, m, h, d, w or mo, such as 30d")
    duration = Duration(int(found[1]), found[2])
    if not 0 < duration.count * _SECONDS[duration.unit] <= _CENTURY:
        raise ValueError(f"not a duration: {text[:40]!r}; it must be longer than nothing and at most a century")
    return duration


def expiry(text: str, now: float) -> float:
    """The moment `text` after `now`, in seconds since the epoch. A month ends on the same day of a later month."""
    duration = parse_duration(text)
    if duration.unit != "mo":
        return now + duration.count * _SECONDS[duration.unit]
    start = datetime.fromtimestamp(now, UTC)
    month = _first_of_month(start, duration.count)
    last_day = (_first_of_month(month, 1) - timedelta(days=1)).day
    return month.replace(day=min(start.day, last_day)).timestamp() + now % _DAY


def next_reset(text: str, now: float) -> float:
    """The end of the budget window of length `text` that contains `now`, in whole seconds since the epoch."""
    duration = parse_duration(text)
    count, unit = duration.count, duration.unit
    second = int(now // 1)
    midnight = second - second % _DAY
    if unit == "mo" or (unit, count) == ("d", 30):
        months = count if unit == "mo" else 1
        return _first_of_month(datetime.fromtimestamp(second, UTC), months).timestamp()
    if (unit, count) in {("d", 7), ("w", 1)}:
        return float(second - (second - _MONDAY) % (7 * _DAY) + 7 * _DAY)
    length = count * _SECONDS[unit]
    if unit in {"d", "w"}:
        return float(midnight + length)
    if _DAY % length == 0:
        return float(second - second % length + length)
    return float(second - second % _SECONDS[unit] + length)


def roll_window(text: str, resets_at: float, now: float) -> float:
    """The end of the window open at `now`, for a budget whose window of length `text` ended (or ends) at `resets_at`.

    Every process comes to the same answer, whenever it asks: windows that end on the clock do so again, others follow
    each other without a gap.
    """
    if now < resets_at:
        return resets_at
    duration = parse_duration(text)
    if duration.unit == "mo":
        end = resets_at
        while end <= now:
            end = _first_of_month(datetime.fromtimestamp(end, UTC), duration.count).timestamp()
        return end
    if _is_aligned(duration):
        return next_reset(text, now)
    length = duration.count * _SECONDS[duration.unit]
    return resets_at + length * ((now - resets_at) // length + 1)


def window_start(text: str, end: float) -> float:
    """The beginning of the window of length `text` that ends at `end`, which is the end of the window before it."""
    duration = parse_duration(text)
    if duration.unit == "mo" or (duration.unit, duration.count) == ("d", 30):
        months = duration.count if duration.unit == "mo" else 1
        return _first_of_month(datetime.fromtimestamp(end, UTC), -months).timestamp()
    return end - duration.count * _SECONDS[duration.unit]


def _is_aligned(duration: Duration) -> bool:
    """Whether windows of this length end on fixed points of the clock, whenever they began."""
    count, unit = duration.count, duration.unit
    if (unit, count) in {("d", 1), ("d", 7), ("w", 1), ("d", 30)}:
        return True
    return unit in {"h", "m", "s"} and _DAY % (count * _SECONDS[unit]) == 0


def _first_of_month(moment: datetime, months_later: int) -> datetime:
    """Midnight on the first of the month that lies `months_later` after that of `moment`."""
    years, month = divmod(moment.month - 1 + months_later, 12)
    return datetime(moment.year + years, month + 1, 1, tzinfo=UTC)
