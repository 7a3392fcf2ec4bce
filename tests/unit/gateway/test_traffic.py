"""What one process knows from its calls, and what it tells of that."""

import pytest
from tests.support.routing import make_target

from sekisho.core.clock import ManualClock
from sekisho.core.errors import InternalError, UpstreamMisconfigured, UpstreamThrottled, UpstreamUnavailable
from sekisho.core.usage import Usage
from sekisho.gateway.traffic import LatencyState, Traffic
from sekisho.policy.routing.headroom import Quota
from sekisho.policy.routing.load import Load
from sekisho.policy.routing.rest import Rest

LOAD = Load(input=20_000, output=500, ceiling=10_000, session="s")
USAGE = Usage(input=500, output=400, cache_read=18_000, cache_write_5m=1_500)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def traffic(clock: ManualClock) -> Traffic:
    return Traffic(clock)


def throttled(text: str = "rate limit: too many tokens", cooldown: float = 20.0) -> UpstreamThrottled:
    return UpstreamThrottled(text, verdict="elsewhere", native="ThrottlingException", cooldown=cooldown, told=True)


def rounded(latency: LatencyState | None) -> tuple[float, float, float]:
    assert latency is not None
    return round(latency.average, 6), round(latency.p50, 6), round(latency.p95, 6)


def test_a_call_is_counted_from_its_beginning_to_its_end(traffic: Traffic, clock: ManualClock) -> None:
    target = make_target("a")
    state = traffic.state(target)
    assert (state.in_flight, state.quota, state.room, state.first_token) == (0, Quota(), None, None)
    traffic.tell_quota(target.bucket, Quota(tokens=100_000))
    trip = traffic.begin(target, LOAD)
    state = traffic.state(target)
    assert (state.in_flight, state.used_tokens, state.used_requests, state.room) == (1, 30_000, 1, 0.7)
    clock.advance(0.8)
    trip.answered()
    clock.advance(3.2)
    trip.finished(USAGE)
    state = traffic.state(target)
    assert (state.in_flight, state.used_tokens, state.room) == (0, 4_000, 0.96)  # 500 + 1,500 + 5 x 400
    assert rounded(state.first_token) == (800.0, 800.0, 800.0)
    assert rounded(state.token) == (10.0, 10.0, 10.0)
    assert state.rest == Rest("free")


def test_each_word_of_a_trip_counts_once(traffic: Traffic, clock: ManualClock) -> None:
    target = make_target("a")
    trip = traffic.begin(target, LOAD)
    trip.answered()
    clock.advance(1)
    trip.answered()
    trip.finished(USAGE)
    once = traffic.state(target)
    trip.finished(USAGE)
    trip.failed(throttled())
    trip.answered()
    assert traffic.state(target) == once
    assert once.first_token is not None
    assert once.first_token.average == 0.0


def test_deployments_of_one_bucket_share_its_headroom_but_not_their_speed(traffic: Traffic) -> None:
    one, other = make_target("a", bucket="x"), make_target("b", bucket="x")
    traffic.begin(one, LOAD).answered()
    assert traffic.state(other).used_tokens == 30_000
    assert (traffic.state(other).in_flight, traffic.state(other).first_token) == (0, None)


def test_a_throttle_gives_back_what_was_reserved_teaches_the_quota_and_brings_rest(traffic: Traffic) -> None:
    target = make_target("a")
    trips = [traffic.begin(target, LOAD) for _ in range(3)]
    trips[2].failed(throttled())
    state = traffic.state(target)
    assert (state.in_flight, state.used_tokens, state.used_requests) == (2, 60_000, 2)
    assert state.quota == Quota(tokens=60_000)
    assert (state.rest.kind, state.rest.seconds) == ("cooling", 20.0)
    assert state.last_error == "rate limit: too many tokens"


def test_a_throttle_that_speaks_of_requests_teaches_their_number(traffic: Traffic) -> None:
    target = make_target("a")
    trips = [traffic.begin(target, LOAD) for _ in range(3)]
    trips[2].failed(throttled("rate limit: too many requests"))
    assert traffic.state(target).quota == Quota(requests=2)


@pytest.mark.parametrize(
    "error",
    [
        throttled("rate limit: too many tokens per day", cooldown=3 * 3600.0),
        UpstreamUnavailable("away", verdict="elsewhere", cooldown=5.0),
        UpstreamMisconfigured("no access", verdict="elsewhere"),
        InternalError("ours"),
    ],
)
def test_other_failures_teach_no_quota(traffic: Traffic, error: UpstreamThrottled) -> None:
    target = make_target("a")
    traffic.begin(target, LOAD)
    traffic.begin(target, LOAD).failed(error)
    state = traffic.state(target)
    assert (state.quota, state.used_tokens) == (Quota(), 30_000)


def test_what_broke_down_in_the_midst_of_an_answer_was_used(traffic: Traffic) -> None:
    target = make_target("a")
    trip = traffic.begin(target, LOAD)
    trip.answered()
    trip.failed(UpstreamUnavailable("away", verdict="elsewhere"))
    assert traffic.state(target).used_tokens == 20_000 + 5 * 500
    assert traffic.state(target).in_flight == 0


def test_a_call_that_ends_without_a_report_is_guessed_less_what_lies_in_the_cache(traffic: Traffic) -> None:
    target = make_target("a")
    first = traffic.begin(target, LOAD)
    first.answered()
    first.finished(USAGE)
    second = traffic.begin(target, LOAD)
    second.finished(None)
    assert traffic.state(target).used_tokens == 4_000 + (20_000 - 19_500) + 5 * 500


def test_the_home_of_a_session_is_where_it_was_answered(traffic: Traffic, clock: ManualClock) -> None:
    one, other = make_target("a"), make_target("b")
    traffic.begin(one, LOAD).failed(throttled())
    assert traffic.lanes.affinity.find("s", clock.monotonic()) is None
    trip = traffic.begin(other, LOAD)
    trip.answered()
    home = traffic.lanes.affinity.find("s", clock.monotonic())
    assert home is not None
    assert (home.deployment_id, home.cached) == ("b", 0)
    trip.finished(USAGE)
    home = traffic.lanes.affinity.find("s", clock.monotonic())
    assert home is not None
    assert home.cached == 19_500


def test_an_answer_ends_the_rest_that_was_there_before_it(traffic: Traffic, clock: ManualClock) -> None:
    target = make_target("a")
    traffic.begin(target, LOAD).failed(throttled())
    clock.advance(1)
    traffic.begin(target, LOAD).answered()
    assert traffic.state(target).rest == Rest("free")


def test_a_probe_that_ended_before_it_was_answered_leaves_the_way_to_the_next(
    traffic: Traffic, clock: ManualClock
) -> None:
    target = make_target("a")
    traffic.begin(target, LOAD).failed(UpstreamMisconfigured("no access", verdict="elsewhere", cooldown=60.0))
    clock.advance(61)
    now = clock.monotonic()
    assert traffic.rests.take_probe(target.bucket, "a", now)
    probe = traffic.begin(target, LOAD)
    assert not traffic.rests.take_probe(target.bucket, "a", now)
    probe.finished(None)
    assert traffic.rests.take_probe(target.bucket, "a", now)


def test_foreign_use_takes_room(traffic: Traffic, clock: ManualClock) -> None:
    target = make_target("a")
    traffic.tell_quota(target.bucket, Quota(tokens=100_000, requests=10))
    traffic.add_foreign(target.bucket, 50_000, 8)
    assert traffic.state(target).room == pytest.approx(0.2)
    clock.advance(62)
    assert traffic.state(target).room == 1.0


def test_percentiles_are_of_the_last_calls(traffic: Traffic, clock: ManualClock) -> None:
    target = make_target("a")
    for number in range(1, 201):
        trip = traffic.begin(target, LOAD)
        clock.advance(number / 1000)
        trip.answered()
        trip.finished(None)
    latency = traffic.state(target).first_token
    assert latency is not None
    assert latency.p50 == pytest.approx(137.0)
    assert latency.p95 == pytest.approx(194.0)
    assert 180 < latency.average < 200


def test_deployments_that_are_quiet_are_forgotten_when_there_are_too_many(
    traffic: Traffic, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sekisho.policy.routing.lane._MOST_LANES", 10)
    busy = traffic.begin(make_target("busy"), LOAD)
    for number in range(9):
        traffic.begin(make_target(f"quiet-{number}"), LOAD).finished(USAGE)
    clock.advance(601)
    traffic.begin(make_target("new"), LOAD)
    assert traffic.state(make_target("busy")).in_flight == 1
    busy.finished(USAGE)
    assert traffic.state(make_target("busy")).in_flight == 0
    assert len(traffic.lanes) < 10
