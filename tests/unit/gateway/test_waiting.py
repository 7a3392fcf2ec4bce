"""Where one call may go when it waits, and for how long."""

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest
from tests.support.ended import ENDPOINT
from tests.support.routing import make_deployment, make_target

from sekisho.config.snapshot import QueueSettings
from sekisho.core.caller import Caller
from sekisho.core.chat import ClientCall
from sekisho.core.clock import ManualClock
from sekisho.core.errors import UpstreamMisconfigured, UpstreamThrottled
from sekisho.core.usage import Usage
from sekisho.gateway.queueing import Queue
from sekisho.gateway.record import CallRecord
from sekisho.gateway.traffic import Traffic
from sekisho.gateway.waiters import Turn
from sekisho.gateway.waiting import Waiting, find_priority
from sekisho.gateway.ways import Candidate
from sekisho.policy.routing.headroom import Quota
from sekisho.policy.routing.load import Load

LOAD = Load(input=50_000, output=50, ceiling=100, session="session")


def call_with(**more: Any) -> ClientCall:
    return ClientCall(model="sonnet", body=b"{}", family="f", path="/", read=lambda: None, **more)  # type: ignore[arg-type, return-value]  # nobody reads it


def throttled(seconds: float, retry_after: float | None = None) -> UpstreamThrottled:
    return UpstreamThrottled("Too many", verdict="elsewhere", cooldown=seconds, told=True, retry_after=retry_after)


class Stage:
    """One call, and what it waits for."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock()
        self.traffic = Traffic(self.clock)
        self.queue = Queue(self.traffic)
        self.record = CallRecord(clock=self.clock, endpoint=ENDPOINT, client_ip=None)
        self.waiting = Waiting(
            self.queue,
            self.traffic,
            QueueSettings(**settings),
            Caller(role="internal_user", team_id="ant"),
            call_with(),
            self.record,
            nullcontext,
        )

    def candidate(self, name: str) -> Candidate:
        return Candidate(make_deployment(name), make_target(name), load=LOAD)

    def throttle(self, name: str, seconds: float) -> None:
        self.traffic.begin(make_target(name), LOAD).failed(throttled(seconds))

    def wait(self, *names: str, seconds: float = 60.0) -> "asyncio.Task[Turn | None]":
        return asyncio.create_task(self.waiting.next_turn([self.candidate(name) for name in names], seconds))

    def settle_at_home(self) -> None:
        """The session has 40,000 tokens in the cache at `home`."""
        trip = self.traffic.begin(make_target("home"), LOAD)
        trip.answered()
        trip.finished(Usage(input=10, cache_write_5m=40_000, output=10))

    async def pass_time(self, seconds: float) -> None:
        await settle()
        self.clock.advance(seconds)
        self.queue.look(self.queue.lines)
        await settle()


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def test_a_session_waits_for_its_home_as_long_as_that_is_cheaper_than_its_cache_anew() -> None:
    stage = Stage()
    stage.settle_at_home()
    stage.throttle("home", 40.0)
    turn = stage.wait("away", "home")
    await stage.pass_time(2.0)
    assert not turn.done()
    await stage.pass_time(6.0)  # 40,000 tokens cost 0.138 dollars more to write than to read: 6.9 seconds of waiting
    candidate, going = await turn or (None, None)
    assert candidate is not None
    assert candidate.target.deployment_id == "away"
    assert going is not None
    going.dropped()
    assert stage.record.queue_seconds() == pytest.approx(8.0)


async def test_a_session_waits_longer_where_those_elsewhere_would_be_delayed_by_its_cache() -> None:
    stage = Stage()
    stage.settle_at_home()
    stage.throttle("home", 40.0)
    stage.traffic.tell_quota("bucket-away", Quota(tokens=200_000))
    stage.traffic.add_foreign("bucket-away", 140_000, 20)
    turn = stage.wait("away", "home")
    await stage.pass_time(39.0)
    assert not turn.done()
    await stage.pass_time(2.0)
    candidate, going = await turn or (None, None)
    assert candidate is not None
    assert candidate.target.deployment_id == "home"
    assert going is not None
    going.dropped()


async def test_a_session_does_not_wait_for_a_home_that_rests_for_longer_than_it_would_wait() -> None:
    stage = Stage()
    stage.settle_at_home()
    stage.throttle("home", 3600.0)
    stage.throttle("away", 1.0)
    turn = stage.wait("away", "home")
    await stage.pass_time(1.1)
    candidate, going = await turn or (None, None)
    assert candidate is not None
    assert candidate.target.deployment_id == "away"
    assert going is not None
    going.dropped()


async def test_what_has_just_refused_the_call_is_left_alone_though_it_does_not_rest() -> None:
    stage = Stage()
    stage.waiting.note_throttle(stage.candidate("one"), throttled(0.0))
    turn = stage.wait("one")
    await stage.pass_time(0.9)
    assert not turn.done()
    await stage.pass_time(0.2)
    assert turn.done()
    _, trip = await turn or (None, None)
    assert trip is not None
    trip.failed(throttled(0.0))
    stage.waiting.note_throttle(stage.candidate("one"), throttled(0.0))
    again = stage.wait("one")
    await stage.pass_time(1.1)
    assert not again.done()
    await stage.pass_time(1.0)
    assert again.done()


async def test_what_says_when_to_come_back_is_believed() -> None:
    stage = Stage()
    stage.waiting.note_throttle(stage.candidate("one"), throttled(0.0, retry_after=500.0))
    with pytest.raises(UpstreamThrottled) as caught:
        await stage.wait("one")
    assert caught.value.retry_after == pytest.approx(500.0)


async def test_all_waits_of_a_call_together_are_bounded() -> None:
    stage = Stage(max_seconds=10.0)
    stage.record.queued = 9.0
    stage.throttle("one", 2.0)
    with pytest.raises(UpstreamThrottled):
        await stage.wait("one")


async def test_what_has_become_free_meanwhile_is_taken_at_once() -> None:
    _, trip = await Stage().wait("one") or (None, None)
    assert trip is not None
    trip.dropped()


async def test_nothing_is_waited_for_that_is_broken() -> None:
    stage = Stage()
    denied = UpstreamMisconfigured("denied", verdict="elsewhere", cooldown=300.0)
    stage.traffic.begin(make_target("one"), LOAD).failed(denied)
    assert await stage.wait("one") is None


def test_batch_calls_say_so() -> None:
    assert find_priority(call_with()) == 0
    assert find_priority(call_with(priority=7)) == 7
    assert find_priority(call_with(tags=["nightly", "batch"])) > 0
    assert find_priority(call_with(tags=["batch"], priority=0)) == 0
