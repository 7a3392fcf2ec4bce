"""Deployments and targets for tests of the choice among them, with nothing behind them."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, cast

from msgspec import Struct

from sekisho.config.snapshot import Deployment, Snapshot
from sekisho.core.clock import ManualClock
from sekisho.core.model import ModelFacts
from sekisho.core.money import Price, Rates
from sekisho.core.target import Target
from sekisho.gateway.ways import Candidate
from sekisho.policy.routing.fleet import Fleet
from sekisho.policy.routing.lane import Lanes
from sekisho.policy.routing.load import Load
from sekisho.policy.routing.plan import Chosen, line_up
from sekisho.policy.routing.strategies import Ask

SONNET = Price("test", Rates(3 * 10**9, 15 * 10**9, 3 * 10**8, 375 * 10**7, 6 * 10**9))
DEARER = Price("test", Rates(33 * 10**8, 165 * 10**8, 33 * 10**7, 4125 * 10**6, 66 * 10**8))
"""A tenth more, as regional profiles cost."""
_CHAT: Mapping[str, Sequence[str]] = MappingProxyType({"chat": ("bedrock_converse",)})


class StillTarget(Struct, frozen=True, kw_only=True):
    """A target that can be looked at, but not be called."""

    deployment_id: str
    bucket: str
    model_name: str = "sonnet"
    provider: str = "bedrock"
    upstream_model: str = "us.anthropic.claude"
    dialects: Mapping[str, Sequence[str]] = _CHAT
    facts: ModelFacts = ModelFacts(max_output_tokens=64_000, burndown=5)
    price: Price | None = SONNET
    account: str | None = "1"
    region: str | None = "us-east-1"
    simulated: bool = True


class StillRoad(Struct, frozen=True):
    """A road on which these candidates stand."""

    group: str
    candidates: Sequence[Candidate]
    targets: Sequence[Target] = ()

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.candidates)

    def everyone(self) -> Sequence[Candidate]:
        return ()


def make_deployment(name: str, group: str = "sonnet", **more: Any) -> Deployment:
    """A deployment whose id is its name."""
    model = f"bedrock/converse/us.{name}"
    return Deployment(id=name, model_name=group, model=model, params={}, model_info={}, where="x:1", **more)


def make_target(name: str, **more: Any) -> Target:
    """The target of the deployment of this name, with a quota of its own."""
    return cast(Target, StillTarget(**{"deployment_id": name, "bucket": f"bucket-{name}", **more}))


def make_snapshot(*deployments: Deployment, **more: Any) -> Snapshot:
    """A snapshot of these deployments."""
    groups: dict[str, tuple[Deployment, ...]] = {}
    for deployment in deployments:
        groups[deployment.model_name] = (*groups.get(deployment.model_name, ()), deployment)
    return Snapshot(deployments=deployments, groups=groups, **more)


class Choice:
    """A fleet and what is known of it, for calls to choose among.

    The deployments are given by their names, each with its fields; `prices` are by name.
    """

    def __init__(
        self,
        deployments: Mapping[str, Mapping[str, Any]],
        prices: Mapping[str, Price | None] | None = None,
        seed: int = 1,
    ) -> None:
        self.clock = ManualClock()
        self.lanes = Lanes()
        self.random = Random(seed)
        given = prices or {}
        self.targets = {name: make_target(name, price=given.get(name, SONNET)) for name in deployments}
        self.fleet = Fleet([(make_deployment(name, **more), self.targets[name]) for name, more in deployments.items()])

    @property
    def now(self) -> float:
        """The time, monotonic."""
        return self.clock.monotonic()

    def line_up(self, load: Load, strategy: str = "headroom", **args: float) -> list[Chosen]:
        """All that a call tries, in order."""
        ask = Ask(self.lanes, self.fleet, load, self.clock, self.random, args)
        return list(line_up(ask, strategy))

    def names(self, load: Load, strategy: str = "headroom", **args: float) -> list[str]:
        """The same by their names."""
        return [chosen.option.id for chosen in self.line_up(load, strategy, **args)]

    def use(self, name: str, tokens: int, requests: int = 1) -> None:
        """Let so much of a deployment's quota be used now."""
        self.lanes.headroom(f"bucket-{name}").add_foreign(tokens, requests, self.now, self.now)
