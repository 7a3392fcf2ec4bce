"""Which deployment holds a session's prompt cache, and what leaving it costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.routing import DEARER, SONNET

from sekisho.core.money import Price, Rates
from sekisho.core.usage import Usage
from sekisho.policy.routing import affinity
from sekisho.policy.routing.affinity import Affinity, cost_of_leaving, is_worth_waiting

STEP = Usage(input=300, output=400, cache_read=20_000, cache_write_5m=1_500)


def test_a_session_has_its_home_until_its_cache_is_cold() -> None:
    known = Affinity()
    assert known.find("s", 0.0) is None
    known.settle_in("s", "a", 0.0)
    home = known.find("s", 299.0)
    assert home is not None
    assert (home.deployment_id, home.cached) == ("a", 0)
    assert known.find("s", 300.0) is None
    known.learn("s", "a", STEP, 200.0)
    home = known.find("s", 499.0)
    assert home is not None
    assert home.cached == 21_500
    assert known.find("s", 500.0) is None


def test_a_cache_written_for_an_hour_lasts_an_hour_and_is_kept_by_reading() -> None:
    known = Affinity()
    known.learn("s", "a", Usage(input=1, output=1, cache_write_1h=5_000), 0.0)
    assert known.find("s", 3_599.0) is not None
    known.learn("s", "a", Usage(input=1, output=1, cache_read=5_000), 3_000.0)
    assert known.find("s", 6_599.0) is not None
    assert known.find("s", 6_600.0) is None


def test_who_answers_last_is_the_home() -> None:
    known = Affinity()
    known.learn("s", "a", STEP, 0.0)
    known.settle_in("s", "b", 10.0)
    home = known.find("s", 11.0)
    assert home is not None
    assert (home.deployment_id, home.cached) == ("b", 0)
    known.settle_in("s", "b", 12.0)
    known.learn("s", "b", STEP, 13.0)
    known.settle_in("s", "b", 14.0)  # it is there already: what is cached stays known
    assert known.find("s", 14.0) == known.find("s", 15.0)
    home = known.find("s", 15.0)
    assert home is not None
    assert home.cached == 21_500


def test_one_short_prompt_does_not_drop_a_long_conversation_but_several_say_it_was_shortened() -> None:
    known = Affinity()
    known.learn("s", "a", Usage(cache_write_5m=100_000), 0.0)
    cached = []
    for now in (1.0, 2.0, 3.0, 4.0, 5.0):
        known.learn("s", "a", Usage(cache_read=4_000), now)
        home = known.find("s", now)
        assert home is not None
        cached.append(home.cached)
    assert cached == [50_000, 25_000, 12_500, 6_250, 4_000]


def test_leaving_costs_what_writing_costs_more_than_reading() -> None:
    assert cost_of_leaving(100_000, SONNET, SONNET) == 100_000 * (3_750 - 300)
    assert cost_of_leaving(100_000, SONNET, DEARER) == 100_000 * (4_125 - 300)
    assert cost_of_leaving(0, SONNET, SONNET) == 0
    assert cost_of_leaving(100_000, SONNET, None) == 0
    free = Price("free", Rates(0, 0, 0, 0, 0))
    assert cost_of_leaving(100_000, SONNET, free) == 0


def test_those_who_are_delayed_elsewhere_cost_too() -> None:
    assert cost_of_leaving(100_000, SONNET, SONNET, delay=10.0) == 345_000_000 + 200_000_000
    assert cost_of_leaving(100_000, None, None, delay=10.0) == 200_000_000


def test_a_large_cache_is_worth_a_wait_that_a_small_one_is_not() -> None:
    large, small = cost_of_leaving(100_000, SONNET, SONNET), cost_of_leaving(5_000, SONNET, SONNET)
    assert is_worth_waiting(10.0, 0.0, large)
    assert not is_worth_waiting(10.0, 0.0, small)


def test_what_was_waited_before_counts_until_the_session_moves() -> None:
    cost, known = cost_of_leaving(100_000, SONNET, SONNET), Affinity()
    known.learn("s", "a", STEP, 0.0)
    for _ in range(2):
        home = known.find("s", 1.0)
        assert home is not None
        known.wait("s", home, 4.0)
        known.learn("s", "a", STEP, 1.0)
    home = known.find("s", 2.0)
    assert home is not None
    assert home.waited == 8.0
    assert is_worth_waiting(8.0, home.waited, cost)
    assert not is_worth_waiting(10.0, home.waited, cost)
    known.learn("s", "b", STEP, 3.0)
    home = known.find("s", 3.0)
    assert home is not None
    assert home.waited == 0.0


@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from("abc")), max_size=300))
def test_memory_is_bounded_and_the_latest_are_remembered(calls: list[tuple[int, str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(affinity, "_REMEMBERED", 20)
        known = Affinity()
        for number, (session, deployment) in enumerate(calls):
            known.learn(str(session), deployment, STEP, number / 10)
            assert len(known) <= 20
        last: dict[str, str] = {}
        for session, deployment in calls:
            last.pop(str(session), None)
            last[str(session)] = deployment
        for name, deployment in list(last.items())[-20:]:
            home = known.find(name, len(calls) / 10)
            assert home is not None
            assert home.deployment_id == deployment
