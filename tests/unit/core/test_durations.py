from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.durations import check_zone, expiry, next_reset, parse_duration, roll_window, window_start

NOW = datetime(2026, 11, 25, 10, 35, 20, 500_000, UTC)  # a Wednesday
moments = st.floats(0, 4_000_000_000)
lengths = st.builds("{}{}".format, st.integers(1, 400), st.sampled_from(["s", "m", "h", "d", "w", "mo"]))


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> float:
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("1d", at(2026, 11, 26)),
        ("daily", at(2026, 11, 26)),
        ("24h", at(2026, 11, 26)),
        ("3d", at(2026, 11, 28)),
        ("7d", at(2026, 11, 30)),
        ("1w", at(2026, 11, 30)),
        ("weekly", at(2026, 11, 30)),
        ("2w", at(2026, 12, 9)),
        ("30d", at(2026, 12, 1)),
        ("1mo", at(2026, 12, 1)),
        ("monthly", at(2026, 12, 1)),
        ("2mo", at(2027, 1, 1)),
        ("14mo", at(2028, 1, 1)),
        ("1h", at(2026, 11, 25, 11)),
        ("hourly", at(2026, 11, 25, 11)),
        ("2h", at(2026, 11, 25, 12)),
        ("5h", at(2026, 11, 25, 15)),
        ("15m", at(2026, 11, 25, 10, 45)),
        ("7m", at(2026, 11, 25, 10, 42)),
        ("30s", at(2026, 11, 25, 10, 35, 30)),
    ],
)
def test_windows_end_on_the_clock(text: str, end: float) -> None:
    assert next_reset(text, NOW.timestamp()) == end


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("30s", NOW.timestamp() + 30),
        ("5m", NOW.timestamp() + 300),
        ("2h", NOW.timestamp() + 7_200),
        ("7d", NOW.timestamp() + 604_800),
        ("1w", NOW.timestamp() + 604_800),
        ("1mo", NOW.replace(month=12).timestamp()),
    ],
)
def test_an_expiry_is_counted_from_now(text: str, end: float) -> None:
    assert expiry(text, NOW.timestamp()) == end


def test_a_month_from_the_last_day_ends_on_a_day_that_exists() -> None:
    assert expiry("1mo", at(2027, 1, 31, 12)) == at(2027, 2, 28, 12)


@pytest.mark.parametrize("text", ["", "d", "1", "0d", "-1d", "1.5h", "1 d", "1y", "1D", "99999999999d", "٣d", "1d\n2d"])
def test_what_is_no_duration_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@given(lengths, moments)
def test_a_window_always_ends_later_and_the_next_one_after_it(text: str, now: float) -> None:
    end = next_reset(text, now)
    assert now < end == int(end)
    assert end < next_reset(text, end)
    duration = parse_duration(text)
    longest = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "mo": 31 * 86_400}[duration.unit] * duration.count
    assert end - now <= longest + (86_400 if text == "30d" else 0)


@given(lengths, moments)
def test_an_expiry_is_later(text: str, now: float) -> None:
    assert expiry(text, now) > now


@given(
    st.sampled_from(["1s", "7m", "1h", "5h", "1d", "3d", "7d", "1w", "2w", "30d", "1mo", "5mo", "13mo"]),
    st.floats(min_value=0, max_value=4e9),
)
def test_a_window_begins_where_the_one_before_it_ends(text: str, now: float) -> None:
    first = next_reset(text, now)
    second = roll_window(text, first, first)
    assert window_start(text, second) == first
    assert first <= second
    assert window_start(text, first) < first


ZONES = ["Asia/Tokyo", "Asia/Kolkata", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham"]
"""With summer time and without, of half an hour too, and hours that do not begin with those of UTC."""


@pytest.mark.parametrize(
    ("text", "zone", "end"),
    [
        ("1d", "Asia/Tokyo", at(2026, 11, 25, 15)),
        ("7d", "Asia/Tokyo", at(2026, 11, 29, 15)),
        ("30d", "Asia/Tokyo", at(2026, 11, 30, 15)),
        ("12h", "Asia/Tokyo", at(2026, 11, 25, 15)),
        ("3d", "America/New_York", at(2026, 11, 28, 5)),
        ("1h", "Asia/Kolkata", at(2026, 11, 25, 11, 30)),
        ("1d", None, at(2026, 11, 26)),
    ],
)
def test_windows_end_on_the_clock_of_their_zone(text: str, zone: str | None, end: float) -> None:
    assert next_reset(text, NOW.timestamp(), zone) == end


def test_a_day_with_another_length_ends_at_its_own_midnight() -> None:
    """In Berlin the clocks are put back in the night to 25 October 2026."""
    noon = at(2026, 10, 25, 11)
    assert next_reset("1d", noon, "Europe/Berlin") == at(2026, 10, 25, 23)
    assert window_start("1d", at(2026, 10, 25, 23), "Europe/Berlin") == at(2026, 10, 24, 22)
    assert next_reset("12h", noon, "Europe/Berlin") == at(2026, 10, 25, 22)
    assert next_reset("12h", at(2026, 10, 25, 22), "Europe/Berlin") == at(2026, 10, 25, 23)
    assert roll_window("3d", at(2026, 10, 23, 22), noon, "Europe/Berlin") == at(2026, 10, 26, 23)


@given(
    st.sampled_from(["1s", "7m", "15m", "1h", "12h", "24h", "1d", "3d", "7d", "1w", "2w", "30d", "1mo", "5mo"]),
    st.sampled_from(ZONES),
    st.floats(1e9, 2.2e9),
    st.floats(0, 1),
)
def test_every_moment_of_a_window_tells_the_same_end(text: str, zone: str, now: float, part: float) -> None:
    """Else two processes that look at different moments would count in different accounts."""
    first = next_reset(text, now, zone)
    end = roll_window(text, first, first, zone)
    start = window_start(text, end, zone)
    assert now < first == start < end
    moment = start + part * (end - start)
    if moment < end:
        assert roll_window(text, first, moment, zone) == end
    if parse_duration(text).unit in {"d", "w", "mo"}:
        assert datetime.fromtimestamp(end, ZoneInfo(zone)).hour == 0


@pytest.mark.parametrize("name", ["", "Tokyo", "../etc/passwd", "Asia/\0", "UTC+9"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    assert check_zone("Asia/Tokyo") == "Asia/Tokyo"
    with pytest.raises(ValueError, match="not a time zone"):
        check_zone(name)
