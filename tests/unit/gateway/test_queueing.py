"""Who is let into a quota when, and who is told to come back later."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.routing import make_deployment, make_target

from sekisho.core.clock import ManualClock
from sekisho.core.errors import UpstreamMisconfigured, UpstreamThrottled
from sekisho.core.usage import Usage
from sekisho.gateway.queueing import Queue
from sekisho.gateway.traffic import Traffic, Trip
from sekisho.gateway.waiters import Turn, Waiter
from sekisho.gateway.ways import Candidate
from sekisho.policy.routing.headroom import Quota
from sekisho.policy.routing.line import Ticket
from sekisho.policy.routing.load import Load
from sekisho.policy.routing.rest import RestRules

LOAD = Load(input=900, output=50, ceiling=100)


def throttled(seconds: float = 20.0) -> UpstreamThrottled:
    return UpstreamThrottled("Too many tokens", verdict="elsewhere", cooldown=seconds, told=True)


class Hall:
    """A queue, and calls that wait in it. `turns` names them in the order in which they were let in."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.traffic = Traffic(self.clock)
        self.queue = Queue(self.traffic)
        self.trips: dict[str, Trip] = {}
        self.places: dict[str, str] = {}
        self.turns: list[str] = []
        self.tasks: dict[str, asyncio.Task[Turn]] = {}
        self.not_before: dict[str, float] = {}

    def is_full(self, candidate: Candidate) -> bool:
        return self.queue.is_full(candidate, self.clock.monotonic())

    def candidate(self, name: str = "one", **more: Any) -> Candidate:
        return Candidate(make_deployment(name), make_target(name), load=LOAD, **more)

    def know(self, name: str = "one", tokens: int | None = 3_000, requests: int | None = None) -> None:
        self.traffic.tell_quota(f"bucket-{name}", Quota(tokens, requests))

    def waiter(self, team: str = "ant", *candidates: Candidate, **more: Any) -> Waiter:
        fields = {"weight": 1.0, "arrived": self.clock.now() + 0.001 * len(self.tasks), "likely": 100, **more}
        return Waiter(
            team=team,
            tokens=LOAD.input + LOAD.ceiling,
            candidates=candidates or (self.candidate(),),
            not_before=self.not_before,
            turn=asyncio.get_running_loop().create_future(),
            **fields,
        )

    async def send(self, name: str, waiter: Waiter | None = None, seconds: float = 30.0, most: int = 100) -> None:
        """A call comes, and waits."""
        self.tasks[name] = asyncio.create_task(self._wait(name, waiter or self.waiter(), seconds, most))
        await settle()

    async def _wait(self, name: str, waiter: Waiter, seconds: float, most: int) -> Turn:
        turn = await self.queue.wait(waiter, seconds, most)
        self.turns.append(name)
        candidate, self.trips[name] = turn
        self.places[name] = candidate.target.deployment_id
        return turn

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.queue.look(self.queue.lines)
        await settle()

    async def refusal(self, name: str) -> UpstreamThrottled:
        with pytest.raises(UpstreamThrottled) as caught:
            await self.tasks[name]
        return caught.value

    def throttle(self, name: str = "one", seconds: float = 20.0) -> None:
        self.traffic.begin(make_target(name), LOAD).failed(throttled(seconds))

    def use(self, tokens: int, name: str = "one") -> None:
        self.traffic.add_foreign(f"bucket-{name}", tokens, 1)


async def settle() -> None:
    """Let everything happen that needs no time."""
    for _ in range(6):
        await asyncio.sleep(0)


@asynccontextmanager
async def opened() -> AsyncIterator[Hall]:
    hall = Hall()
    try:
        yield hall
    finally:
        for task in hall.tasks.values():
            task.cancel()
        await asyncio.gather(*hall.tasks.values(), return_exceptions=True)
        assert len(hall.queue) == 0
        assert not hall.queue.lines


def in_hall(test: Callable[[Hall], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, None]]:
    """Runs a test in a hall that must be empty in the end."""

    async def run() -> None:
        async with opened() as hall:
            await test(hall)

    run.__name__ = test.__name__
    return run


@in_hall
async def test_who_comes_when_there_is_room_goes_at_once_and_the_rest_as_it_comes_free(hall: Hall) -> None:
    hall.know(tokens=3_000)
    for number in range(5):
        await hall.send(f"call {number}")
    assert hall.turns == ["call 0", "call 1", "call 2"]
    hall.trips["call 0"].answered()
    hall.trips["call 0"].finished(Usage(input=900, output=20))
    await settle()
    assert hall.turns == ["call 0", "call 1", "call 2"]  # nothing given back: 900 + 5 x 20 tokens count
    hall.trips["call 1"].answered()
    hall.trips["call 1"].finished(Usage(cache_read=900, output=0))
    await settle()
    assert hall.turns[3:] == ["call 3"]
    await hall.pass_time(61.5)
    assert hall.turns[3:] == ["call 3", "call 4"]


@in_hall
async def test_teams_take_turns_however_many_calls_one_of_them_has(hall: Hall) -> None:
    hall.know(tokens=1_000)
    hall.use(1_000)
    for number in range(4):
        await hall.send(f"ant {number}", hall.waiter("ant"))
    await hall.send("bee", hall.waiter("bee"))
    assert hall.turns == []
    for _ in range(3):
        await hall.pass_time(61.5)
    assert hall.turns == ["ant 0", "bee", "ant 1"]


@in_hall
async def test_a_quota_that_rests_is_waited_for(hall: Hall) -> None:
    hall.throttle(seconds=20.0)
    assert hall.is_full(hall.candidate())
    await hall.send("call")
    await hall.pass_time(19.9)
    assert hall.turns == []
    await hall.pass_time(0.2)
    assert hall.turns == ["call"]
    assert not hall.is_full(hall.candidate())


@in_hall
async def test_a_busy_deployment_is_waited_for(hall: Hall) -> None:
    narrow = hall.candidate(most_parallel=1)
    trip = hall.traffic.begin(narrow.target, LOAD)
    assert hall.is_full(narrow)
    await hall.send("call", hall.waiter("ant", narrow))
    await hall.send("wide", hall.waiter("ant", hall.candidate()))
    assert hall.turns == ["wide"]  # the same quota, but no such bound
    hall.trips["wide"].finished(None)
    trip.finished(None)
    await settle()
    assert hall.turns == ["wide", "call"]


@in_hall
async def test_a_busy_deployment_lets_in_no_more_than_it_serves(hall: Hall) -> None:
    hall.throttle(seconds=5.0)
    for number in range(5):
        await hall.send(f"call {number}", hall.waiter("ant", hall.candidate(most_parallel=2)))
    await hall.pass_time(70.0)
    hall.traffic.tell_quota("bucket-one", Quota(1_000_000))
    await hall.pass_time(300.0)
    assert hall.turns == ["call 0", "call 1"]


@in_hall
async def test_a_call_goes_wherever_there_is_room_first(hall: Hall) -> None:
    hall.throttle("one", 30.0)
    hall.throttle("two", 10.0)
    await hall.send("call", hall.waiter("ant", hall.candidate("one"), hall.candidate("two")))
    await hall.pass_time(10.1)
    assert hall.places == {"call": "two"}


@in_hall
async def test_a_deployment_may_be_left_to_others_for_a_while(hall: Hall) -> None:
    hall.throttle("home", 10.0)
    hall.not_before["away"] = hall.clock.monotonic() + 5.0
    await hall.send("call", hall.waiter("ant", hall.candidate("home"), hall.candidate("away")))
    await hall.send("stranger", hall.waiter("ant", hall.candidate("other"), hall.candidate("home")))
    assert hall.turns == ["stranger"]
    await hall.pass_time(5.1)
    assert hall.places["call"] == "away"


@in_hall
async def test_where_the_quota_is_only_guessed_probes_go_ahead_and_more_with_each_that_is_taken(hall: Hall) -> None:
    hall.throttle(seconds=1.0)
    await hall.pass_time(1.1)
    for number in range(8):
        await hall.send(f"call {number}")
    # What was refused is the guess: one fits, and one more may find out whether there is room after all.
    assert hall.turns == ["call 0", "call 1"]
    hall.trips["call 1"].answered()
    await settle()
    assert hall.turns == ["call 0", "call 1", "call 2", "call 3"]
    hall.trips["call 2"].answered()
    hall.trips["call 3"].answered()
    await settle()
    assert len(hall.turns) == 8
    hall.trips["call 7"].failed(throttled(5.0))
    await hall.send("late")
    assert len(hall.turns) == 8


@in_hall
async def test_a_known_quota_is_not_probed(hall: Hall) -> None:
    hall.know(tokens=1_500)
    await hall.send("first")
    await hall.send("second")
    assert hall.turns == ["first"]


@in_hall
async def test_a_wait_that_would_be_too_long_is_refused_at_once_with_its_true_length(hall: Hall) -> None:
    hall.throttle(seconds=3_600.0)
    await hall.send("call")
    error = await hall.refusal("call")
    assert error.retry_after == pytest.approx(3_600.0)
    assert "rate limit" in error.message
    assert error.status == 429


@in_hall
async def test_a_line_that_takes_too_long_is_refused_at_once(hall: Hall) -> None:
    hall.know(tokens=3_000)
    hall.use(3_000)
    for number in range(20):
        await hall.send(f"call {number}", hall.waiter(likely=100))
    await hall.send("late", hall.waiter(likely=100))
    assert (await hall.refusal("late")).retry_after == pytest.approx(61.0, abs=2.0)
    assert len(hall.queue) == 16  # at 100 tokens each and 3000 a minute, the next would wait for 32 seconds
    await hall.send("of another team", hall.waiter("bee", likely=100))
    assert not hall.tasks["of another team"].done()


@in_hall
async def test_nobody_waits_longer_than_allowed(hall: Hall) -> None:
    hall.know(tokens=1_000)
    hall.use(1_000)
    await hall.send("call", seconds=0.05)
    error = await hall.refusal("call")
    assert error.retry_after == pytest.approx(61.0, abs=1.0)
    assert not hall.queue.lines


@in_hall
async def test_when_all_places_are_taken_the_largest_team_gives_one_up(hall: Hall) -> None:
    hall.throttle(seconds=20.0)
    for number in range(3):
        await hall.send(f"ant {number}", hall.waiter("ant"), most=3)
    await hall.send("one too many", hall.waiter("ant"), most=3)
    assert "too many calls are waiting" in (await hall.refusal("one too many")).message
    await hall.send("bee", hall.waiter("bee"), most=3)
    assert (await hall.refusal("ant 2")).retry_after == pytest.approx(20.0)
    assert not hall.tasks["bee"].done()
    assert len(hall.queue) == 3
    await hall.send("nobody waits", hall.waiter("cat"), most=0)
    assert (await hall.refusal("nobody waits")).status == 429


@in_hall
async def test_who_hangs_up_leaves_the_line(hall: Hall) -> None:
    hall.throttle(seconds=10.0)
    hall.know(tokens=1_000)
    await hall.send("gone")
    await hall.send("next")
    hall.tasks["gone"].cancel()
    await settle()
    assert len(hall.queue) == 1
    await hall.pass_time(61.0)
    assert hall.turns == ["next"]


@in_hall
async def test_a_turn_that_nobody_takes_is_given_back(hall: Hall) -> None:
    """The client hangs up at the very moment in which its call is let in."""
    hall.know(tokens=1_000)
    hall.use(1_000)
    await hall.send("gone")
    await hall.send("next")
    hall.clock.advance(61.5)
    hall.queue.look(hall.queue.lines)
    assert hall.traffic.state(make_target("one")).in_flight == 1
    hall.tasks["gone"].cancel()
    await settle()
    assert hall.turns == ["next"]
    assert hall.traffic.state(make_target("one")).in_flight == 1


@in_hall
async def test_a_turn_that_the_upstream_refuses_does_not_count(hall: Hall) -> None:
    hall.throttle(seconds=5.0)
    first = hall.waiter("ant")
    await hall.send("ant", first)
    await hall.send("ant again", hall.waiter("ant"))
    await hall.send("bee", hall.waiter("bee"))
    await hall.pass_time(66.0)
    assert hall.turns[0] == "ant"
    hall.trips["ant"].failed(throttled(5.0))
    hall.queue.refund(first, hall.candidate())
    assert [each.team for each in hall.queue.lines["bucket-one"].in_order()][:1] == ["ant"]


@in_hall
async def test_what_is_broken_meanwhile_serves_nobody(hall: Hall) -> None:
    hall.throttle(seconds=5.0)
    await hall.send("call")
    denied = UpstreamMisconfigured("denied", verdict="elsewhere", cooldown=300.0)
    hall.traffic.begin(make_target("one"), LOAD).failed(denied, RestRules())
    await hall.pass_time(70.0)
    assert hall.turns == []
    hall.traffic.rests.wake("bucket-one", "one")
    await hall.pass_time(0.1)
    assert hall.turns == ["call"]


@in_hall
async def test_room_is_left_to_calls_of_other_processes_that_come_first(hall: Hall) -> None:
    hall.know(tokens=2_000)
    hall.use(2_000)
    await hall.send("ours")
    earlier = Ticket(team="bee", tokens=1_500, arrived=0.0, foreign=True)
    hall.queue.tell_foreign("bucket-one", [earlier])
    await hall.pass_time(61.5)
    assert hall.turns == []
    hall.queue.tell_foreign("bucket-one", [])
    await settle()
    assert hall.turns == ["ours"]


@in_hall
async def test_where_others_wait_elsewhere_nobody_overtakes_them_here(hall: Hall) -> None:
    hall.queue.tell_foreign("bucket-one", [Ticket(team="bee", tokens=1_500, arrived=0.0, foreign=True)])
    assert hall.is_full(hall.candidate())
    hall.queue.tell_foreign("bucket-one", [])
    assert not hall.is_full(hall.candidate())
