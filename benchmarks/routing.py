"""`python -m benchmarks.routing`: the CPU time that choosing a deployment costs, for one call.

Measured is what the choice adds to a call: its roads, the first candidate, and the words that tell the traffic how the
attempt began and ended. The fleet has 50 deployments of one model, in 5 accounts and 10 regions.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from random import Random
from types import MappingProxyType
from typing import cast

from msgspec import Struct

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.caller import Caller
from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.clock import SystemClock
from sekisho.core.errors import UpstreamThrottled
from sekisho.core.model import ModelFacts
from sekisho.core.money import Price, Rates
from sekisho.core.target import Target
from sekisho.core.usage import Usage
from sekisho.gateway.meter import Meter
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.gateway.queueing import Queue
from sekisho.gateway.roads import World, find_network, lay_roads
from sekisho.gateway.traffic import Traffic
from sekisho.gateway.ways import Candidate
from sekisho.http.client import UpstreamClient
from sekisho.ledger.estimate import Estimator

_FACTS = ModelFacts(family="claude", max_input_tokens=200_000, max_output_tokens=64_000, burndown=5)
_PRICE = Price("benchmark", Rates(3_000_000_000, 15_000_000_000, 300_000_000, 3_750_000_000, 6_000_000_000))
_USAGE = Usage(input=500, output=400, cache_read=20_000, cache_write_5m=1_500)
_SESSIONS = 400
_CALLER = Caller(role="internal_user", key_hash="benchmark")


class _Target(Struct, frozen=True, kw_only=True):
    """What of a target the choice looks at."""

    deployment_id: str
    bucket: str
    account: str
    region: str
    model_name: str = "sonnet"
    provider: str = "bedrock"
    upstream_model: str = "us.anthropic.claude"
    dialects: Mapping[str, tuple[str, ...]] = MappingProxyType({"chat": ("bedrock_converse",)})
    facts: ModelFacts = _FACTS
    price: Price | None = _PRICE
    simulated: bool = True


def make_world(deployments: int, strategy: str, tpm: int | None) -> World:
    """A world of one model group, its deployments spread over accounts and regions."""
    entries: list[Deployment] = []
    targets: dict[str, Target] = {}
    for number in range(deployments):
        name, account, region = f"d{number}", f"{number % 5:012}", f"region-{number // 5}"
        entries.append(
            Deployment(id=name, model_name="sonnet", model="bedrock/x", params={}, model_info={}, where="x:1", tpm=tpm)
        )
        target = _Target(deployment_id=name, bucket=f"{account}|{region}|claude", account=account, region=region)
        targets[name] = cast(Target, target)
    snapshot = Snapshot(deployments=tuple(entries), groups={"sonnet": tuple(entries)}, routing_strategy=strategy)
    return World(snapshot, targets)


def _make_call(session: str) -> ClientCall:
    def read() -> ChatRequest:
        raise NotImplementedError("the choice does not read the conversation")

    return ClientCall(
        model="sonnet", body=b"", family="openai", path="/", read=read, session_id=session, max_output_tokens=8_000
    )


class _Scene:
    """A gateway that routes calls, with nothing else around it."""

    def __init__(self, deployments: int, strategy: str = "headroom", tpm: int | None = 2_000_000) -> None:
        self.world = make_world(deployments, strategy, tpm)
        self.traffic = Traffic(SystemClock())
        client = cast(UpstreamClient, None)
        self.access = UpstreamAccess(client, {}, self.traffic, Queue(self.traffic), Random(1))  # chance, not secrecy
        self.meter = Meter(Estimator())
        self.meter.owner, self.meter.request_bytes = "benchmark", 80_000
        self.calls = [_make_call(f"session-{number}") for number in range(_SESSIONS)]

    def choose(self, call: ClientCall) -> Candidate:
        """The candidate that one call would try first."""
        network = find_network(self.world, _CALLER, "sonnet", call, "chat", self.access)
        roads = lay_roads(network, "sonnet", call, "chat", self.world.snapshot, self.access, self.meter)
        return next(iter(roads.asked))

    def route(self, call: ClientCall, usage: Usage | None = _USAGE) -> None:
        """One call's way: chosen, begun, answered, finished."""
        candidate = self.choose(call)
        assert candidate.load is not None
        trip = self.traffic.begin(candidate.target, candidate.load)
        trip.answered()
        trip.finished(usage)

    def weary(self, part: float) -> None:
        """Let this part of the deployments rest."""
        error = UpstreamThrottled("rate limit", verdict="elsewhere", native="x", cooldown=3600.0)
        targets = list(self.world.targets.values())
        for target in targets[: int(part * len(targets))]:
            self.traffic.rests.failed(target.bucket, target.deployment_id, error, self.traffic.clock.monotonic())


def _sessions_at_home(scene: _Scene) -> Callable[[], None]:
    calls = _cycle(scene.calls)
    return lambda: scene.route(next(calls))


def _choice_alone(scene: _Scene) -> Callable[[], None]:
    calls = _cycle(scene.calls)
    for call in scene.calls:
        scene.route(call)

    def choose() -> None:
        scene.choose(next(calls))

    return choose


def _new_sessions(scene: _Scene) -> Callable[[], None]:
    numbers = iter(range(1 << 60))

    def route() -> None:
        call = scene.calls[0]
        call.session_id = f"new-{next(numbers)}"
        scene.route(call)

    return route


def _cycle(calls: list[ClientCall]) -> Iterator[ClientCall]:
    while True:
        yield from calls


def measure(route: Callable[[], None], calls: int, rounds: int = 7) -> float:
    """Microseconds of CPU time for each call: of some rounds the one that others on the machine disturbed least."""
    for _ in range(min(calls, _SESSIONS) * 10):
        route()
    figures: list[float] = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(calls):
            route()
        figures.append((time.process_time() - began) / calls * 1e6)
    return min(figures)


def _print_row(name: str, microseconds: float) -> None:
    print(f"| {name} | {microseconds:.1f} |")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.routing", description="What choosing a deployment costs."
    )
    parser.add_argument("--calls", type=int, default=20_000, help="calls in each of the seven rounds")
    calls = parser.parse_args().calls
    print("| choice | µs CPU |\n|---|---|")
    for deployments in (1, 50):
        size = "1 deployment" if deployments == 1 else f"{deployments} deployments"
        _print_row(f"{size}, the choice alone", measure(_choice_alone(_Scene(deployments, tpm=2**40)), calls))
        _print_row(f"{size}, sessions at home", measure(_sessions_at_home(_Scene(deployments, tpm=2**40)), calls))
        _print_row(f"{size}, new sessions", measure(_new_sessions(_Scene(deployments, tpm=2**40)), calls))
        _print_row(f"{size}, quotas not known", measure(_new_sessions(_Scene(deployments, tpm=None)), calls))
    resting = _Scene(50, tpm=2**40)
    resting.weary(0.5)
    _print_row("50 deployments, half of them at rest, new sessions", measure(_new_sessions(resting), calls))
    _print_row("50 deployments, all full", measure(_new_sessions(_Scene(50)), calls // 4))
    for strategy in ("simple-shuffle", "least-busy", "latency-based-routing", "usage-based-routing-v2"):
        scene = _Scene(50, strategy, tpm=2**40)
        _print_row(f"50 deployments, `{strategy}`", measure(_sessions_at_home(scene), calls // 4))


if __name__ == "__main__":
    main()
