"""Endpoints of models."""

from typing import Any

from fastapi import APIRouter, Request

from sekisho.control.api.gate import caller_of
from sekisho.control.api.requests import Name
from sekisho.control.services import models
from sekisho.control.services.context import Services


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints that list models."""

    @router.get("/models", tags=["models"])
    @router.get("/v1/models", tags=["models"])
    async def list_models(request: Request) -> dict[str, Any]:
        """List the models that the caller may use, as OpenAI does."""
        return models.list_models(services, caller_of(request))

    @router.get("/model/info", tags=["models"])
    @router.get("/v1/model/info", tags=["models"])
    async def describe_models(request: Request, litellm_model_id: Name | None = None) -> dict[str, Any]:
        """Show limits, abilities and prices of the models that the caller may use."""
        return models.describe_models(services, caller_of(request), litellm_model_id)
