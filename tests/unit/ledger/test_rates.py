"""Limits in time of a worker that is alone: held against a list of all that ever happened."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.caller import Scope
from sekisho.core.clock import ManualClock
from sekisho.ledger.rates import RateLimits, Taken

SPAN, SLACK = 60, 2
KEY = Scope(kind="key", id="k", rpm_limit=4, tpm_limit=60)
TEAM = Scope(kind="team", id="t", rpm_limit=6, tpm_limit=100)
steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.4, 1.0, 7.0, 30.0, 61.0]),
        st.booleans(),
        st.integers(1, 5) | st.integers(1, 70),
        st.none() | st.integers(0, 5) | st.integers(0, 90),
    ),
    max_size=40,
)
"""Pauses; whether the key calls, or another one; tokens that are expected, and used, if the call ends at once."""


class Past:
    """What was counted of one scope: requests when they came, tokens when their call ended, and what is under way."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.requests: list[tuple[float, int]] = []
        self.tokens: list[tuple[float, int]] = []
        self.held = 0

    def room(self, now: float, tokens: int, slack: int) -> bool:
        """Whether a call fits, if what happened counts for so many seconds longer than the span."""
        requests, used = (sum(n for at, n in past if now - at < SPAN + slack) for past in (self.requests, self.tokens))
        used += self.held
        assert self.scope.rpm_limit is not None
        assert self.scope.tpm_limit is not None
        return requests < self.scope.rpm_limit and (used == 0 or used + tokens <= self.scope.tpm_limit)


@given(steps)
def test_a_call_passes_when_all_its_scopes_have_room_and_counts_then_only(
    history: Sequence[tuple[float, bool, int, int | None]],
) -> None:
    clock = ManualClock()
    rates, key, team = RateLimits(clock), Past(KEY), Past(TEAM)
    ways = {True: ((KEY, TEAM), (key, team)), False: ((TEAM,), (team,))}
    under_way: list[tuple[Taken, int, tuple[Past, ...]]] = []

    def end(taken: Taken, expected: int, used: int, pasts: tuple[Past, ...]) -> None:
        rates.settle(taken, used)
        for past in pasts:
            past.held -= expected
            past.tokens.append((clock.monotonic(), used))

    for pause, whose, expected, used in history:
        clock.advance(pause)
        now, (scopes, pasts) = clock.monotonic(), ways[whose]
        taken = rates.take_at_once(scopes, "m", expected)
        if taken is None:
            assert not all(past.room(now, expected, SLACK) for past in pasts)
            continue
        assert all(past.room(now, expected, 0) for past in pasts)
        for past in pasts:
            past.requests.append((now, 1))
            past.held += expected
        if used is None:
            under_way.append((taken, expected, pasts))
        else:
            end(taken, expected, used, pasts)
    for taken, expected, pasts in under_way:
        end(taken, expected, 1, pasts)
    assert all(share.held == 0 for share in rates._shares.values())
