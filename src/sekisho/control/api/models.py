"""Endpoints of models."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request

from sekisho.control.api.answers import Json
from sekisho.control.api.gate import caller_of
from sekisho.control.api.requests import Name
from sekisho.control.services import groups, listings, models
from sekisho.control.services.context import Services
from sekisho.core.errors import NotFound

_PAGING: Final = frozenset({"limit", "after_id", "before_id"})
_CLIENT_VERSION: Final = "client_version"
_NOT_HERE: Final = {"message": "Sekisho serves models, not Bedrock's control plane. GET /v1/models lists the models."}


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints that list models."""
    _add_listings(router, services)

    @router.get("/model/info", tags=["models"])
    @router.get("/v1/model/info", tags=["models"])
    async def describe_models(request: Request, litellm_model_id: Name | None = None) -> dict[str, Any]:
        """Show limits, abilities and prices of the models that the caller may use."""
        return models.describe_models(services, caller_of(request), litellm_model_id)

    @router.get("/v2/model/info", tags=["models"])
    async def page_models(
        request: Request,
        model: Name | None = None,
        model_id: Annotated[Name | None, Query(alias="modelId")] = None,
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        size: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> dict[str, Any]:
        """Show one page of what `/model/info` shows, of one model name if it is given."""
        return models.page_models(services, caller_of(request), model, model_id, page=page, size=size)

    @router.get("/model_group/info", tags=["models"])
    async def describe_groups(request: Request, model_group: Name | None = None) -> dict[str, Any]:
        """Show what the deployments behind each model name that the caller may use can do together."""
        return groups.describe_groups(services, caller_of(request), model_group)

    @router.get("/inference-profiles", include_in_schema=False)
    @router.get("/foundation-models", include_in_schema=False)
    @router.get("/bedrock/inference-profiles", include_in_schema=False)
    @router.get("/bedrock/foundation-models", include_in_schema=False)
    async def refuse_control_plane() -> Json:
        """Agents in Bedrock mode ask for these at their start and go on without."""
        headers = {"x-amzn-errortype": "ResourceNotFoundException"}
        return Json(_NOT_HERE, status_code=NotFound.status, headers=headers)


def _add_listings(router: APIRouter, services: Services) -> None:
    @router.get("/models", tags=["models"])
    @router.get("/v1/models", tags=["models"])
    @router.get("/anthropic/v1/models", tags=["models"])
    async def list_models(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=listings.PAGE)] = listings.PAGE,
        after_id: Name | None = None,
        before_id: Name | None = None,
    ) -> dict[str, Any]:
        """List the models that the caller may use, as Anthropic does for its clients and as OpenAI does for others."""
        caller = caller_of(request)
        if _speaks_anthropic(request):
            return listings.list_for_anthropic(services, caller, limit=limit, after=after_id, before=before_id)
        if _CLIENT_VERSION in request.query_params:
            return listings.list_for_codex(services, caller)
        return listings.list_for_openai(services, caller)

    @router.get("/models/{model:path}", tags=["models"])
    @router.get("/v1/models/{model:path}", tags=["models"])
    @router.get("/anthropic/v1/models/{model:path}", tags=["models"])
    async def show_model(request: Request, model: Name) -> dict[str, Any]:
        """Show one model that the caller may use, in the same shapes."""
        show = listings.show_for_anthropic if _speaks_anthropic(request) else listings.show_for_openai
        return show(services, caller_of(request), model)


def _speaks_anthropic(request: Request) -> bool:
    """By the header that Anthropic's clients must send, or by its paging, which OpenAI's list does not have."""
    if request.url.path.startswith("/anthropic/") or "anthropic-version" in request.headers:
        return True
    return not _PAGING.isdisjoint(request.query_params)
