"""From the plan of a route to targets that can be called."""

from collections.abc import Mapping

from msgspec import Struct

from sekisho.config.snapshot import Snapshot
from sekisho.core.caller import Caller
from sekisho.core.chat import ClientCall
from sekisho.core.errors import Unsupported, UpstreamMisconfigured
from sekisho.core.target import Target
from sekisho.core.wire import Operation
from sekisho.gateway.attempts import Candidate, Road
from sekisho.gateway.outbound import UpstreamAccess
from sekisho.policy.routing import Stage, chance_of_session, plan_roads
from sekisho.store.records import AddedModel


class World(Struct, frozen=True):
    """One configuration in use, which serves a call for its whole life.

    targets: of every deployment that can be called, by its id. problems: what is wrong with the others, by their ids.
    added: the models among the deployments that were added while the gateway ran, by their ids.
    """

    snapshot: Snapshot
    targets: Mapping[str, Target]
    problems: Mapping[str, str] = {}
    added: Mapping[str, AddedModel] = {}


def find_roads(
    world: World, caller: Caller, group: str, call: ClientCall, operation: Operation, access: UpstreamAccess
) -> list[Road]:
    """The roads for a call.

    Raises Unsupported when the model does something else than what is asked, UpstreamMisconfigured when none of its
    deployments works as configured.
    """

    def resting(deployment_id: str) -> float:
        target = world.targets.get(deployment_id)
        return access.cooldowns.remaining(target.bucket) if target is not None else 0.0

    chance = chance_of_session(call.session_id) if call.session_id else lambda _: access.random.random()
    stages = plan_roads(world.snapshot, caller, group, call.fallbacks, resting, chance)
    paved = [_pave(world, stage) for stage in stages]
    if not any(road.candidates for road in paved):
        message = f"No deployment of '{group}' can be called as configured; the administrator's log says why."
        raise UpstreamMisconfigured(message, verdict="never", native="no_deployment")
    # What cannot be counted by a model of conversations is estimated.
    needed: Operation = "embeddings" if operation == "embeddings" else "chat"
    roads = [kept for road in paved if (kept := _keep_those_that(needed, road)).candidates]
    if not roads:
        does = "answer conversations" if needed == "chat" else "make embeddings"
        raise Unsupported(f"The model '{group}' does not {does}. Choose one that does.", param="model")
    return roads


def _pave(world: World, stage: Stage) -> Road:
    candidates = (
        Candidate(deployment, world.targets[deployment.id])
        for deployment in stage.deployments
        if deployment.id in world.targets
    )
    return Road(stage.group, tuple(candidates))


def _keep_those_that(operation: Operation, road: Road) -> Road:
    return Road(road.group, tuple(each for each in road.candidates if operation in each.target.dialects))
