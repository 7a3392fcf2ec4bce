"""How one of several deployments is chosen."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.routing import DEARER, Choice

from sekisho.core.errors import UpstreamThrottled
from sekisho.policy.routing.headroom import Quota
from sekisho.policy.routing.load import Load
from sekisho.policy.routing.strategies import STRATEGIES

LOAD = Load(input=20_000, output=500, ceiling=10_000)
ALONE: dict[str, dict[str, Any]] = {"a": {}, "b": {}, "c": {}}


def quotas(choice: Choice, **tokens: int) -> Choice:
    choice.lanes.state_quotas({f"bucket-{name}": Quota(tokens=each) for name, each in tokens.items()})
    return choice


def firsts(choice: Choice, strategy: str, times: int = 400, **args: float) -> Counter[str]:
    return Counter(choice.names(LOAD, strategy, **args)[0] for _ in range(times))


def test_shuffle_goes_by_weight() -> None:
    counted = firsts(Choice({"a": {"weight": 9}, "b": {"weight": 1}}), "simple-shuffle", times=2_000)
    assert 1_700 < counted["a"] < 1_900


def test_the_least_busy_is_the_one_with_the_fewest_calls_under_way() -> None:
    choice = Choice(ALONE)
    for name, calls in (("a", 2), ("b", 1), ("c", 3)):
        choice.lanes.lane(name, f"bucket-{name}", choice.now).in_flight = calls
    assert choice.names(LOAD, "least-busy") == ["b", "a", "c"]


def test_the_fastest_is_chosen_once_all_are_known_and_with_a_buffer_by_chance_among_the_fast() -> None:
    choice = Choice(ALONE)
    for name, milliseconds in (("a", 10.0), ("b", 14.0)):
        choice.lanes.lane(name, f"bucket-{name}", choice.now).token.add(milliseconds)
    assert choice.names(LOAD, "latency-based-routing") == ["c", "a", "b"]
    choice.lanes.lane("c", "bucket-c", choice.now).token.add(30.0)
    assert choice.names(LOAD, "latency-based-routing") == ["a", "b", "c"]
    assert firsts(choice, "latency-based-routing", lowest_latency_buffer=0.5).keys() == {"a", "b"}


@pytest.mark.parametrize("strategy", ["usage-based-routing-v2", "usage-based-routing"])
def test_the_least_used_is_chosen_and_what_the_call_does_not_fit_in_comes_last(strategy: str) -> None:
    choice = quotas(Choice(ALONE), a=100_000, b=100_000, c=15_000)
    choice.use("a", 70_000)
    choice.use("b", 60_000)
    assert choice.names(LOAD, strategy) == ["b", "a", "c"]


def test_the_cheapest_is_chosen_and_what_has_no_price_comes_last() -> None:
    choice = Choice(ALONE, {"a": DEARER, "b": None})
    assert choice.names(LOAD, "cost-based-routing") == ["c", "a", "b"]


def test_a_new_session_goes_where_there_is_most_room() -> None:
    choice = quotas(Choice(ALONE), a=100_000, b=100_000, c=200_000)
    for name, used in (("a", 60_000), ("b", 30_000), ("c", 100_000)):
        choice.use(name, used)
    for number in range(20):
        session = Load(20_000, 500, 10_000, session=f"s{number}")
        assert choice.names(session) == ["b", "c", "a"]  # 0.4, 0.35, 0.1


def test_where_there_is_plenty_of_room_sessions_keep_to_their_own_taste() -> None:
    choice = quotas(Choice(ALONE), a=1_000_000, b=1_000_000, c=1_000_000)
    choice.use("a", 400_000)
    sessions = [Load(20_000, 500, 10_000, session=f"s{number}") for number in range(300)]
    first = [choice.names(session)[0] for session in sessions]
    assert min(Counter(first).values()) > 60
    assert first == [choice.names(session)[0] for session in sessions]


def test_a_dearer_one_is_chosen_only_when_the_cheaper_ones_have_little_room() -> None:
    choice = quotas(Choice({"a": {}, "b": {}}, {"b": DEARER}), a=100_000, b=100_000)
    assert choice.names(LOAD) == ["a", "b"]
    choice.use("a", 45_000)  # 0.25 left, against 0.7 at b: not worth a tenth more
    assert choice.names(LOAD) == ["a", "b"]
    choice.use("a", 20_000)
    assert choice.names(LOAD) == ["b", "a"]


NAMES = [chr(97 + number) for number in range(8)]


@given(
    st.sampled_from(sorted(STRATEGIES)),
    st.dictionaries(
        st.sampled_from(NAMES),
        st.fixed_dictionaries(
            {}, optional={"weight": st.integers(1, 9), "order": st.integers(1, 3), "tpm": st.integers(0, 300_000)}
        ),
        min_size=1,
    ),
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 200_000)),
    st.sets(st.sampled_from(NAMES)),
    st.one_of(st.none(), st.text("xyz", min_size=1)),
)
def test_every_strategy_tries_each_deployment_once_and_those_at_rest_last(
    strategy: str,
    deployments: dict[str, dict[str, Any]],
    used: dict[str, int],
    resting: set[str],
    session: str | None,
) -> None:
    choice = Choice(deployments)
    quotas(choice, **{name: more["tpm"] for name, more in deployments.items() if "tpm" in more})
    for name, tokens in used.items():
        choice.use(name, tokens)
    error = UpstreamThrottled("rate limit", verdict="elsewhere", cooldown=30.0)
    for name in resting:
        choice.lanes.rests.failed(f"bucket-{name}", name, error, choice.now)
    names = choice.names(Load(5_000, 100, 5_000, session=session), strategy)
    assert sorted(names) == sorted(deployments)
    asleep = [name in resting for name in names]
    assert asleep == sorted(asleep)
