"""In which order the deployments of a group are tried, and when a session leaves its home."""

from tests.support.routing import Choice

from sekisho.core.errors import UpstreamThrottled
from sekisho.core.usage import Usage
from sekisho.policy.routing.headroom import Quota
from sekisho.policy.routing.load import Load
from sekisho.policy.routing.plan import line_up
from sekisho.policy.routing.strategies import Ask

SESSION = Load(input=100_000, output=500, ceiling=10_000, session="s")
SMALL = Load(input=5_000, output=500, ceiling=5_000, session="s")


def throttle(choice: Choice, name: str, seconds: float) -> None:
    error = UpstreamThrottled("rate limit", verdict="elsewhere", cooldown=seconds, told=True)
    choice.lanes.rests.failed(f"bucket-{name}", name, error, choice.now)


def settle(choice: Choice, name: str, cached: int = 100_000) -> None:
    """Let the session have its cache at this deployment."""
    choice.lanes.affinity.learn("s", name, Usage(input=1, output=1, cache_write_5m=cached), choice.now)


def stranger(choice: Choice) -> str:
    """A deployment that the session would not choose by its taste."""
    return choice.names(SESSION)[-1]


def test_a_session_stays_where_its_cache_is() -> None:
    choice = Choice({name: {} for name in "abcdef"})
    home = stranger(choice)
    settle(choice, home)
    assert choice.names(SESSION)[0] == home
    choice.clock.advance(301)
    assert choice.names(SESSION)[0] != home


def test_other_strategies_know_no_home() -> None:
    choice = Choice({"a": {"weight": 1000}, "b": {"weight": 1}})
    settle(choice, "b")
    firsts = [choice.names(SESSION, "simple-shuffle")[0] for _ in range(20)]
    assert firsts.count("a") > 15


def walk(choice: Choice) -> tuple[list[str], float]:
    """What a call tries, and how many seconds it waits in all for its home before the first."""
    ask = Ask(choice.lanes, choice.fleet, SESSION, choice.clock, choice.random)
    waited, tried = 0.0, []
    for chosen in line_up(ask, "headroom"):
        if chosen.wait:
            waited += chosen.wait
            choice.clock.advance(chosen.wait)
        else:
            tried.append(chosen.option.id)
    return tried, waited


def test_a_short_rest_of_the_home_is_waited_for_and_a_long_one_is_not() -> None:
    choice = Choice({"a": {}, "b": {}})
    settle(choice, "a")
    throttle(choice, "a", 10.0)
    assert walk(choice) == (["a", "b"], 10.0)  # 0.345 dollars against 0.20 of waiting
    throttle(choice, "a", 19.0)
    assert walk(choice) == (["b", "a"], 0.0)


def test_who_has_waited_before_waits_for_less() -> None:
    choice = Choice({"a": {}, "b": {}})
    settle(choice, "a")
    throttle(choice, "a", 10.0)
    assert walk(choice)[1] == 10.0
    settle(choice, "a")
    throttle(choice, "a", 8.0)
    assert walk(choice) == (["b", "a"], 0.0)  # ten seconds and eight cost more than leaving once
    choice.lanes.headroom("bucket-b").wait(30.0, choice.now)
    throttle(choice, "a", 8.0)
    assert walk(choice) == (["a", "b"], 8.0)  # but there they wait even more


def test_a_call_that_waits_goes_as_soon_as_there_is_room() -> None:
    choice = Choice({"a": {}, "b": {}})
    choice.lanes.state_quotas({"bucket-a": Quota(tokens=150_000), "bucket-b": Quota(tokens=5_000_000)})
    settle(choice, "a")
    headroom = choice.lanes.headroom("bucket-a")
    since, reserved = choice.now, headroom.reserve(SESSION, choice.now)
    attempts = line_up(Ask(choice.lanes, choice.fleet, SESSION, choice.clock, choice.random), "headroom")
    for _ in range(3):
        chosen = next(attempts)
        assert (chosen.option.id, chosen.wait) == ("a", 0.25)
        choice.clock.advance(0.25)
    headroom.settle(since, reserved, 5_000, choice.now)
    chosen = next(attempts)
    assert (chosen.option.id, chosen.wait) == ("a", 0.0)


def test_a_full_home_is_left_when_its_room_will_not_come_soon() -> None:
    choice = Choice({"a": {}, "b": {}})
    choice.lanes.state_quotas({"bucket-a": Quota(tokens=150_000), "bucket-b": Quota(tokens=5_000_000)})
    settle(choice, "a")
    choice.use("a", 100_000)  # nothing under way that would give it back
    assert choice.names(SESSION) == ["b", "a"]
    choice.clock.advance(50)
    assert walk(choice) == (["a", "b"], 11.0)


def test_a_home_is_not_left_for_one_that_has_little_room_for_its_cache() -> None:
    choice = Choice({"a": {}, "b": {}})
    choice.lanes.state_quotas({name: Quota(tokens=250_000) for name in ("bucket-a", "bucket-b")})
    settle(choice, "a")
    choice.use("b", 130_000, requests=10)
    throttle(choice, "a", 40.0)
    assert walk(choice)[0][0] == "a"


def test_no_call_waits_for_longer_than_a_minute() -> None:
    choice = Choice({"a": {}, "b": {}})
    choice.lanes.state_quotas({"bucket-a": Quota(tokens=150_000), "bucket-b": Quota(tokens=250_000)})
    settle(choice, "a")
    choice.use("b", 130_000, requests=100)
    throttle(choice, "a", 1.0)
    ask = Ask(choice.lanes, choice.fleet, SESSION, choice.clock, choice.random)
    waited = 0.0
    for chosen in line_up(ask, "headroom"):
        if not chosen.wait:
            break
        waited += chosen.wait
        choice.clock.advance(chosen.wait)
        choice.use("a", 10_000)  # others take whatever comes free
        throttle(choice, "a", 1.0)
        choice.lanes.headroom("bucket-b").wait(1.0, choice.now)
    assert 55.0 < waited <= 60.0


def test_a_small_cache_is_left_at_once() -> None:
    choice = Choice({"a": {}, "b": {}})
    settle(choice, "a", cached=3_000)
    throttle(choice, "a", 10.0)
    assert [(chosen.option.id, chosen.wait) for chosen in choice.line_up(SMALL)] == [("b", 0.0), ("a", 0.0)]


def test_nobody_waits_for_home_when_there_is_nowhere_else_to_go() -> None:
    choice = Choice({"a": {}, "b": {}})
    settle(choice, "a")
    throttle(choice, "a", 10.0)
    throttle(choice, "b", 30.0)
    assert [(chosen.option.id, chosen.wait) for chosen in choice.line_up(SESSION)] == [("a", 0.0), ("b", 0.0)]


def test_those_without_room_come_after_those_with_room_whatever_their_order() -> None:
    choice = Choice({"a": {"order": 1}, "b": {"order": 2}, "c": {"order": 3}, "d": {"order": 1}})
    choice.lanes.state_quotas({"bucket-a": Quota(tokens=100_000), "bucket-d": Quota(tokens=100_000)})
    choice.use("a", 95_000)
    choice.clock.advance(5)
    choice.use("d", 95_000)
    tried = choice.line_up(SMALL)
    assert [(chosen.option.id, chosen.full) for chosen in tried] == [
        ("b", False), ("c", False), ("a", True), ("d", True),
    ]  # fmt: skip


def test_what_becomes_known_between_attempts_counts() -> None:
    choice = Choice({name: {} for name in "abc"})
    ask = Ask(choice.lanes, choice.fleet, SMALL, choice.clock, choice.random)
    attempts = line_up(ask, "headroom")
    first = next(attempts).option.id
    following = choice.names(SMALL)[1]
    throttle(choice, following, 5.0)
    assert next(attempts).option.id not in (first, following)
    assert [chosen.option.id for chosen in attempts] == [following]


def test_those_at_rest_come_last_and_the_first_to_wake_first() -> None:
    choice = Choice({name: {} for name in "abcd"})
    for name, seconds in (("a", 50.0), ("b", 5.0), ("d", 9.0)):
        throttle(choice, name, seconds)
    assert choice.names(SMALL) == ["c", "b", "d", "a"]


def test_a_deployment_with_as_many_calls_as_it_may_have_gets_no_more() -> None:
    choice = Choice({"a": {"max_parallel_requests": 2}, "b": {}})
    settle(choice, "a")
    lane = choice.lanes.lane("a", "bucket-a", choice.now)
    lane.in_flight = 1
    assert choice.names(SESSION) == ["a", "b"]
    lane.in_flight = 2
    assert choice.names(SESSION) == ["b"]
    throttle(choice, "a", 5.0)
    assert choice.names(SESSION, "simple-shuffle") == ["b"]
