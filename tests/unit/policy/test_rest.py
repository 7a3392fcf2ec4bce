"""What rests after a failure, for how long, and who may look whether it works again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.config.snapshot import Deployment, PerFailure, Snapshot
from sekisho.core.errors import (
    Unsupported,
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamRejected,
    UpstreamThrottled,
    UpstreamUnavailable,
)
from sekisho.policy.routing.rest import DEFAULT_RULES, RestRules, Rests, find_rules

BUCKET, ONE, TWO = "account|region|model", "one", "two"


def throttle(seconds: float = 40.0, *, told: bool = False) -> UpstreamError:
    return UpstreamThrottled("slow", verdict="elsewhere", native="ThrottlingException", cooldown=seconds, told=told)


def outage(cooldown: float = 0.0) -> UpstreamError:
    return UpstreamUnavailable("down", verdict="same", native="InternalServerException", cooldown=cooldown)


def denial() -> UpstreamError:
    error = UpstreamMisconfigured("denied", verdict="elsewhere", native="AccessDeniedException", cooldown=300.0)
    error.add_note("Bedrock says: no access to the model")
    return error


def break_down(rests: Rests, now: float, times: int = 4, rules: RestRules = DEFAULT_RULES) -> None:
    for _ in range(times):
        rests.failed(BUCKET, ONE, outage(), now, rules)


def test_a_throttled_quota_rests_for_all_who_draw_on_it_and_only_for_so_long() -> None:
    rests = Rests()
    rests.failed(BUCKET, ONE, throttle(told=True), 100.0)
    assert rests.remaining(BUCKET, TWO, 110.0) == 30.0
    assert rests.remaining("another", ONE, 110.0) == 0.0
    assert rests.describe(BUCKET, TWO, 110.0).kind == "cooling"
    assert rests.remaining(BUCKET, ONE, 140.0) == 0.0
    assert rests.describe(BUCKET, ONE, 140.0).kind == "free"


def test_a_longer_rest_stays_and_only_a_later_call_ends_it() -> None:
    rests = Rests()
    rests.failed(BUCKET, ONE, throttle(3600.0, told=True), 100.0)
    rests.failed(BUCKET, ONE, throttle(10.0), 101.0)
    rests.succeeded(BUCKET, ONE, 99.0, 102.0)
    assert rests.remaining(BUCKET, ONE, 110.0) == 3590.0
    rests.succeeded(BUCKET, ONE, 111.0, 112.0)
    assert rests.remaining(BUCKET, ONE, 112.0) == 0.0


def test_a_throttle_of_unknown_length_is_looked_into_soon_and_then_less_and_less_often() -> None:
    rests, now, rested = Rests(), 100.0, []
    for _ in range(5):
        rests.failed(BUCKET, ONE, throttle(58.0), now)
        rests.failed(BUCKET, TWO, throttle(57.8), now + 0.2)  # was under way already: no news
        rested.append(rests.remaining(BUCKET, ONE, now + 0.2))
        now += rested[-1] + 0.2
    assert rested == pytest.approx([5.0, 10.0, 20.0, 40.0, 57.8])
    rests.succeeded(BUCKET, ONE, now, now + 1)
    rests.failed(BUCKET, ONE, throttle(58.0), now + 2)
    assert rests.remaining(BUCKET, ONE, now + 2) == pytest.approx(5.0)


def test_refusals_that_are_minutes_apart_are_not_counted_together() -> None:
    rests = Rests()
    for now in (0.0, 100.0, 200.0):
        assert rests.remaining(BUCKET, ONE, now) == 0.0
        rests.failed(BUCKET, ONE, throttle(58.0), now)
        assert rests.remaining(BUCKET, ONE, now) == 5.0


@pytest.mark.parametrize(
    ("configured", "error", "seconds"),
    [
        (None, throttle(40.0), 5.0),
        (None, throttle(40.0, told=True), 40.0),
        (5.0, throttle(40.0), 5.0),
        (5.0, throttle(40.0, told=True), 40.0),
        (60.0, throttle(40.0, told=True), 60.0),
        (0.0, throttle(40.0, told=True), 0.0),
        (None, outage(5.0), 5.0),
        (30.0, outage(), 0.0),
        (30.0, denial(), 30.0),
        (None, denial(), 300.0),
        (0.0, denial(), 0.0),
    ],
)
def test_a_configured_rest_replaces_guesses_but_not_what_the_upstream_says(
    configured: float | None, error: UpstreamError, seconds: float
) -> None:
    rests = Rests()
    rests.failed(BUCKET, ONE, error, 0.0, RestRules(cooldown=configured))
    assert rests.remaining(BUCKET, ONE, 0.0) == seconds


def test_the_breaker_opens_after_more_failures_than_allowed_and_lets_one_probe_through_at_a_time() -> None:
    rests = Rests()
    break_down(rests, 0.0, times=3)
    assert rests.remaining(BUCKET, ONE, 0.0) == 0.0
    break_down(rests, 1.0, times=1)
    assert rests.remaining(BUCKET, TWO, 1.0) == 10.0
    assert rests.describe(BUCKET, ONE, 1.0).kind == "open"

    assert rests.describe(BUCKET, ONE, 11.0).kind == "half_open"
    assert rests.remaining(BUCKET, ONE, 11.0) == 0.0
    assert rests.take_probe(BUCKET, ONE, 11.0)
    assert not rests.take_probe(BUCKET, TWO, 12.0)
    assert rests.remaining(BUCKET, TWO, 12.0) > 0

    rests.failed(BUCKET, ONE, outage(), 13.0)
    assert rests.remaining(BUCKET, ONE, 13.0) == 20.0  # twice as long
    assert rests.take_probe(BUCKET, ONE, 33.0)
    rests.succeeded(BUCKET, ONE, 33.0, 34.0)
    assert rests.describe(BUCKET, ONE, 34.0).kind == "free"
    assert rests.take_probe(BUCKET, ONE, 34.0)
    assert rests.take_probe(BUCKET, TWO, 34.0)


def test_failures_among_more_successes_or_spread_over_minutes_do_not_open_the_breaker() -> None:
    rests = Rests()
    for second in range(100):
        rests.failed(BUCKET, ONE, outage(), second / 4)
        rests.succeeded(BUCKET, ONE, second / 4, second / 4)
        rests.succeeded(BUCKET, ONE, second / 4, second / 4)
    for minute in range(1, 20):
        rests.failed("slow", ONE, outage(), minute * 61.0)
    assert rests.remaining(BUCKET, ONE, 25.0) == 0.0
    assert rests.remaining("slow", ONE, 20 * 61.0) == 0.0


def test_who_probed_and_is_gone_makes_room_for_the_next() -> None:
    rests = Rests()
    break_down(rests, 0.0)
    assert rests.take_probe(BUCKET, ONE, 10.0)
    rests.give_up_probe(BUCKET, ONE)
    assert rests.take_probe(BUCKET, ONE, 10.0)
    assert not rests.take_probe(BUCKET, ONE, 20.0)
    assert rests.take_probe(BUCKET, ONE, 41.0)  # who says nothing for so long is not waited for


def test_failures_while_it_is_open_do_not_make_it_longer() -> None:
    rests = Rests()
    break_down(rests, 0.0, times=20)
    assert rests.remaining(BUCKET, ONE, 0.0) == 10.0


def test_a_broken_deployment_is_set_aside_alone_and_probed_ever_more_rarely() -> None:
    rests, now, seen = Rests(), 0.0, []
    for _ in range(6):
        assert rests.take_probe(BUCKET, ONE, now)
        rests.failed(BUCKET, ONE, denial(), now)
        assert rests.remaining(BUCKET, TWO, now) == 0.0
        seen.append(rests.remaining(BUCKET, ONE, now))
        now += seen[-1]
    assert seen == [300.0, 600.0, 1200.0, 2400.0, 3600.0, 3600.0]
    rest = rests.describe(BUCKET, ONE, now - 1.0)
    assert rest.kind == "set_aside"
    assert "no access to the model" in str(rest.reason)
    rests.wake(BUCKET, ONE)
    assert rests.describe(BUCKET, ONE, now - 1.0).kind == "free"


def test_a_refusal_that_fresh_credentials_may_mend_sets_nothing_aside() -> None:
    rests = Rests()
    rests.failed(BUCKET, ONE, UpstreamMisconfigured("expired", verdict="same"), 0.0)
    assert rests.remaining(BUCKET, ONE, 0.0) == 0.0


@pytest.mark.parametrize("error", [UpstreamRejected("no", verdict="never"), throttle(0.0)])
def test_what_answers_if_only_to_say_no_is_not_broken(error: UpstreamError) -> None:
    rests = Rests()
    break_down(rests, 0.0)
    rests.failed(BUCKET, ONE, denial(), 0.0)
    rests.failed(BUCKET, ONE, error, 400.0)
    assert rests.describe(BUCKET, ONE, 400.0).kind == "free"


def test_a_request_that_could_not_be_written_says_nothing_about_the_target() -> None:
    rests = Rests()
    break_down(rests, 0.0)
    assert rests.take_probe(BUCKET, ONE, 10.0)
    rests.failed(BUCKET, ONE, Unsupported("no images"), 11.0)
    assert rests.describe(BUCKET, ONE, 11.0).kind == "half_open"
    assert rests.take_probe(BUCKET, ONE, 11.0)


def test_allowed_failures_can_be_told_by_kind() -> None:
    rules = RestRules(allowed_fails=0, allowed_by_kind=PerFailure(rate_limit=1, bad_request=1, authentication=1))
    rests = Rests()
    for error in (throttle(), denial(), UpstreamRejected("no", verdict="never")):
        rests.failed(repr(error), ONE, error, 0.0, rules)
        assert rests.remaining(repr(error), ONE, 0.0) == 0.0
        rests.failed(repr(error), ONE, error, 0.0, rules)
        assert rests.remaining(repr(error), ONE, 0.0) > 0.0
        rests.wake(repr(error), ONE)
    rests.failed(BUCKET, ONE, outage(), 0.0, rules)
    assert rests.remaining(BUCKET, ONE, 0.0) > 0.0


def test_a_deployments_own_rules_come_before_those_of_all() -> None:
    deployment = Deployment(id="d", model_name="m", model="m", params={}, model_info={}, where="f:1", cooldown_time=7.0)
    snapshot = Snapshot(deployments=(deployment,), groups={"m": (deployment,)}, cooldown_time=1.0, allowed_fails=9)
    rules = find_rules(snapshot, deployment)
    assert (rules.cooldown, rules.allowed_fails) == (7.0, 9)
    off = Snapshot(deployments=(deployment,), groups={"m": (deployment,)}, disable_cooldowns=True)
    assert find_rules(off, deployment).cooldown == 0.0


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "outage", "denial", "throttle", "success", "gone"]), st.floats(0.0, 30.0, width=16)
    ),
    max_size=60,
)


@given(_STEPS)
def test_no_two_probes_are_ever_under_way_and_rest_always_ends(steps: list[tuple[str, float]]) -> None:
    rests, now, probing_since = Rests(), 0.0, None
    for step, seconds in steps:
        now += seconds
        if probing_since is not None and now - probing_since >= 30.0:
            probing_since = None
        half_open = rests.describe(BUCKET, ONE, now).kind == "half_open"
        if step == "ask":
            if rests.remaining(BUCKET, ONE, now) <= 0 and rests.take_probe(BUCKET, ONE, now) and half_open:
                assert probing_since is None
                probing_since = now
            continue
        probing_since = None
        if step == "success":
            rests.succeeded(BUCKET, ONE, now, now)
        elif step == "gone":
            rests.give_up_probe(BUCKET, ONE)
        else:
            rests.failed(BUCKET, ONE, {"outage": outage(), "denial": denial(), "throttle": throttle()}[step], now)
        assert rests.remaining(BUCKET, ONE, now) <= 3600.0
    assert rests.remaining(BUCKET, ONE, now + 3600.0) <= 0.0
