"""Whom a session prefers among the deployments of a group."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.routing import DEARER, SONNET, make_deployment, make_target

from sekisho.core.money import Price, Rates
from sekisho.policy.routing.fleet import Fleet


def fleet_of(deployments: dict[str, dict[str, Any]], prices: dict[str, Price | None] | None = None) -> Fleet:
    given = prices or {}
    return Fleet(
        [
            (make_deployment(name, **more), make_target(name, price=given.get(name, SONNET)))
            for name, more in deployments.items()
        ]
    )


def favourite(fleet: Fleet, session: str) -> str:
    return fleet.options[fleet.prefer(session)[0]].id


def favourites(fleet: Fleet, sessions: int = 4_000) -> dict[str, str]:
    return {f"session-{number}": favourite(fleet, f"session-{number}") for number in range(sessions)}


def test_sessions_spread_by_weight() -> None:
    shares = Counter(favourites(fleet_of({"a": {"weight": 3}, "b": {"weight": 1}, "c": {"weight": 1}})).values())
    assert 2_150 < shares["a"] < 2_650
    assert 600 < shares["b"] < 1_000


def test_without_weights_quotas_are_the_weights() -> None:
    shares = Counter(favourites(fleet_of({"a": {"tpm": 900_000}, "b": {"tpm": 100_000}})).values())
    assert 3_450 < shares["a"] < 3_750
    shares = Counter(favourites(fleet_of({"a": {"rpm": 10, "tpm": 9}, "b": {"rpm": 10, "tpm": 1}})).values())
    assert 1_800 < shares["a"] < 2_200


def test_every_process_has_the_same_preferences_and_only_sessions_of_what_is_gone_move() -> None:
    with_c = favourites(fleet_of({name: {} for name in "abc"}))
    assert with_c == favourites(fleet_of({name: {} for name in "cab"}))
    without_c = favourites(fleet_of({name: {} for name in "ab"}))
    assert all(without_c[session] == home for session, home in with_c.items() if home != "c")


def test_order_comes_first_then_what_is_cheaper() -> None:
    fleet = fleet_of({"a": {"order": 2}, "b": {"order": 1}, "c": {"order": 1}}, {"b": DEARER})
    for number in range(50):
        assert [fleet.options[place].id for place in fleet.prefer(f"session-{number}")] == ["c", "b", "a"]


def test_what_has_no_price_is_not_dearer_than_the_cheapest() -> None:
    double = Price("v", Rates(6 * 10**9, 30 * 10**9, 6 * 10**8, 75 * 10**8, 12 * 10**9))
    fleet = fleet_of({name: {} for name in "abcd"}, {"a": None, "c": DEARER, "d": double})
    assert [option.dearness for option in fleet.options] == [0.0, 0.0, 0.3, 0.45]
    assert [option.dearness for option in fleet_of({"a": {}}, {"a": None}).options] == [0.0]


@given(
    st.dictionaries(
        st.text("abcdefgh", min_size=1, max_size=3),
        st.fixed_dictionaries(
            {}, optional={"weight": st.integers(0, 9), "order": st.integers(0, 3), "tpm": st.integers(0, 10**6)}
        ),
        min_size=1,
        max_size=12,
    ),
    st.text(max_size=20),
)
def test_a_preference_is_a_permutation_sorted_by_order(deployments: dict[str, dict[str, Any]], session: str) -> None:
    fleet = fleet_of(deployments)
    places = list(fleet.prefer(session))
    assert sorted(places) == list(range(len(deployments)))
    orders = [fleet.options[place].order for place in places]
    assert orders == sorted(orders)
    assert places == list(fleet.prefer(session))
