from hypothesis import given
from hypothesis import strategies as st

from sekisho.ledger.windows import WINDOW_SECONDS, SlidingWindow

steps = st.lists(st.tuples(st.floats(0, 30), st.integers(0, 50)), max_size=40)


@given(steps)
def test_a_window_never_forgets_what_is_younger_than_a_minute(history: list[tuple[float, int]]) -> None:
    window, now, events = SlidingWindow(), 1000.0, []
    for pause, amount in history:
        now += pause
        window.add(now, amount)
        events.append((now, amount))
        young = sum(amount for at, amount in events if now - at < WINDOW_SECONDS)
        with_slack = sum(amount for at, amount in events if now - at < WINDOW_SECONDS + 2)
        assert young <= window.used(now) <= with_slack


@given(steps, st.integers(0, 100))
def test_after_the_wait_there_is_room(history: list[tuple[float, int]], room: int) -> None:
    window, now = SlidingWindow(), 1000.0
    for pause, amount in history:
        now += pause
        window.add(now, amount)
    wait = window.seconds_until(now, room)
    assert wait <= WINDOW_SECONDS + 1
    assert (wait == 0.0) == (window.used(now) <= room)
    assert window.used(now + wait) <= room
