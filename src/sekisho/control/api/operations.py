"""Endpoints for the operation of the gateway."""

from typing import Any

from fastapi import APIRouter

from sekisho.control.api.requests import Name
from sekisho.control.services.context import Services
from sekisho.control.services.health import describe_health
from sekisho.control.services.reloading import reload_configuration


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints that operators use."""

    @router.get("/health", tags=["operations"])
    async def health(model: Name | None = None, model_id: Name | None = None) -> dict[str, Any]:
        """Show which deployments answer.

        Each is called for one token of output, unless the configuration has them checked in the background.
        """
        return await describe_health(services, model, model_id)

    @router.post("/config/reload", tags=["operations"])
    async def reload() -> dict[str, Any]:
        """Read the files of the configuration anew; calls under way keep what they began with."""
        return await reload_configuration(services)
