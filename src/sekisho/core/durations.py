"""Durations as LiteLLM writes them (`30s`, `5m`, `2h`, `7d`, `1w`, `1mo`), and the ends of budget windows.

Windows end on the clock of a time zone (UTC unless one is named), not a duration after they began: `1d` at midnight,
`7d` and `1w` on Monday, `30d` and `1mo` on the first of the month. Other days run from today's midnight, other months
from the first of this month. Hours, minutes and seconds that divide a day end on their multiples since midnight (`2h`
at every even hour), and with the day, be it longer or shorter than others; those that do not run from the start of the
current hour, minute or second.
"""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

_FORM: Final = re.compile(r"(\d{1,9})(s|m|h|d|w|mo)", re.ASCII)
_NAMED: Final = {"hourly": "1h", "daily": "1d", "weekly": "7d", "monthly": "1mo"}
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "mo": 30 * 86_400}
_DAY: Final = 86_400
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
    month = _first_of_month(start.date(), duration.count)
    last_day = (_first_of_month(month, 1) - timedelta(days=1)).day
    return _midnight(month.replace(day=min(start.day, last_day)), UTC) + now % _DAY


def check_zone(name: str) -> str:
    """The name of a time zone, such as `Asia/Tokyo`.

    Raises:
        ValueError: there is no such zone.
    """
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"not a time zone: {name[:64]!r}; expected a name such as Asia/Tokyo or UTC") from None
    return name


def next_reset(text: str, now: float, zone: str | None = None) -> float:
    """The end of the budget window of length `text` that contains `now`, in whole seconds since the epoch.

    `zone` names the time zone on whose clock windows end; None is UTC.
    """
    duration, clock = parse_duration(text), _clock(zone)
    second = int(now // 1)
    today = datetime.fromtimestamp(second, clock).date()
    if months := _months(duration):
        return _midnight(_first_of_month(today, months), clock)
    if duration.unit in {"d", "w"}:
        days = 7 - today.weekday() if _days(duration) == 7 else _days(duration)
        return _midnight(today + timedelta(days=days), clock)
    length = duration.count * _SECONDS[duration.unit]
    if _DAY % length:
        return float(second - second % _SECONDS[duration.unit] + length)
    midnight = _midnight(today, clock)
    end = midnight + ((second - midnight) // length + 1) * length
    return min(end, _midnight(today + timedelta(days=1), clock))


def roll_window(text: str, resets_at: float, now: float, zone: str | None = None) -> float:
    """The end of the window open at `now`, for a budget whose window of length `text` ended (or ends) at `resets_at`.

    Every process comes to the same answer, whenever it asks: windows that end on the clock do so again, others follow
    each other without a gap.
    """
    if now < resets_at:
        return resets_at
    duration = parse_duration(text)
    if _is_aligned(duration):
        return next_reset(text, now, zone)
    clock = _clock(zone)
    if duration.unit == "mo":
        end = resets_at
        while end <= now:
            end = _midnight(_first_of_month(datetime.fromtimestamp(end, clock).date(), duration.count), clock)
        return end
    if duration.unit in {"d", "w"}:
        ended, days = datetime.fromtimestamp(resets_at, clock).date(), _days(duration)
        over = (datetime.fromtimestamp(now, clock).date() - ended).days // days + 1
        return _midnight(ended + timedelta(days=over * days), clock)
    length = duration.count * _SECONDS[duration.unit]
    return resets_at + length * ((now - resets_at) // length + 1)


def window_start(text: str, end: float, zone: str | None = None) -> float:
    """The beginning of the window of length `text` that ends at `end`, which is the end of the window before it."""
    duration, clock = parse_duration(text), _clock(zone)
    last = datetime.fromtimestamp(end, clock).date()
    if months := _months(duration):
        return _midnight(_first_of_month(last, -months), clock)
    if duration.unit in {"d", "w"}:
        return _midnight(last - timedelta(days=_days(duration)), clock)
    length = duration.count * _SECONDS[duration.unit]
    if _DAY % length:
        return end - length
    midnight = _midnight(datetime.fromtimestamp(end - 1, clock).date(), clock)
    return midnight + (end - 1 - midnight) // length * length


def _is_aligned(duration: Duration) -> bool:
    """Whether windows of this length end on fixed points of the clock, whenever they began."""
    if duration.unit == "mo":
        return duration.count == 1
    if duration.unit in {"d", "w"}:
        return _days(duration) in {1, 7} or (duration.unit, duration.count) == ("d", 30)
    return _DAY % (duration.count * _SECONDS[duration.unit]) == 0


def _months(duration: Duration) -> int:
    """How many months of the calendar a duration stands for; 0 for none. Thirty days are a month."""
    if duration.unit == "mo":
        return duration.count
    return int((duration.unit, duration.count) == ("d", 30))


def _days(duration: Duration) -> int:
    return duration.count * (7 if duration.unit == "w" else 1)


def _clock(zone: str | None) -> tzinfo:
    return UTC if zone is None else ZoneInfo(zone)


def _midnight(day: date, clock: tzinfo) -> float:
    """When a day begins, in seconds since the epoch; where the clock shows midnight twice, the second time."""
    first = datetime(day.year, day.month, day.day, tzinfo=clock)
    if clock is UTC:
        return first.timestamp()
    begin, again = first.timestamp(), first.replace(fold=1).timestamp()
    return max(begin, again)


def _first_of_month(day: date, months_later: int) -> date:
    """The first of the month that lies `months_later` after that of `day`."""
    years, month = divmod(day.month - 1 + months_later, 12)
    return date(day.year + years, month + 1, 1)
