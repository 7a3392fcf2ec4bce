"""Endpoints of fallbacks."""

from typing import Any

from fastapi import APIRouter, Request

from sekisho.control.api.gate import caller_of
from sekisho.control.api.model_requests import FallbackType, SetFallbacks
from sekisho.control.api.requests import Name
from sekisho.control.services import fallbacks
from sekisho.control.services.context import Services


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints under `/fallback`. A model's name may have slashes."""

    @router.post("/fallback", tags=["models"])
    async def set_fallbacks(request: Request, body: SetFallbacks) -> dict[str, Any]:
        """Set the models that stand in for a model when it fails."""
        caller = caller_of(request)
        return await fallbacks.set_fallbacks(services, caller, body.model, body.fallback_models, body.fallback_type)

    @router.get("/fallback/{model:path}", tags=["models"])
    async def show_fallbacks(model: Name, fallback_type: FallbackType = "general") -> dict[str, Any]:
        """Show the models that stand in for a model."""
        return fallbacks.show_fallbacks(services, model, fallback_type)

    @router.delete("/fallback/{model:path}", tags=["models"])
    async def delete_fallbacks(model: Name, fallback_type: FallbackType = "general") -> dict[str, Any]:
        """Take the fallbacks of a model away; those of the configuration file count again."""
        return await fallbacks.delete_fallbacks(services, model, fallback_type)
