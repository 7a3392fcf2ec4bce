"""The gateway as far as roads are concerned: the product's own code from `find_network` to the last attempt's end."""

from collections.abc import Mapping
from contextlib import nullcontext
from random import Random
from typing import cast

from msgspec import Struct

from sekisho.config.snapshot import Snapshot
from sekisho.core.caller import Caller
from sekisho.core.chat import ChatRequest, ClientCall
from sekisho.core.clock import Clock
from sekisho.core.usage import Usage
from sekisho.gateway.attempts import Attempts
from sekisho.gateway.meter import Meter
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.gateway.queueing import Queue
from sekisho.gateway.record import CallRecord
from sekisho.gateway.roads import World, find_network, lay_roads
from sekisho.gateway.traffic import Traffic
from sekisho.gateway.ways import Candidate, Roads
from sekisho.http.client import UpstreamClient
from sekisho.ledger.estimate import Estimator
from tests.simulation.bedrock import FACTS, Bedrock, Place, Prompt
from tests.support.ended import ENDPOINT
from tests.support.routing import StillRoad, make_deployment, make_target

GROUP = "sonnet"
PINNED = "perfect stickiness"
"""Every session stays at one deployment, whatever comes: a yardstick, not a strategy."""


class Served(Struct, frozen=True):
    """How one call went that was answered. began: seconds since the epoch when the deployment took it."""

    place: str
    usage: Usage
    cost: int
    began: float


class Gateway:
    """One process of it, in front of these places.

    known: whether the configuration states their quotas. queued: whether calls may wait while all are full.
    """

    def __init__(
        self,
        places: Mapping[str, Place],
        bedrock: Bedrock,
        strategy: str,
        clock: Clock,
        *,
        known: bool,
        queued: bool,
        random: Random,
    ) -> None:
        self._bedrock = bedrock
        self._clock = clock
        self._pinned = strategy == PINNED
        self._world = _make_world(places, "headroom" if self._pinned else strategy, known=known)
        self._traffic = Traffic(clock)
        self._queue = Queue(self._traffic)
        self._queued = queued
        self._access = UpstreamAccess(cast(UpstreamClient, None), {}, self._traffic, self._queue, random)
        self._estimator = Estimator()

    async def serve(self, prompt: Prompt, team: str, agent: str, request_bytes: int) -> Served:
        """Have one call answered. Raises SekishoError: what the agent is told."""
        caller = Caller(role="internal_user", key_hash=agent, team_id=team)
        record = CallRecord(clock=self._clock, endpoint=ENDPOINT, client_ip=None, caller=caller, requested=GROUP)
        meter = Meter(self._estimator)
        meter.owner, meter.request_bytes = caller.owner, request_bytes
        call = _make_call(prompt)
        network = find_network(self._world, caller, GROUP, call, "chat", self._access)
        roads = lay_roads(network, GROUP, call, "chat", self._world.snapshot, self._access, meter)
        attempts: Attempts[tuple[str, Usage, float]] = Attempts(
            try_once=lambda candidate: self._try_once(candidate, prompt, meter),
            call=call,
            snapshot=self._world.snapshot,
            access=self._access,
            meter=meter,
            record=record,
            keep_open=nullcontext if self._queued else None,
        )
        if self._pinned:
            roads = self._pin(roads, prompt.session)
        place, usage, began = await attempts.first_that_succeeds(roads)
        await self._bedrock.quarters[place].end(prompt, usage, began)
        meter.report(usage)
        attempts.finish()
        return Served(place, usage, meter.cost or 0, began)

    async def _try_once(self, candidate: Candidate, prompt: Prompt, meter: Meter) -> tuple[str, Usage, float]:
        target = candidate.target
        meter.taken_by(target)
        place = target.deployment_id
        began, usage = await self._bedrock.quarters[place].begin(prompt)
        return place, usage, began

    def _pin(self, roads: Roads, session: str) -> Roads:
        """Leave the one deployment that the session's name decides on."""
        number = Random(session).randrange(len(self._world.snapshot.deployments))
        deployment = self._world.snapshot.deployments[number]
        target = self._world.targets[deployment.id]
        (load,) = {candidate.load for candidate in roads.asked}
        return Roads(StillRoad(GROUP, [Candidate(deployment, target, load=load)], (target,)))


def _make_call(prompt: Prompt) -> ClientCall:
    def read() -> ChatRequest:
        raise NotImplementedError("Roads of one model are chosen without reading the conversation.")

    return ClientCall(
        model=GROUP,
        body=b"",
        family="openai",
        path="/",
        read=read,
        session_id=prompt.session,
        max_output_tokens=prompt.ceiling,
    )


def _make_world(places: Mapping[str, Place], strategy: str, *, known: bool) -> World:
    deployments = tuple(
        make_deployment(name, GROUP, tpm=place.quota if known else None) for name, place in places.items()
    )
    targets = {
        name: make_target(
            name,
            bucket=f"{place.account}|{place.region}|claude",
            account=place.account,
            region=place.region,
            price=place.price,
            facts=FACTS,
        )
        for name, place in places.items()
    }
    snapshot = Snapshot(deployments=deployments, groups={GROUP: deployments}, routing_strategy=strategy)
    return World(snapshot, targets)
