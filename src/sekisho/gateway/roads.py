"""From the plan of a route to targets that can be called."""

from collections.abc import Mapping
from random import Random

from msgspec import Struct

from sekisho.config.snapshot import Snapshot
from sekisho.core.caller import Caller
from sekisho.core.chat import ClientCall
from sekisho.core.errors import UpstreamMisconfigured
from sekisho.core.wire import Target
from sekisho.gateway.attempts import Candidate, Road
from sekisho.gateway.cooldowns import Cooldowns
from sekisho.policy.routing import Stage, plan_roads


class World(Struct, frozen=True):
    """One configuration in use: the snapshot, and the target of every deployment that can be called, by its id."""

    snapshot: Snapshot
    targets: Mapping[str, Target]


def find_roads(
    world: World, caller: Caller, group: str, call: ClientCall, cooldowns: Cooldowns, random: Random
) -> list[Road]:
    """The roads for a call. Raises UpstreamMisconfigured when no deployment of the model works as configured."""

    def resting(deployment_id: str) -> float:
        target = world.targets.get(deployment_id)
        return cooldowns.remaining(target.bucket) if target is not None else 0.0

    stages = plan_roads(world.snapshot, caller, group, call.fallbacks, resting, random)
    roads = [road for stage in stages if (road := _pave(world, stage)).candidates]
    if not roads:
        message = f"No deployment of '{group}' can be called as configured; the administrator's log says why."
        raise UpstreamMisconfigured(message, verdict="never", native="no_deployment")
    return roads


def _pave(world: World, stage: Stage) -> Road:
    candidates = (
        Candidate(deployment, world.targets[deployment.id])
        for deployment in stage.deployments
        if deployment.id in world.targets
    )
    return Road(stage.group, tuple(candidates))
