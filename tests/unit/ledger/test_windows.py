import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.core.escrow import Span
from sekisho.ledger.windows import DAY, MINUTE, SlidingWindow

spans = st.sampled_from([MINUTE, DAY])
steps = st.lists(st.tuples(st.floats(0, 0.5), st.integers(0, 50)), max_size=40)
"""Pauses as parts of the span, and what happened after each."""


@given(spans, steps)
def test_a_window_never_forgets_what_is_younger_than_its_span(span: Span, history: list[tuple[float, int]]) -> None:
    window, now, events = SlidingWindow(span), 1000.0, []
    for pause, amount in history:
        now += pause * span.seconds
        window.add(now, amount)
        events.append((now, amount))
        young = sum(amount for at, amount in events if now - at < span.seconds)
        with_slack = sum(amount for at, amount in events if now - at < span.seconds + 2 * span.bucket)
        assert young <= window.used(now) <= with_slack


@given(spans, steps, st.integers(0, 100))
def test_after_the_wait_there_is_room(span: Span, history: list[tuple[float, int]], room: int) -> None:
    window, now = SlidingWindow(span), 1000.0
    for pause, amount in history:
        now += pause * span.seconds
        window.add(now, amount)
    wait = window.seconds_until(now, room)
    assert wait <= span.seconds + span.bucket
    assert (wait == 0.0) == (window.used(now) <= room)
    assert window.used(now + wait) <= room


@pytest.mark.parametrize("span", [MINUTE, DAY])
def test_twice_the_limit_never_fits_around_the_turn_of_a_span(span: Span) -> None:
    window = SlidingWindow(span)
    window.add(span.seconds - 1.0, 100)
    assert window.used(span.seconds + 1.0) == 100
