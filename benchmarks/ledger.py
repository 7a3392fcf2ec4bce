"""`python -m benchmarks.ledger`: the CPU time that money costs per call, without any HTTP.

Everything that the gateway does for its caller's sake is done for each call, in the order of `gateway/lifecycle.py`,
with as many calls at once as under load: from the header with the key to the usage row in SQLite. What the upstream
would do takes no time. CPU time is that of all threads, user and system, as the operating system counts it.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import uvloop
from msgspec import Struct

from sekisho.assembly import confirm_booked, resolve
from sekisho.config.added import read_added
from sekisho.config.snapshot import Snapshot
from sekisho.core.chat import ClientCall
from sekisho.core.clock import Clock, SystemClock
from sekisho.core.target import ProviderEnvironment
from sekisho.core.usage import Usage
from sekisho.core.wire import Endpoint
from sekisho.gateway.meter import Meter
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.gateway.planning import Planner
from sekisho.gateway.queueing import Queue
from sekisho.gateway.record import CallRecord
from sekisho.gateway.roads import World
from sekisho.gateway.standing import Standings
from sekisho.gateway.traffic import Traffic
from sekisho.http.client import UpstreamClient
from sekisho.identity.authenticate import Identity
from sekisho.identity.keys import hash_key, mask_key
from sekisho.ledger.estimate import Estimator, weigh_call
from sekisho.ledger.ledger import Ledger
from sekisho.ledger.lessor import Lessor
from sekisho.ledger.rates import RateLimits
from sekisho.store.engine import Store, open_store
from sekisho.store.records import KeyRecord, OrganizationRecord, ProjectRecord, TeamRecord, UserRecord

_ENDPOINT = Endpoint(path="/v1/chat/completions", call_type="acompletion")
_MODEL = "claude-sonnet-4-5"
_UPSTREAM = "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0"
_BODY = b'{"model":"claude-sonnet-4-5","messages":[{"role":"user","content":"%s"}]}' % (b"Why is the sky blue? " * 200)
_USAGE = Usage(900, 350, 40_000, 1_200, 0, 0)
_LIMITS: dict[str, Any] = {"max_budget": 10**18, "budget_duration": "30d", "rpm_limit": 10**9, "tpm_limit": 10**14}
"""Too high to be reached, and counted for every call."""
_KEYS = 50
_CHECKS = ("authenticate", "widen, choose the model", "reserve", "tell the limits", "settle")
"""The steps that are the ledger and the checks; the others find a road, or keep the books."""


class Load(Struct, frozen=True, kw_only=True):
    """What is sent: `calls` in all, `at_once` of them at any time."""

    calls: int
    at_once: int


class Figure(Struct, frozen=True):
    """Microseconds of CPU per call: in all, and of each step."""

    total: float
    steps: Mapping[str, float]


class Stopwatch:
    """CPU time of the thread of the event loop, by step."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = {}
        self._last = 0

    def start(self) -> None:
        """A step begins now."""
        self._last = time.thread_time_ns()

    def stop(self, step: str) -> None:
        """The step is over, and the next one begins."""
        now = time.thread_time_ns()
        self.spent[step] = self.spent.get(step, 0) + now - self._last
        self._last = now


class NoStopwatch(Stopwatch):
    """Costs nothing, for the figure of the whole."""

    def start(self) -> None:
        """Nothing."""

    def stop(self, step: str) -> None:
        """Nothing."""


class Gate:
    """The rooms that a call passes, without the server in front and the client behind."""

    def __init__(self, store: Store, clock: Clock, watch: Stopwatch) -> None:
        self.store = store
        self.clock = clock
        self.watch = watch
        self.world = _make_world(clock)
        self.identity = Identity(store, clock, "sk-" + "0" * 32)
        self.rates = RateLimits(clock)
        self.ledger = Ledger(clock, Lessor(store.escrow, clock), self.rates, 402)
        self.standings = Standings(lambda world, _caller, _models: world, self.rates)
        self.estimator = Estimator()
        traffic = Traffic(clock)
        self.access = UpstreamAccess(UpstreamClient(), {}, traffic, Queue(traffic), Random(1))
        store.journal.on_durable = partial(confirm_booked, self.ledger)

    async def pass_call(self, header: tuple[bytes, bytes], call: ClientCall) -> None:
        """One call, as `gateway/lifecycle.py` leads it."""
        watch = self.watch
        watch.start()
        record, meter = (
            CallRecord(endpoint=_ENDPOINT, clock=self.clock, client_ip="203.0.113.7"),
            Meter(self.estimator),
        )
        watch.stop("begin")
        caller = await self.identity.authenticate([header])
        watch.stop("authenticate")
        record.call = call
        caller = record.caller = await self.identity.widen(caller, call.end_user, call.tags)
        standing = self.standings.find(self.world, caller, call)
        record.recognise(standing)
        watch.stop("widen, choose the model")
        meter.owner, meter.request_bytes = caller.owner, weigh_call(call)
        planner = Planner(standing, call, "chat", self.access, self.estimator, meter)
        plan = planner.plan(record.requested)
        future = plan.future
        watch.stop("find roads, forecast")
        hold = await self.ledger.hold(caller.scopes, future.ask, record.requested)
        held = future.hold_with(hold)
        watch.stop("reserve")
        record.booked, record.ceiling = hold.booked, held.ceiling
        candidate = next(iter(plan.roads.asked))
        record.begin_attempt(candidate.target, plan.group)
        meter.taken_by(candidate.target)
        self.store.journal.sent(record.row_if_lost(meter, held.expected), hold.booked)
        watch.stop("write down what was sent")
        await asyncio.sleep(0)  # the upstream
        watch.start()
        record.first_byte()
        meter.report(_USAGE)
        record.charge(meter)
        hold.settle(record.usage.total, record.cost or 0)
        watch.stop("count what was used")
        standing.tell_limits()
        watch.stop("tell the limits")
        self.ledger.end(hold)
        watch.stop("settle")
        record.end()
        self.store.journal.record(record.row(), record.booked)
        watch.stop("write down the end")


def _make_call(number: int) -> ClientCall:
    return ClientCall(
        model=_MODEL,
        body=_BODY,
        family="openai_chat",
        path="/v1/chat/completions",
        read=_never_read,
        max_output_tokens=4_096,
        stream=True,
        session_id=f"session-{number // 40:08d}",
        agent="claude-code",
        agent_version="2.1.330",
    )


def _never_read() -> NoReturn:
    raise AssertionError("the money path does not read requests")


def _make_world(clock: Clock) -> World:
    """Four deployments of one model."""
    keys = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "secret"}
    deployments = tuple(
        read_added(
            f"deployment-{region}",
            {"model_name": _MODEL, "litellm_params": {"model": _UPSTREAM, "aws_region_name": region, **keys}},
            {},
            {},
        )
        for region in ("us-east-1", "us-east-2", "us-west-2", "eu-west-1")
    )
    world, problems = resolve(
        Snapshot(deployments=deployments, groups={_MODEL: deployments}), ProviderEnvironment(clock=clock)
    )
    assert not problems, problems
    return world


async def _make_keys(store: Store, limited: bool) -> list[str]:
    """Keys with nothing around them, or each of a user, a project, a team and an organisation, all with limits."""
    texts = [f"sk-benchmark-{number:020d}" for number in range(_KEYS)]
    if not limited:
        for text in texts:
            await store.keys.insert(_key(text))
        return texts
    await store.organizations.insert(OrganizationRecord(organization_id="o", organization_alias="o", **_LIMITS))
    for number in range(5):
        await store.teams.insert(TeamRecord(team_id=f"team-{number}", organization_id="o", **_LIMITS))
        await store.projects.insert(ProjectRecord(project_id=f"p-{number}", team_id=f"team-{number}", **_LIMITS))
    for number, text in enumerate(texts):
        user = f"developer-{number:03d}@example.com"
        await store.users.insert(UserRecord(user_id=user, **_LIMITS))
        own: dict[str, Any] = {"user_id": user, "team_id": f"team-{number % 5}", "project_id": f"p-{number % 5}"}
        await store.keys.insert(_key(text, key_alias=f"agent-of-{number:03d}", **own, **_LIMITS))
    return texts


def _key(text: str, **fields: Any) -> KeyRecord:
    key_hash = hash_key(text)
    return KeyRecord(key_hash=key_hash, key_name=mask_key(text), account_id=key_hash, **fields)


async def _measure(gate: Gate, keys: Sequence[str], load: Load) -> float:
    """CPU seconds of all threads, until the last call is in the database."""
    headers = [(b"authorization", b"Bearer " + key.encode()) for key in keys]
    calls = enumerate([_make_call(number) for number in range(load.calls)])

    async def keep_calling() -> None:
        for number, call in calls:
            await gate.pass_call(headers[number % len(headers)], call)

    before = time.process_time()
    await asyncio.gather(*(keep_calling() for _ in range(load.at_once)))
    await gate.store.journal.flush()
    return time.process_time() - before


async def _run(load: Load, rounds: int, limited: bool, folder: Path) -> Figure:
    """The best of the rounds, as the machine may be busy with other things; steps are timed in rounds of their own."""
    clock = SystemClock()
    store = await open_store(str(folder / f"{limited}.db"), clock)
    try:
        await store.escrow.beat()
        gate = Gate(store, clock, NoStopwatch())
        keys = await _make_keys(store, limited)
        await _measure(gate, keys, load)
        total = min([await _measure(gate, keys, load) for _ in range(rounds)])
        steps = [await _time_steps(gate, keys, load) for _ in range(rounds)]
        await gate.access.client.close()
    finally:
        await store.close()
    best = {name: min(each[name] for each in steps) for name in steps[0]}
    return Figure(total / load.calls * 1e6, best)


async def _time_steps(gate: Gate, keys: Sequence[str], load: Load) -> dict[str, float]:
    """Microseconds per call of each step, without its looks at the clock, and of what is done outside of the calls."""
    clock = _clock_seconds() * 1e6
    watch = gate.watch = Stopwatch()
    whole = await _measure(gate, keys, load)
    gate.watch = NoStopwatch()
    steps = {name: spent / 1e3 / load.calls - clock for name, spent in watch.spent.items()}
    steps["booking, and switching between calls"] = whole / load.calls * 1e6 - sum(steps.values()) - clock * len(steps)
    return steps


def _clock_seconds() -> float:
    """What it costs to look at the clock."""
    before = time.thread_time()
    for _ in range(10_000):
        time.thread_time_ns()
    return (time.thread_time() - before) / 10_000


def main() -> int:
    """Measure and print. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description="What money costs per call.")
    parser.add_argument("--calls", type=int, default=1_000, help="calls in a round")
    parser.add_argument("--at-once", type=int, default=64, help="calls under way at any time")
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    load = Load(calls=arguments.calls, at_once=arguments.at_once)
    with tempfile.TemporaryDirectory(prefix="sekisho-ledger-") as folder:
        for limited, name in ((False, "a key without limits"), (True, "a key under five scopes with limits")):
            figure = uvloop.run(_run(load, arguments.rounds, limited, Path(folder)))
            checks = sum(figure.steps[step] for step in _CHECKS)
            print(f"{name}: {figure.total:.1f} µs of CPU per call; ledger and checks {checks:.1f} µs")
            for step, spent in figure.steps.items():
                print(f"    {step:45}{spent:7.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
