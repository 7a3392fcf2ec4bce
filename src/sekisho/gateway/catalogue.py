"""The models on offer, for the admin API."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sekisho.config.added import without_secrets
from sekisho.config.snapshot import Deployment
from sekisho.core.catalogue import BrokenModel, DeploymentState, Milliseconds, ModelEntry
from sekisho.core.model import ModelFacts
from sekisho.core.target import Target
from sekisho.gateway.roads import World
from sekisho.gateway.traffic import LatencyState, RoadState, Traffic
from sekisho.policy.wildcards import ANY
from sekisho.store.records import AddedModel


class Catalogue:
    """See `core.catalogue.ModelCatalogue`. `world` gives the configuration in use now, `traffic` how it fares."""

    def __init__(self, world: Callable[[], World], traffic: Traffic) -> None:
        self._world = world
        self._traffic = traffic
        self._described: tuple[World, list[ModelEntry]] | None = None

    def entries(self) -> Sequence[ModelEntry]:
        """One entry per deployment that can be called."""
        world = self._world()
        if self._described is None or self._described[0] is not world:
            self._described = (world, _describe(world, world.snapshot.deployments))
        return self._described[1]

    def aliases(self) -> Mapping[str, Sequence[ModelEntry]]:
        """The other names of models that lists of models show, and the deployments that they stand for."""
        world = self._world()
        snapshot = world.snapshot
        return {
            alias: _describe(world, snapshot.groups.get(name, ()))
            for alias, name in snapshot.model_group_alias.items()
            if alias not in snapshot.hidden_aliases
        }

    def state(self, deployment_id: str) -> DeploymentState | None:
        """What this process knows of a deployment; None when it cannot be called."""
        target = self._world().targets.get(deployment_id)
        return None if target is None else _describe_state(target, self._traffic.state(target))

    def broken(self) -> Sequence[BrokenModel]:
        """One per deployment that cannot."""
        world = self._world()
        found = [
            BrokenModel(
                model_name=deployment.model_name,
                deployment_id=deployment.id,
                problem=problem,
                params=without_secrets(deployment.params),
            )
            for deployment in world.snapshot.deployments
            if (problem := world.problems.get(deployment.id)) is not None
        ]
        found += [
            BrokenModel(
                model_name=model.model_name,
                deployment_id=identity,
                problem=world.problems[identity],
                params=without_secrets(model.litellm_params),
                added=True,
                info=_information(model),
            )
            for identity, model in world.added.items()
            if identity in world.problems
        ]
        return found


def _describe(world: World, deployments: Iterable[Deployment]) -> list[ModelEntry]:
    entries: list[ModelEntry] = []
    for deployment in deployments:
        target = world.targets.get(deployment.id)
        if target is not None:
            entries.append(_describe_one(deployment, target, world.added))
        elif ANY in deployment.model_name and deployment.id not in world.problems:
            entries.append(_describe_wildcard(deployment, world.added))
    return entries


def _describe_one(deployment: Deployment, target: Target, added: Mapping[str, AddedModel]) -> ModelEntry:
    return ModelEntry(
        model_name=deployment.model_name,
        deployment_id=deployment.id,
        upstream_model=deployment.model,
        provider=target.provider,
        facts=target.facts,
        price=target.price,
        mode="chat" if "chat" in target.dialects else "embedding",
        **_own_words(deployment, added),
    )


def _describe_wildcard(deployment: Deployment, added: Mapping[str, AddedModel]) -> ModelEntry:
    """What stands for many models; nothing is known of them before they are asked for."""
    return ModelEntry(
        model_name=deployment.model_name,
        deployment_id=deployment.id,
        upstream_model=deployment.model,
        provider=deployment.model.partition("/")[0],
        facts=ModelFacts(),
        price=None,
        **_own_words(deployment, added),
    )


def _describe_state(target: Target, state: RoadState) -> DeploymentState:
    return DeploymentState(
        account=target.account,
        region=target.region,
        in_flight=state.in_flight,
        used_tokens=state.used_tokens,
        used_requests=state.used_requests,
        quota_tokens=state.quota.tokens,
        quota_requests=state.quota.requests,
        room=state.room,
        first_token=_milliseconds(state.first_token),
        token=_milliseconds(state.token),
        rest=state.rest.kind,
        rest_seconds=state.rest.seconds,
        rest_reason=state.rest.reason,
        last_error=state.last_error,
        last_error_at=state.last_error_at,
    )


def _milliseconds(latency: LatencyState | None) -> Milliseconds | None:
    return None if latency is None else Milliseconds(latency.average, latency.p50, latency.p95)


def _own_words(deployment: Deployment, added: Mapping[str, AddedModel]) -> dict[str, Any]:
    """What was written of a deployment; the variables that an added one names are not looked up."""
    model = added.get(deployment.id)
    if model is None:
        return {"params": without_secrets(deployment.params)}
    return {"params": without_secrets(model.litellm_params), "added": True, "info": _information(model)}


def _information(model: AddedModel) -> dict[str, object]:
    return {**model.model_info, "created_by": model.created_by, "updated_by": model.updated_by}
