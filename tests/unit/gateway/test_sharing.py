"""Several processes with lines of their own on the same quotas. They hear of each other once a second."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count

import pytest
from tests.support.routing import make_deployment, make_target

from sekisho.core.clock import ManualClock
from sekisho.core.errors import StoreUnavailable, UpstreamThrottled
from sekisho.core.usage import Usage
from sekisho.gateway.queueing import Queue
from sekisho.gateway.sharing import Sharing
from sekisho.gateway.traffic import Traffic, Trip
from sekisho.gateway.waiters import Turn, Waiter
from sekisho.gateway.ways import Candidate
from sekisho.policy.routing.headroom import Minute, Quota
from sekisho.policy.routing.load import Load

LOAD = Load(input=900, output=50, ceiling=100)
NEED = LOAD.input + LOAD.ceiling
BUCKET = "bucket-one"
_ARRIVALS = count(step=1e-4)
"""No two calls come at the same time."""


class Table:
    """What the processes have put down, as the database keeps it."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.away = False


class Desk:
    """One process's way to the table."""

    def __init__(self, table: Table, worker: str) -> None:
        self.table = table
        self.worker = worker

    async def exchange(self, state: bytes | None) -> dict[str, bytes]:
        if self.table.away:
            raise StoreUnavailable("away")
        if state is not None:
            self.table.rows[self.worker] = state
        return {worker: row for worker, row in self.table.rows.items() if worker != self.worker}

    async def leave(self) -> None:
        self.table.rows.pop(self.worker, None)


class Process:
    """One process, with its calls."""

    def __init__(self, clock: ManualClock, table: Table, name: str) -> None:
        self.clock = clock
        self.traffic = Traffic(clock)
        self.queue = Queue(self.traffic)
        self.sharing = Sharing(self.traffic, self.queue, Desk(table, name), clock)
        self.turns: list[tuple[str, float]] = []
        self.trips: list[tuple[str, Trip]] = []
        self.tasks: set[asyncio.Task[Turn]] = set()

    def is_full(self, candidate: Candidate) -> bool:
        return self.queue.is_full(candidate, self.clock.monotonic())

    def candidate(self, most_parallel: int | None = None) -> Candidate:
        return Candidate(make_deployment("one"), make_target("one"), load=LOAD, most_parallel=most_parallel)

    def know(self, tokens: int) -> None:
        self.traffic.tell_quota(BUCKET, Quota(tokens))

    def send(self, team: str, weight: float = 1.0, most_parallel: int | None = None) -> None:
        waiter = Waiter(
            team=team,
            weight=weight,
            tokens=NEED,
            arrived=self.clock.now() + next(_ARRIVALS),
            candidates=[self.candidate(most_parallel)],
            not_before={},
            turn=asyncio.get_running_loop().create_future(),
        )
        task = asyncio.create_task(self.queue.wait(waiter, 3_600.0, 10_000))
        task.add_done_callback(lambda done: self._take(team, done))
        self.tasks.add(task)

    def _take(self, team: str, done: "asyncio.Task[Turn]") -> None:
        if not done.cancelled():
            self.turns.append((team, self.clock.monotonic()))
            self.trips.append((team, done.result()[1]))

    def used(self) -> int:
        return self.traffic.state(make_target("one")).used_tokens

    def begin(self) -> Trip:
        return self.traffic.begin(make_target("one"), LOAD)


class Processes:
    """Some processes, and a table between them."""

    def __init__(self, count: int) -> None:
        self.clock = ManualClock()
        self.table = Table()
        self.all = [Process(self.clock, self.table, f"worker-{number}") for number in range(count)]

    def __iter__(self) -> Iterator[Process]:
        return iter(self.all)

    async def exchange(self) -> None:
        """Each tells and hears; what the first hears is therefore a second old."""
        for process in self.all:
            await process.sharing.exchange()
            await settle()

    async def pass_second(self) -> None:
        """A second, in which the lines are looked through as often as they are in truth."""
        for _ in range(4):
            self.clock.advance(0.25)
            for process in self.all:
                process.queue.look(process.queue.lines)
                await settle()
        await self.exchange()

    async def close(self) -> None:
        tasks = [task for process in self.all for task in process.tasks]
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def test_use_is_counted_everywhere_once_and_goes_off_everywhere() -> None:
    workers = Processes(3)
    trips = [process.begin() for process in workers]
    await workers.exchange()
    await workers.exchange()
    assert [process.used() for process in workers] == [3 * NEED] * 3
    for trip in trips:
        trip.answered()
        trip.finished(Usage(input=100, output=0))
    for _ in range(3):
        await workers.pass_second()
        assert workers.all[0].used() in (100 + 2 * NEED, 300)
    assert [process.used() for process in workers] == [300] * 3
    workers.clock.advance(61.0)
    assert [process.used() for process in workers] == [0] * 3


async def test_who_dies_or_cannot_be_heard_leaves_what_it_has_used() -> None:
    workers = Processes(2)
    first, second = workers
    first.begin()
    first.send("ant")
    await workers.exchange()
    await workers.exchange()
    assert second.used() == 2 * NEED
    del workers.table.rows["worker-0"]
    for _ in range(5):
        await second.sharing.exchange()
    assert second.used() == 2 * NEED
    assert Sharing.__name__ not in workers.table.rows
    assert b'"tokens"' not in workers.table.rows["worker-1"]  # it does not tell as its own what it has heard
    workers.table.away = True
    await second.sharing.exchange()
    assert second.used() == 2 * NEED
    workers.clock.advance(70.0)
    await second.sharing.exchange()
    assert second.used() == 0
    await workers.close()


async def test_a_throttle_is_found_out_once() -> None:
    workers = Processes(2)
    first, second = workers
    first.begin()
    first.begin().failed(UpstreamThrottled("Too many tokens", verdict="elsewhere", cooldown=20.0, told=True))
    await workers.exchange()
    assert second.is_full(second.candidate())
    state = second.traffic.state(make_target("one"))
    assert state.rest.kind == "cooling"
    assert state.rest.seconds == pytest.approx(20.0)
    assert state.quota.tokens == NEED
    await workers.exchange()
    assert b'"rest"' not in workers.table.rows["worker-1"]
    workers.clock.advance(20.1)
    assert not first.is_full(first.candidate())
    assert not second.is_full(second.candidate())


async def test_bounds_of_parallel_calls_hold_over_all() -> None:
    workers = Processes(2)
    first, second = workers
    trip = first.begin()
    second.traffic.lanes.lane("one", BUCKET, workers.clock.monotonic())
    await workers.exchange()
    assert second.is_full(second.candidate(most_parallel=1))
    trip.finished(None)
    await workers.exchange()
    assert not second.is_full(second.candidate(most_parallel=1))


async def test_places_of_parallel_calls_are_shared_by_weight_wherever_calls_wait() -> None:
    workers, most = Processes(2), 8
    for process, team, weight in zip(workers, ("ant", "bee"), (3.0, 1.0), strict=True):
        process.traffic.lanes.lane("one", BUCKET, workers.clock.monotonic())
        for _ in range(220):
            process.send(team, weight, most)
    await settle()
    begun = Counter[str]()
    for second in range(30):
        await workers.pass_second()
        for process in workers:
            assert len(process.trips) <= most
            for team, trip in process.trips:
                begun[team] += second >= 5
                trip.finished(None)
            process.trips.clear()
    assert abs(begun["ant"] / begun.total() - 0.75) < 0.1 * 0.75
    assert begun.total() >= 25 * most * 0.9
    await workers.close()


async def test_what_cannot_be_read_is_passed_over() -> None:
    workers = Processes(1)
    workers.table.rows["of another version"] = b'{"buckets": 5}'
    await workers.exchange()
    assert workers.all[0].used() == 0


async def test_a_clock_that_is_ahead_does_not_matter() -> None:
    workers = Processes(1)
    process = workers.all[0]
    now = int(workers.clock.now())
    workers.table.rows["ahead"] = b'{"buckets": {"%s": {"tokens": {"%d": 500}}}}' % (BUCKET.encode(), now + 2)
    for _ in range(5):
        process.begin().failed(StoreUnavailable("not sent"))
        await workers.pass_second()
        assert process.used() == 500
        assert b"500" not in workers.table.rows["worker-0"]


@pytest.mark.parametrize(
    "places",
    [
        {"ant": (0, 1), "bee": (0, 1)},
        {"ant": (0,), "bee": (1,)},
        {"ant": (0, 1, 2), "bee": (2,)},
    ],
    ids=["spread", "apart", "crowded"],
)
async def test_shares_hold_over_all_processes(places: Mapping[str, Sequence[int]]) -> None:
    """Two teams with more calls than there is room for, wherever they are; one has three times the weight."""
    weights, limit = {"ant": 3.0, "bee": 1.0}, 30 * NEED
    workers = Processes(3)
    for process in workers:
        process.know(limit)
    upstream = Minute()
    for ago in range(60):  # so that room comes free bit by bit
        workers.all[0].traffic.add_foreign(BUCKET, NEED // 2, 0, at=workers.clock.monotonic() - ago)
        upstream.put(workers.clock.monotonic() - ago, NEED // 2, workers.clock.monotonic())
    await workers.exchange()
    await workers.exchange()
    for team, where in places.items():
        for number in range(120):
            workers.all[where[number % len(where)]].send(team, weights[team])
    await settle()
    await workers.exchange()
    for _ in range(150):
        await workers.pass_second()
    turns = sorted(((at, team) for process in workers for team, at in process.turns))
    served, most = Counter(team for _, team in turns), 0
    for at, _ in turns:
        upstream.add(NEED, at)
        most = max(most, upstream.total(at))
    total = served.total()
    assert total >= 70  # of 75 for which there is room
    assert most <= limit + NEED  # what two let in within the same second
    assert abs(served["ant"] / total - 0.75) < 0.1 * 0.75
    assert abs(served["bee"] / total - 0.25) < 0.1 * 0.25
    await workers.close()
