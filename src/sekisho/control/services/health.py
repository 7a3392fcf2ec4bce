"""Which deployments answer, as LiteLLM tells it."""

from typing import Any

from sekisho.control.services.context import Services
from sekisho.control.services.views import View, iso
from sekisho.core.catalogue import DeploymentHealth
from sekisho.core.errors import NotFound


async def describe_health(services: Services, model: str | None, deployment_id: str | None) -> View:
    """The deployments that answer and those that do not, of all models or of one.

    Raises:
        NotFound: there is no such model or deployment.
    """
    deployments = services.worlds.snapshot.deployments
    for name, given, known in (
        ("model", model, {one.model_name for one in deployments} | {one.model for one in deployments}),
        ("model_id", deployment_id, {one.id for one in deployments}),
    ):
        if given is not None and given not in known:
            raise NotFound(f"There is no {name} {given!r}. See /model/info for those there are.", param=name)
    found = await services.health.find(model, deployment_id)
    details = services.worlds.snapshot.health.details
    views = [(_view(health, details=details), health.error is None) for health in found]
    healthy = [view for view, fine in views if fine]
    unhealthy = [view for view, fine in views if not fine]
    return {
        "healthy_endpoints": healthy,
        "unhealthy_endpoints": unhealthy,
        "healthy_count": len(healthy),
        "unhealthy_count": len(unhealthy),
    }


def _view(health: DeploymentHealth, *, details: bool) -> dict[str, Any]:
    if not details:
        return {"model": health.model}
    view: dict[str, Any] = {
        **health.params,
        "model": health.model,
        "model_name": health.model_name,
        "model_id": health.deployment_id,
        "checked_at": iso(health.checked_at),
        "response_time_ms": health.milliseconds,
    }
    return view if health.error is None else {**view, "error": health.error}
