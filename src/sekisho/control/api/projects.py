"""Endpoints of projects."""

from typing import Any

from fastapi import APIRouter, Request, Response

from sekisho.control.api.gate import caller_of
from sekisho.control.api.level_requests import DeleteProjects, NewProject, UpdateProject
from sekisho.control.api.notes import note_without_effect
from sekisho.control.api.requests import Name, Page, PageSize
from sekisho.control.services import projects
from sekisho.control.services.context import Services
from sekisho.control.services.unenforced import LEVEL_EXTRAS


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints under `/project`. LiteLLM's DELETE is served as POST too."""

    @router.post("/project/new", tags=["projects"])
    async def create_project(request: Request, response: Response, body: NewProject) -> dict[str, Any]:
        """Make a project of a team, with limits of its own."""
        note_without_effect(response, body.fields(), LEVEL_EXTRAS)
        return await projects.create_project(services, caller_of(request), body.fields())

    @router.get("/project/info", tags=["projects"])
    async def show_project(request: Request, project_id: Name) -> dict[str, Any]:
        """Show a project with its spend."""
        return await projects.show_project(services, caller_of(request), project_id)

    @router.get("/project/list", tags=["projects"])
    async def list_projects(
        request: Request, team_id: Name | None = None, page: Page = 1, page_size: PageSize | None = None
    ) -> list[dict[str, Any]]:
        """List the projects that the caller may see: all, or one page of `page_size`."""
        return await projects.list_projects(services, caller_of(request), team_id, page=page, size=page_size)

    @router.post("/project/update", tags=["projects"])
    async def update_project(request: Request, response: Response, body: UpdateProject) -> dict[str, Any]:
        """Change some fields of a project."""
        note_without_effect(response, body.fields(), LEVEL_EXTRAS)
        fields = body.fields()
        return await projects.update_project(services, caller_of(request), fields.pop("project_id"), fields)

    @router.delete("/project/delete", tags=["projects"])
    @router.post("/project/delete", tags=["projects"])
    async def delete_projects(request: Request, body: DeleteProjects) -> list[dict[str, Any]]:
        """Delete projects that have no keys, all or none."""
        return await projects.delete_projects(services, caller_of(request), body.project_ids)
