"""The mirror of an upstream's quota."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.usage import Usage
from sekisho.policy.routing.headroom import Headroom, Minute, Quota, count_used
from sekisho.policy.routing.load import Load

LOAD = Load(input=20_000, output=500, ceiling=10_000)


def known(tokens: int | None = None, requests: int | None = None) -> Headroom:
    headroom = Headroom()
    headroom.know(Quota(tokens, requests))
    return headroom


def test_a_call_reserves_its_input_and_ceiling_and_keeps_what_it_burns_down() -> None:
    headroom = known(tokens=100_000)
    reserved = headroom.reserve(LOAD, 0.0)
    assert headroom.tokens.used.total(0.0) == reserved == 30_000
    usage = Usage(input=1_000, output=400, cache_read=18_000, cache_write_5m=1_000)
    headroom.settle(0.0, reserved, count_used(usage, burndown=5), 5.0)
    assert headroom.tokens.used.total(5.0) == 1_000 + 1_000 + 5 * 400
    assert headroom.requests.used.total(5.0) == 1


def test_output_that_burns_down_more_than_was_reserved_counts_when_it_is_known() -> None:
    headroom = known(tokens=100_000)
    reserved = headroom.reserve(Load(1_000, 500, 1_000), 0.0)
    headroom.settle(0.0, reserved, 6_000, 50.0)
    assert headroom.tokens.used.total(50.0) == 6_000
    assert headroom.tokens.used.total(62.0) == 4_000  # the first minute is over


def test_what_is_settled_after_its_minute_gives_nothing_back() -> None:
    headroom = known(tokens=100_000)
    reserved = headroom.reserve(LOAD, 0.0)
    second = headroom.reserve(LOAD, 90.0)
    headroom.settle(0.0, reserved, 10, 91.0)
    assert headroom.tokens.used.total(91.0) == second


def test_room_is_the_part_of_the_quota_that_is_left_and_free_at_tells_when_it_will_do() -> None:
    headroom = known(tokens=60_000)
    assert headroom.room(LOAD, 0.0) == 0.5
    headroom.reserve(LOAD, 0.0)
    assert headroom.room(LOAD, 0.0) == 0.0
    headroom.reserve(LOAD, 10.0)
    assert headroom.room(LOAD, 10.0) == -0.5


def test_calls_under_way_are_expected_to_give_back_what_was_reserved_when_they_end() -> None:
    headroom = known(tokens=100_000)
    for second in range(3):
        headroom.reserve(LOAD, float(second))
    assert headroom.free_at(LOAD, 2.0) == 2.0 + 10.0 / 4  # one of three that last some ten seconds each
    headroom.settle(0.0, 30_000, 1_000, 2.0)
    assert headroom.free_at(LOAD, 2.0) == 2.0
    headroom.settle(1.0, 30_000, 30_000, 11.0)  # the two have lasted 2 and 10 seconds
    assert headroom.free_at(Load(45_000, 0, 0), 11.0) == pytest.approx(11.0 + 9.28 / 2)
    headroom.settle(2.0, 30_000, 30_000, 11.0)
    assert headroom.free_at(Load(45_000, 0, 0), 11.0) == 62.0  # nobody is left to give anything back


def test_what_is_used_up_delays_others_the_more_the_less_is_left() -> None:
    idle, busy, unknown = known(tokens=300_000), known(tokens=300_000), known()
    for second in range(6):
        busy.reserve(LOAD, float(second))
    assert idle.delay_by(100_000, LOAD, 6.0) == 0.0  # there is nobody
    assert busy.delay_by(100_000, LOAD, 6.0) == pytest.approx(60 / 3 * 6 * 0.7**2)
    assert unknown.delay_by(100_000, LOAD, 6.0) == 0.0


def test_strain_is_what_was_waited_of_late() -> None:
    here, there = known(), known()
    assert here.excess_strain(there, 0.0) == 0.0
    here.wait(8.0, 0.0)
    assert (here.strain(0.0), here.strain(60.0), here.strain(120.0)) == (8.0, 4.0, 2.0)
    assert here.excess_strain(there, 0.0) == 1.0
    there.wait(2.0, 0.0)
    assert here.excess_strain(there, 30.0) == pytest.approx(0.75)
    assert there.excess_strain(here, 30.0) == 0.0


def test_requests_are_a_quota_of_their_own() -> None:
    headroom = known(requests=2)
    headroom.reserve(LOAD, 0.0)
    assert headroom.room(LOAD, 0.0) == 0.0
    headroom.reserve(LOAD, 3.0)
    assert headroom.room(LOAD, 3.0) < 0
    assert headroom.free_at(LOAD, 3.0) == 61.0


def test_an_unknown_quota_is_never_full_but_the_more_is_used_the_less_room_there_is() -> None:
    headroom = known()
    rooms = []
    for second in range(20):
        rooms.append(headroom.room(LOAD, second))
        headroom.reserve(Load(10**7, 0, 0), second)
    assert rooms == sorted(rooms, reverse=True)
    assert all(0 < room <= 1 for room in rooms)
    assert headroom.free_at(LOAD, 20.0) == 20.0


def test_a_throttle_teaches_the_quota_and_it_grows_again() -> None:
    headroom = known()
    for second in range(3):
        headroom.reserve(LOAD, second)
    refused = headroom.reserve(LOAD, 3.0)
    headroom.release(3.0, refused, 3.0)
    headroom.throttled(refused, of_requests=False, now=3.0)
    assert headroom.quota(3.0) == Quota(tokens=90_000, requests=None)
    assert headroom.room(LOAD, 3.0) < 0
    assert headroom.room(LOAD, 65.0) > 0.6
    assert headroom.quota(3.0 + 600.0) == Quota(tokens=135_000, requests=None)


def test_a_call_that_is_taken_beyond_a_learned_quota_corrects_it() -> None:
    headroom = known()
    headroom.throttled(LOAD.input + LOAD.ceiling, of_requests=False, now=0.0)
    assert headroom.quota(0.0).tokens == 30_000
    for second in (0.1, 0.2):
        headroom.reserve(LOAD, second)
        headroom.accepted(second)
    assert headroom.quota(0.2).tokens == 60_000


def test_a_throttle_that_others_must_have_brought_about_is_soon_forgotten() -> None:
    headroom = known()
    headroom.throttled(30_000, of_requests=False, now=0.0)
    assert headroom.room(LOAD, 0.0) == 0.0
    assert headroom.quota(240.0).tokens == 90_000


def test_a_known_quota_that_others_use_too_comes_back_within_minutes() -> None:
    headroom = known(tokens=1_000_000)
    headroom.throttled(30_000, of_requests=False, now=0.0)
    assert headroom.quota(0.0).tokens == 30_000
    assert headroom.quota(120.0).tokens == 530_000
    assert headroom.quota(300.0).tokens == 1_000_000


def test_a_throttle_for_requests_teaches_nothing_about_tokens() -> None:
    headroom = known()
    for _ in range(4):
        headroom.reserve(LOAD, 0.0)
    headroom.throttled(30_000, of_requests=True, now=0.0)
    assert headroom.quota(0.0) == Quota(tokens=None, requests=4)


def test_what_others_use_counts_too() -> None:
    headroom = known(tokens=100_000)
    headroom.add_foreign(80_000, 2, 0.0, 0.0)
    assert headroom.room(LOAD, 0.0) < 0
    headroom.add_foreign(-50_000, 0, 0.0, 1.0)
    assert headroom.room(LOAD, 1.0) >= 0
    assert headroom.room(LOAD, 61.5) <= 1.0


STEP = st.tuples(
    st.floats(0, 30), st.integers(0, 50_000), st.integers(0, 50_000), st.integers(0, 100_000), st.floats(0, 120)
)


@given(st.lists(STEP, max_size=40))
def test_use_is_never_negative_and_is_what_was_settled_within_the_minute(
    steps: list[tuple[float, int, int, int, float]],
) -> None:
    headroom, now = known(tokens=100_000), 1_000.0
    ends: list[tuple[float, float, int, int]] = []
    for pause, tokens, ceiling, used, lasts in steps:
        now += pause
        for over in sorted(each for each in ends if each[0] <= now):
            headroom.settle(over[1], over[2], over[3], now)
            ends.remove(over)
        ends.append((now + lasts, now, headroom.reserve(Load(tokens, 0, ceiling), now), used))
        assert headroom.tokens.used.total(now) >= 0
    for end, since, reserved, used in sorted(ends):
        now = max(now, end)
        headroom.settle(since, reserved, used, now)
        assert headroom.tokens.used.total(now) >= 0
    assert headroom.tokens.used.total(now + 62) == 0
    assert headroom.requests.used.total(now + 62) == 0


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 1_000)), min_size=1, max_size=60))
def test_a_minute_counts_everything_of_the_last_minute_and_nothing_that_is_a_second_older(
    amounts: list[tuple[float, int]],
) -> None:
    minute, now = Minute(), 0.0
    counted: list[tuple[float, int]] = []
    for pause, amount in amounts:
        now += pause
        minute.add(amount, now)
        counted.append((now, amount))
        total = minute.total(now)
        assert sum(each for when, each in counted if when > now - 60) <= total
        assert total <= sum(each for when, each in counted if when > now - 62)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 1_000)), min_size=1, max_size=60), st.integers(0, 5_000))
def test_falls_to_tells_the_first_moment(amounts: list[tuple[float, int]], most: int) -> None:
    minute, now = Minute(), 0.0
    for pause, amount in amounts:
        now += pause
        minute.add(amount, now)
    when = minute.falls_to(most, now)
    if when > now:
        assert minute.total(when - 0.001) > most
    assert minute.total(when) <= most
