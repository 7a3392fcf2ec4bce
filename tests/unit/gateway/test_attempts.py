"""Which targets a call tries after which failure, what it waits for, and what is written down of it."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, cast

import pytest
from msgspec import Raw, structs
from tests.support.ended import ENDPOINT
from tests.support.routing import StillRoad

from sekisho.config.snapshot import Deployment, PerFailure, Snapshot
from sekisho.core.chat import ChatRequest, ClientCall, Message, Text, Tool
from sekisho.core.clock import ManualClock
from sekisho.core.errors import (
    InvalidRequest,
    RejectionReason,
    SekishoError,
    StoreUnavailable,
    Unsupported,
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamRejected,
    UpstreamThrottled,
    UpstreamUnavailable,
)
from sekisho.core.model import ModelFacts
from sekisho.core.usage import Usage
from sekisho.gateway.attempts import Attempts
from sekisho.gateway.fitting import Fitting
from sekisho.gateway.meter import Meter
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.gateway.queueing import Queue
from sekisho.gateway.record import CallRecord
from sekisho.gateway.reply import NOT_CONNECTED
from sekisho.gateway.traffic import Traffic
from sekisho.gateway.ways import Candidate, Road, Roads
from sekisho.http.client import UpstreamClient
from sekisho.ledger.estimate import Estimator
from sekisho.policy.routing.fallbacks import Fallbacks
from sekisho.policy.routing.load import Load

LOAD = Load(input=100, output=10, ceiling=50)


class FakeTarget:
    """A deployment named `model/one`, with a bucket of its own; those whose name ends with `west` are there."""

    provider, price, account, simulated = "bedrock", None, "1111", False

    def __init__(self, name: str, facts: ModelFacts) -> None:
        self.deployment_id = self.bucket = name
        self.model_name = self.upstream_model = name.partition("/")[0]
        self.facts = facts
        self.dialects = {"chat": ("any",)}
        self.region = "us-west-2" if name.endswith("west") else "us-east-1"


def throttled(seconds: float = 30.0) -> UpstreamError:
    return UpstreamThrottled(
        "rate limit", verdict="elsewhere", cooldown=seconds, retry_after=seconds, native="Throttle"
    )


def down() -> UpstreamError:
    return UpstreamUnavailable("down", verdict="same", native="InternalServerException")


def cold() -> UpstreamError:
    return UpstreamUnavailable("cold", verdict="same", native="ModelNotReady", repeats=5, retry_after=5.0)


def expired() -> UpstreamError:
    return UpstreamMisconfigured("expired", verdict="same", native="ExpiredToken")


def denied() -> UpstreamError:
    return UpstreamMisconfigured("denied", verdict="elsewhere", native="AccessDenied", cooldown=300.0)


def unreachable() -> UpstreamError:
    return UpstreamUnavailable("unreachable", verdict="elsewhere", native=NOT_CONNECTED, cooldown=5.0)


def late() -> UpstreamError:
    return UpstreamUnavailable("late", verdict="never", native="ModelTimeout", status=504)


def rejected(reason: RejectionReason = "request") -> UpstreamError:
    error = UpstreamRejected(f"wrong: {reason}", verdict="never")
    error.reason = reason
    return error


class Drive:
    """One process, through which calls go. `script` says how each target fails in turn; after that it answers."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock()
        self.traffic = Traffic(self.clock)
        self.snapshot = Snapshot(deployments=(), groups={}, **settings)
        self.script: dict[str, list[SekishoError]] = {}
        self.asked: list[str] = []
        self.slept: list[float] = []
        self.facts: dict[str, ModelFacts] = {}
        self.fallbacks = Fallbacks()
        self.call = ClientCall(model="opus", body=b"{}", family="f", path="/", read=self.read)
        self.chat = ChatRequest(system=[], messages=[Message(role="user", parts=[Text(text="hi")])])
        self.request_bytes = 10
        self.wait = 0.0
        self.try_once: Callable[[Candidate], Awaitable[str]] = self.answer

    def read(self) -> ChatRequest:
        return self.chat

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)

    def candidate(self, name: str) -> Candidate:
        group = name.partition("/")[0]
        deployment = Deployment(id=name, model_name=group, model=group, params={}, model_info={}, where="f:1")
        return Candidate(deployment, FakeTarget(name, self.facts.get(group, ModelFacts())), load=LOAD)  # type: ignore[arg-type]  # only what is read of a target

    def road(self, group: str, names: str) -> StillRoad:
        candidates = [self.candidate(f"{group}/{name}") for name in names.split()]
        first = [structs.replace(candidates[0], wait=self.wait)] if self.wait else []
        return StillRoad(group, [*first, *candidates], tuple(each.target for each in candidates))

    async def go(self, roads: dict[str, str]) -> str:
        """Try the groups with their deployments; the first is asked for. Gives what has answered."""
        group, *_ = roads
        made: dict[str, Road] = {name: self.road(name, names) for name, names in roads.items()}
        self.record = CallRecord(clock=self.clock, endpoint=ENDPOINT, client_ip=None, requested=group)
        estimator = Estimator()
        self.meter = Meter(estimator)
        self.attempts = Attempts[str](
            try_once=self.try_once,
            call=self.call,
            snapshot=self.snapshot,
            access=UpstreamAccess(cast(UpstreamClient, None), {}, self.traffic, Queue(self.traffic), Random(0)),
            meter=self.meter,
            record=self.record,
            fitting=Fitting(self.call, self.request_bytes, estimator, precheck=True),
        )
        return await self.attempts.first_that_succeeds(Roads(made.pop(group), made, self.fallbacks))

    async def answer(self, candidate: Candidate) -> str:
        name = candidate.deployment.id
        self.asked.append(name)
        self.clock.advance(0.25)
        if self.script.get(name):
            raise self.script[name].pop(0)
        return name


@pytest.fixture
def make_drive(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Drive]:
    def make(**settings: Any) -> Drive:
        drive = Drive(**settings)
        monkeypatch.setattr(asyncio, "sleep", drive.sleep)
        return drive

    return make


MakeDrive = Callable[..., Drive]


async def test_a_throttled_target_is_left_at_once_for_its_sibling_and_then_for_the_fallback(
    make_drive: MakeDrive,
) -> None:
    drive = make_drive()
    drive.fallbacks = Fallbacks(regular=("sonnet",))
    drive.script = {"opus/a": [throttled()], "opus/b": [throttled()]}
    assert await drive.go({"opus": "a b", "sonnet": "c"}) == "sonnet/c"
    assert drive.slept == []
    assert (drive.record.retries, drive.record.fallbacks, drive.record.group) == (2, 1, "sonnet")
    assert [(each.target.deployment_id, each.status, each.ms) for each in drive.record.attempts] == [
        ("opus/a", 429, 250),
        ("opus/b", 429, 250),
        ("sonnet/c", 200, 250),
    ]
    assert drive.record.attempts[0].error == "UpstreamThrottled:Throttle"
    assert [each.began_ms for each in drive.record.attempts] == [0, 250, 500]


async def test_of_a_region_that_cannot_be_reached_the_others_come_last(make_drive: MakeDrive) -> None:
    drive = make_drive()
    drive.fallbacks = Fallbacks(regular=("sonnet",))
    drive.script = {"opus/a": [unreachable()]}
    assert await drive.go({"opus": "a b c west", "sonnet": "d"}) == "opus/west"
    assert drive.asked == ["opus/a", "opus/west"]
    drive.clock.advance(60.0)
    drive.asked.clear()
    drive.script = {"opus/a": [unreachable()], "opus/west": [throttled()], "opus/b": [throttled()]}
    assert await drive.go({"opus": "a b c west", "sonnet": "d"}) == "opus/c"
    assert drive.asked == ["opus/a", "opus/west", "opus/b", "opus/c"]


async def test_what_rests_is_not_asked_while_there_are_others_and_comes_last(make_drive: MakeDrive) -> None:
    drive = make_drive()
    drive.fallbacks = Fallbacks(regular=("sonnet",))
    drive.script = {"opus/a": [throttled()]}
    await drive.go({"opus": "a", "sonnet": "c"})
    drive.asked.clear()
    drive.script = {"sonnet/c": [throttled()]}
    assert await drive.go({"opus": "a", "sonnet": "c"}) == "opus/a"
    assert drive.asked == ["sonnet/c", "opus/a"]


@pytest.mark.parametrize(
    ("error", "roads", "asked"),
    [
        (down, {"opus": "a b"}, ["opus/a", "opus/b"]),
        (down, {"opus": "a", "sonnet": "c"}, ["opus/a", "opus/a", "sonnet/c"]),
        (down, {"opus": "a"}, ["opus/a"] * 3),
        (cold, {"opus": "a"}, ["opus/a"] * 6),
        (cold, {"opus": "a", "sonnet": "c"}, ["opus/a", "opus/a", "sonnet/c"]),
        (throttled, {"opus": "a"}, ["opus/a"]),
        (denied, {"opus": "a", "sonnet": "c"}, ["opus/a", "sonnet/c"]),
        (expired, {"opus": "a b"}, ["opus/a", "opus/a", "opus/b"]),
        (late, {"opus": "a b", "sonnet": "c"}, ["opus/a"]),
        (rejected, {"opus": "a b", "sonnet": "c"}, ["opus/a"]),
    ],
)
async def test_where_and_how_often_each_failure_is_tried_again(
    make_drive: MakeDrive, error: Callable[[], UpstreamError], roads: dict[str, str], asked: list[str]
) -> None:
    drive = make_drive(num_retries=2)
    drive.fallbacks = Fallbacks(regular=("sonnet",))
    drive.script = {"opus/a": [error() for _ in range(9)]}
    if asked[-1] == "opus/a":
        with pytest.raises(type(error())):
            await drive.go(roads)
    else:
        assert await drive.go(roads) == asked[-1]
    assert drive.asked == asked


async def test_nothing_waits_after_the_last_attempt_and_pauses_grow(make_drive: MakeDrive) -> None:
    drive = make_drive(num_retries=3)
    drive.script = {"opus/a": [down() for _ in range(9)]}
    with pytest.raises(UpstreamUnavailable):
        await drive.go({"opus": "a"})
    assert len(drive.asked) == 4
    assert [int(second * 2) for second in drive.slept] == [1, 2, 4]
    assert drive.record.waited == pytest.approx(sum(drive.slept))


async def test_refused_credentials_are_tried_again_at_once_and_only_then_set_the_target_aside(
    make_drive: MakeDrive,
) -> None:
    drive = make_drive()
    drive.script = {"opus/a": [expired()]}
    assert await drive.go({"opus": "a"}) == "opus/a"
    assert drive.traffic.rests.describe("opus/a", "opus/a", drive.clock.monotonic()).kind == "free"
    drive.script = {"opus/a": [expired(), expired()]}
    with pytest.raises(UpstreamMisconfigured):
        await drive.go({"opus": "a"})
    assert drive.traffic.rests.describe("opus/a", "opus/a", drive.clock.monotonic()).kind == "set_aside"
    assert drive.slept == []


@pytest.mark.parametrize(
    ("settings", "wish", "asked"),
    [
        ({"retry_policy": PerFailure(rate_limit=2)}, None, 3),
        ({"retry_policy": PerFailure(rate_limit=2)}, 0, 1),
        (
            {"retry_policy": PerFailure(rate_limit=2), "model_group_retry_policy": {"opus": PerFailure(rate_limit=1)}},
            None,
            2,
        ),
        ({"retry_policy": PerFailure(internal=9)}, None, 1),
    ],
)
async def test_policies_say_how_often_a_kind_of_failure_is_repeated(
    make_drive: MakeDrive, settings: dict[str, Any], wish: int | None, asked: int
) -> None:
    drive = make_drive(**settings)
    drive.call.num_retries = wish
    drive.script = {"opus/a": [throttled() for _ in range(9)]}
    with pytest.raises(UpstreamThrottled):
        await drive.go({"opus": "a"})
    assert len(drive.asked) == asked


@pytest.mark.parametrize(("reason", "answer"), [("context_window", "long/l"), ("content_policy", "mild/m")])
async def test_a_rejection_that_another_model_may_bear_goes_to_the_fallback_for_it(
    make_drive: MakeDrive, reason: RejectionReason, answer: str
) -> None:
    drive = make_drive()
    drive.fallbacks = Fallbacks(regular=("sonnet",), context_window=("long",), content_policy=("mild",))
    drive.script = {"opus/a": [rejected(reason)]}
    assert await drive.go({"opus": "a b", "sonnet": "c", "long": "l", "mild": "m"}) == answer
    assert drive.asked == ["opus/a", answer]


async def test_a_rejection_of_the_last_resort_and_a_resting_fallback_are_reckoned_with(make_drive: MakeDrive) -> None:
    drive = make_drive()
    drive.fallbacks = Fallbacks(context_window=("long",))
    roads = {"opus": "a", "long": "l"}
    for name in ("opus/a", "long/l"):
        drive.traffic.rests.failed(name, name, throttled(), drive.clock.monotonic())
    drive.script = {"opus/a": [rejected("context_window")]}
    assert await drive.go(roads) == "long/l"
    assert drive.asked == ["opus/a", "long/l"]


async def test_a_rejection_without_a_fallback_for_it_is_told(make_drive: MakeDrive) -> None:
    drive = make_drive()
    drive.fallbacks = Fallbacks(regular=("sonnet",))
    drive.script = {"opus/a": [rejected("context_window")]}
    with pytest.raises(UpstreamRejected, match="context_window"):
        await drive.go({"opus": "a b", "sonnet": "c"})
    assert drive.asked == ["opus/a"]


async def test_what_a_fallback_finds_wrong_is_not_the_clients_mistake(make_drive: MakeDrive) -> None:
    drive = make_drive()
    drive.fallbacks = Fallbacks(regular=("sonnet", "haiku"))
    drive.script = {"opus/a": [throttled()], "sonnet/c": [rejected()]}
    assert await drive.go({"opus": "a", "sonnet": "c", "haiku": "d"}) == "haiku/d"
    drive.script = {"opus/a": [throttled()], "sonnet/c": [rejected()], "haiku/d": [rejected()]}
    drive.clock.advance(60.0)
    with pytest.raises(UpstreamThrottled):
        await drive.go({"opus": "a", "sonnet": "c", "haiku": "d"})


async def test_a_fallback_that_would_break_the_conversation_is_passed_over_unless_it_was_wished(
    make_drive: MakeDrive,
) -> None:
    drive = make_drive()
    drive.facts = {"sonnet": ModelFacts(tools=False)}
    drive.chat.tools = [Tool(name="read", schema=Raw(b"{}"))]
    drive.fallbacks = Fallbacks(regular=("sonnet", "haiku"))
    drive.script = {"opus/a": [throttled()]}
    assert await drive.go({"opus": "a", "sonnet": "c", "haiku": "d"}) == "haiku/d"
    drive.fallbacks = Fallbacks(regular=("sonnet", "haiku"), wished=True)
    assert await drive.go({"opus": "a", "sonnet": "c", "haiku": "d"}) == "sonnet/c"


async def test_a_prompt_that_is_certainly_too_long_goes_straight_to_the_fallback_for_it(make_drive: MakeDrive) -> None:
    drive = make_drive()
    drive.facts = {"opus": ModelFacts(max_input_tokens=1000), "sonnet": ModelFacts(max_input_tokens=1000)}
    drive.request_bytes = 10_000
    drive.fallbacks = Fallbacks(regular=("sonnet",), context_window=("long",))
    assert await drive.go({"opus": "a b", "sonnet": "c", "long": "l"}) == "long/l"
    assert drive.asked == ["long/l"]
    # Where nobody can bear it, the model itself shall say so.
    drive.script = {"opus/a": [rejected("context_window")]}
    drive.fallbacks = Fallbacks(regular=("sonnet",))
    with pytest.raises(UpstreamRejected):
        await drive.go({"opus": "a b", "sonnet": "c"})
    assert drive.asked == ["long/l", "opus/a"]


async def test_what_a_target_cannot_be_told_is_tried_at_the_next_but_a_wrong_request_is_not(
    make_drive: MakeDrive,
) -> None:
    drive = make_drive()
    drive.script = {"opus/a": [Unsupported("no images")]}
    assert await drive.go({"opus": "a b"}) == "opus/b"
    for error in (InvalidRequest("wrong"), StoreUnavailable("away")):
        drive.asked.clear()
        drive.script = {"opus/a": [error]}
        with pytest.raises(type(error)):
            await drive.go({"opus": "a b"})
        assert drive.asked == ["opus/a"]


async def test_late_failures_are_not_tried_anywhere_else(make_drive: MakeDrive) -> None:
    drive = make_drive(max_attempt_seconds=0.4)
    drive.script = {f"opus/{name}": [throttled()] for name in "abc"}
    with pytest.raises(UpstreamThrottled):
        await drive.go({"opus": "a b c"})
    assert drive.asked == ["opus/a", "opus/b"]


async def test_all_attempts_together_are_bounded(make_drive: MakeDrive) -> None:
    drive = make_drive()
    drive.call.timeout = 0.01

    async def hang(_: Candidate) -> str:
        return await asyncio.Event().wait() and ""

    drive.try_once = hang
    with pytest.raises(UpstreamUnavailable) as told:
        await drive.go({"opus": "a b"})
    assert told.value.status == 504
    assert [each.ms for each in drive.record.attempts] == [None]
    assert drive.traffic.state(drive.candidate("opus/a").target).in_flight == 0


async def test_only_one_call_at_a_time_probes_a_broken_target(make_drive: MakeDrive) -> None:
    drive = make_drive(num_retries=0)
    drive.script = {"opus/a": [down() for _ in range(4)]}
    for _ in range(4):
        assert await drive.go({"opus": "a b"}) == "opus/b"
    drive.asked.clear()
    assert await drive.go({"opus": "a b"}) == "opus/b"
    assert drive.asked == ["opus/b"]

    drive.clock.advance(10.0)
    arrived, gate = asyncio.Event(), asyncio.Event()

    async def wait_at_a(candidate: Candidate) -> str:
        if candidate.deployment.id == "opus/a":
            arrived.set()
            await gate.wait()
        return await drive.answer(candidate)

    drive.try_once = wait_at_a
    probing = asyncio.create_task(drive.go({"opus": "a b"}))
    await arrived.wait()
    others = [await drive.go({"opus": "a b"}) for _ in range(3)]
    gate.set()
    assert (await probing, others) == ("opus/a", ["opus/b"] * 3)
    assert await drive.go({"opus": "a b"}) == "opus/a"


async def test_what_breaks_down_later_counts_against_the_target(make_drive: MakeDrive) -> None:
    drive = make_drive()
    for _ in range(8):
        await drive.go({"opus": "a"})
        drive.attempts.fail(down())
        drive.attempts.finish()
    state = drive.traffic.state(drive.candidate("opus/a").target)
    assert state.rest.kind == "open"
    assert state.in_flight == 0


async def test_the_choice_may_ask_for_time_before_it_is_made(make_drive: MakeDrive) -> None:
    drive = make_drive()
    drive.wait = 3.0
    assert await drive.go({"opus": "a"}) == "opus/a"
    assert (drive.slept, drive.asked) == ([3.0], ["opus/a"])
    drive.attempts.finish()
    assert drive.meter.usage == Usage()
