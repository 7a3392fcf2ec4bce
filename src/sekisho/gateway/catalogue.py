"""The models on offer, for the admin API."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sekisho.config.added import without_secrets
from sekisho.config.snapshot import Deployment
from sekisho.core.catalogue import BrokenModel, ModelEntry
from sekisho.gateway.roads import World
from sekisho.store.records import AddedModel


class Catalogue:
    """See `core.catalogue.ModelCatalogue`. `world` gives the configuration in use now."""

    def __init__(self, world: Callable[[], World]) -> None:
        self._world = world
        self._described: tuple[World, list[ModelEntry]] | None = None

    def entries(self) -> Sequence[ModelEntry]:
        """One entry per deployment that can be called."""
        world = self._world()
        if self._described is None or self._described[0] is not world:
            self._described = (world, _describe(world))
        return self._described[1]

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


def _describe(world: World) -> list[ModelEntry]:
    return [
        ModelEntry(
            model_name=deployment.model_name,
            deployment_id=deployment.id,
            upstream_model=deployment.model,
            provider=target.provider,
            facts=target.facts,
            price=target.price,
            mode="chat" if "chat" in target.dialects else "embedding",
            **_own_words(deployment, world.added),
        )
        for deployment in world.snapshot.deployments
        if (target := world.targets.get(deployment.id)) is not None
    ]


def _own_words(deployment: Deployment, added: Mapping[str, AddedModel]) -> dict[str, Any]:
    """What was written of a deployment; the variables that an added one names are not looked up."""
    model = added.get(deployment.id)
    if model is None:
        return {"params": without_secrets(deployment.params)}
    return {"params": without_secrets(model.litellm_params), "added": True, "info": _information(model)}


def _information(model: AddedModel) -> dict[str, object]:
    return {**model.model_info, "created_by": model.created_by, "updated_by": model.updated_by}
