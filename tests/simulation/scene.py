"""One run: forty agents do their work through the gateway; what they and the bill have seen of it."""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random

from msgspec import Struct

from sekisho.core.errors import SekishoError
from tests.simulation.agents import Agent, Step, make_agents
from tests.simulation.bedrock import Bedrock, Place, Prompt, Window, price_of
from tests.simulation.gateway import Gateway, Served
from tests.simulation.loop import VirtualLoop, run_virtually

_BACK_AFTER = 20.0
"""Seconds after which an interrupted developer tries the same step again."""
_CACHE_SECONDS = 300.0

_REGIONS = (("us-east-1", 1.2, 3.0, 1.0), ("us-west-2", 1.0, 3.0, 1.1), ("ap-northeast-1", 0.8, 3.3, 0.95))
"""Name, share of quota, dollars for a million tokens of input, slowness. Tokyo's own profile costs a tenth more."""
_ACCOUNTS = ("account-a", "account-b", "account-c")
PLACES = len(_REGIONS) * len(_ACCOUNTS)


class Regime(Struct, frozen=True, kw_only=True):
    """How a run is played.

    quota: tokens per minute of a deployment, on average; None for no end of them. window: how they refill. minutes: how
    much work each agent has. known: whether the configuration states the quotas. queued: whether calls may wait.
    """

    quota: int | None
    window: Window = "minute"
    minutes: float = 12.0
    known: bool = True
    queued: bool = True
    seed: int = 7


class Figures(Struct):
    """What one run has shown. Tokens, nano-dollars, seconds.

    cacheable: what the cache would have given, had there been one for all places. waits: of each step that was done,
    from its first request until a deployment took it. most_used: the most that counted in all quotas at any time.
    by_minute: what was kept in all quotas, by minute.
    """

    strategy: str
    steps: int = 0
    requests: int = 0
    interrupted: int = 0
    refused: int = 0
    read: int = 0
    cacheable: int = 0
    cost: int = 0
    waits: dict[str, list[float]] = {}
    finished: float = 0.0
    most_used: float = 0.0
    by_minute: dict[int, int] = {}

    @property
    def interrupted_part(self) -> float:
        return self.interrupted / self.requests

    @property
    def hit_part(self) -> float:
        return self.read / self.cacheable

    @property
    def attempts_per_request(self) -> float:
        return (self.steps + self.refused) / self.requests

    def wait(self, part: float | None = None) -> float:
        """What this part (0 to 1) of the waits did not exceed; None for their average."""
        waits = sorted(wait for waits in self.waits.values() for wait in waits)
        if part is None:
            return sum(waits) / len(waits)
        return waits[min(len(waits) - 1, int(part * len(waits)))]


def make_places(quota: int | None) -> Mapping[str, Place]:
    """Three accounts in three regions; the regions' quotas differ as they do at AWS."""
    places = [
        Place(account, region, None if quota is None else int(quota * part), price_of(dollars), slowness)
        for region, part, dollars, slowness in _REGIONS
        for account in _ACCOUNTS
    ]
    return {place.name: place for place in places}


def play(strategy: str, regime: Regime) -> Figures:
    """One run by one strategy."""
    return run_virtually(lambda clock: _play(clock, strategy, regime))


async def _play(clock: VirtualLoop, strategy: str, regime: Regime) -> Figures:
    places = make_places(regime.quota)
    bedrock = Bedrock(places, clock, regime.window)
    gateway = Gateway(
        places, bedrock, strategy, clock, known=regime.known, queued=regime.queued, random=Random(regime.seed)
    )
    scene, began = _Scene(gateway, clock, strategy), clock.now()
    await asyncio.gather(*(scene.work(agent) for agent in make_agents(regime.seed, regime.minutes)))
    figures = scene.figures
    figures.finished = clock.now() - began
    figures.refused, figures.most_used = bedrock.refused, bedrock.most_used
    for quarter in bedrock.quarters.values():
        for minute, tokens in quarter.used_by_minute.items():
            figures.by_minute[minute] = figures.by_minute.get(minute, 0) + tokens
    return figures


class _Scene:
    def __init__(self, gateway: Gateway, clock: VirtualLoop, strategy: str) -> None:
        self.figures = Figures(strategy)
        self._gateway = gateway
        self._clock = clock
        self._cached: dict[str, tuple[int, float]] = {}

    async def work(self, agent: Agent) -> None:
        """Do all of an agent's steps, one after the other."""
        await asyncio.sleep(agent.begins)
        await self._follow(agent, agent.steps)

    async def _follow(self, agent: Agent, steps: Sequence[Step]) -> None:
        for step in steps:
            await self._do(agent, step)
            helpers = [self._follow(agent, helper) for helper in step.helpers]
            await asyncio.gather(asyncio.sleep(step.pause), *helpers)

    async def _do(self, agent: Agent, step: Step) -> None:
        """Do one step, however often it takes."""
        figures, asked_at = self.figures, self._clock.now()
        prompt = Prompt(step.session, step.prompt, step.output, step.ceiling)
        request_bytes = int(step.prompt * agent.bytes_per_token)
        while True:
            figures.requests += 1
            try:
                served = await self._gateway.serve(prompt, agent.team, agent.name, request_bytes)
            except SekishoError:
                figures.interrupted += 1
                await asyncio.sleep(_BACK_AFTER)
            else:
                break
        self._count(agent, step, served, served.began - asked_at)

    def _count(self, agent: Agent, step: Step, served: Served, wait: float) -> None:
        figures, usage = self.figures, served.usage
        figures.steps += 1
        figures.read += usage.cache_read
        figures.cost += served.cost
        figures.waits.setdefault(agent.team, []).append(wait)
        cached, until = self._cached.get(step.session, (0, 0.0))
        if until > served.began:
            figures.cacheable += cached
        self._cached[step.session] = (usage.prompt - usage.input, self._clock.now() + _CACHE_SECONDS)
