"""Endpoints of access groups."""

from typing import Any

from fastapi import APIRouter, Request

from sekisho.control.api.gate import caller_of
from sekisho.control.api.level_requests import (
    AccessGroupFields,
    AccessGroupReference,
    NewAccessGroup,
    UpdateAccessGroup,
)
from sekisho.control.api.requests import Name
from sekisho.control.services import access_groups
from sekisho.control.services.context import Services


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints under `/access_group`, with the name in the path as in LiteLLM, or in the body or query."""
    _add_changes(router, services)

    @router.get("/access_group/list", tags=["access groups"])
    async def list_access_groups() -> dict[str, Any]:
        """List every access group."""
        return await access_groups.list_access_groups(services)

    @router.get("/access_group/info", tags=["access groups"])
    async def show_named_access_group(access_group: Name) -> dict[str, Any]:
        """Show an access group."""
        return await access_groups.show_access_group(services, access_group)

    @router.get("/access_group/{access_group}/info", tags=["access groups"])
    async def show_access_group(access_group: Name) -> dict[str, Any]:
        """Show an access group."""
        return await access_groups.show_access_group(services, access_group)


def _add_changes(router: APIRouter, services: Services) -> None:
    @router.post("/access_group/new", tags=["access groups"])
    async def create_access_group(request: Request, body: NewAccessGroup) -> dict[str, Any]:
        """Make an access group: a name for several models, which lists of models may use."""
        return await access_groups.create_access_group(services, caller_of(request), body.fields())

    @router.post("/access_group/update", tags=["access groups"])
    async def update_named_access_group(request: Request, body: UpdateAccessGroup) -> dict[str, Any]:
        """Replace the models of an access group, for every list that names it."""
        fields = body.fields()
        return await access_groups.update_access_group(services, caller_of(request), fields.pop("access_group"), fields)

    @router.put("/access_group/{access_group}/update", tags=["access groups"])
    async def update_access_group(request: Request, access_group: Name, body: AccessGroupFields) -> dict[str, Any]:
        """Replace the models of an access group, for every list that names it."""
        return await access_groups.update_access_group(services, caller_of(request), access_group, body.fields())

    @router.post("/access_group/delete", tags=["access groups"])
    async def delete_named_access_group(body: AccessGroupReference) -> dict[str, Any]:
        """Delete an access group: lists that name it allow nothing by it any more."""
        return await access_groups.delete_access_group(services, body.access_group)

    @router.delete("/access_group/{access_group}/delete", tags=["access groups"])
    async def delete_access_group(access_group: Name) -> dict[str, Any]:
        """Delete an access group: lists that name it allow nothing by it any more."""
        return await access_groups.delete_access_group(services, access_group)
