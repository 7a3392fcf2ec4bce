"""Endpoints of tags."""

from typing import Any

from fastapi import APIRouter, Request, Response

from sekisho.control.api.gate import caller_of
from sekisho.control.api.level_requests import TagFields, TagReference, TagReferences
from sekisho.control.api.notes import note_without_effect
from sekisho.control.api.requests import Page, PageSize
from sekisho.control.services import tags
from sekisho.control.services.context import Services
from sekisho.control.services.unenforced import LEVEL_EXTRAS


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints under `/tag`."""

    @router.post("/tag/new", tags=["tags"])
    async def create_tag(request: Request, response: Response, body: TagFields) -> dict[str, Any]:
        """Make a tag known, with limits over all calls that carry it."""
        note_without_effect(response, body.fields(), LEVEL_EXTRAS)
        return await tags.create_tag(services, caller_of(request), body.fields())

    @router.post("/tag/update", tags=["tags"])
    async def update_tag(request: Request, response: Response, body: TagFields) -> dict[str, Any]:
        """Change some fields of a tag."""
        note_without_effect(response, body.fields(), LEVEL_EXTRAS)
        return await tags.update_tag(services, caller_of(request), body.fields())

    @router.post("/tag/info", tags=["tags"])
    async def show_tags(body: TagReferences) -> dict[str, Any]:
        """Show tags by name, with their spend."""
        return await tags.show_tags(services, body.names)

    @router.get("/tag/list", tags=["tags"])
    async def list_tags(page: Page = 1, page_size: PageSize | None = None) -> list[dict[str, Any]]:
        """List the tags that are known: all, or one page of `page_size`."""
        return await tags.list_tags(services, page=page, size=page_size)

    @router.post("/tag/delete", tags=["tags"])
    async def delete_tag(body: TagReference) -> dict[str, Any]:
        """Forget a tag: it has no limits then, and nothing spent. Usage rows stay."""
        return await tags.delete_tag(services, body.name)
