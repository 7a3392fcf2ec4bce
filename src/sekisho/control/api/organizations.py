"""Endpoints of organisations and their members."""

from typing import Any

from fastapi import APIRouter, Request, Response

from sekisho.control.api.answers import answer_at_once
from sekisho.control.api.gate import caller_of
from sekisho.control.api.level_requests import (
    AddOrganizationMembers,
    DeleteOrganizations,
    NewOrganization,
    OrganizationMemberLimits,
    OrganizationMemberReference,
    UpdateOrganization,
    UpdateOrganizationMember,
)
from sekisho.control.api.notes import note_without_effect
from sekisho.control.api.requests import Name, Page, PageSize
from sekisho.control.services import organizations
from sekisho.control.services.context import Services
from sekisho.control.services.people import MemberRequest
from sekisho.control.services.unenforced import LEVEL_EXTRAS


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints under `/organization`. LiteLLM's PATCH and DELETE are served as POST too."""
    _add_members(router, services)

    @router.post("/organization/new", tags=["organizations"])
    async def create_organization(request: Request, response: Response, body: NewOrganization) -> dict[str, Any]:
        """Make an organisation, which teams and keys can belong to."""
        note_without_effect(response, body.fields(), LEVEL_EXTRAS)
        return await organizations.create_organization(services, caller_of(request), body.fields())

    @router.get("/organization/info", tags=["organizations"])
    async def show_organization(request: Request, organization_id: Name) -> dict[str, Any]:
        """Show an organisation with its members, teams and spend."""
        return await organizations.show_organization(services, caller_of(request), organization_id)

    @router.get("/organization/list", tags=["organizations"], response_model=list[dict[str, Any]])
    async def list_organizations(
        request: Request,
        response: Response,
        org_id: Name | None = None,
        org_alias: Name | None = None,
        page: Page = 1,
        page_size: PageSize | None = None,
    ) -> Response:
        """List the organisations that the caller may see: all, or one page of `page_size`."""
        caller = caller_of(request)
        found = await organizations.list_organizations(
            services, caller, organization_id=org_id, alias=org_alias, page=page, size=page_size
        )
        return answer_at_once(found, response)

    @router.patch("/organization/update", tags=["organizations"])
    @router.post("/organization/update", tags=["organizations"])
    async def update_organization(request: Request, response: Response, body: UpdateOrganization) -> dict[str, Any]:
        """Change some fields of an organisation."""
        note_without_effect(response, body.fields(), LEVEL_EXTRAS)
        fields = body.fields()
        identity = fields.pop("organization_id")
        return await organizations.update_organization(services, caller_of(request), identity, fields)

    @router.delete("/organization/delete", tags=["organizations"])
    @router.post("/organization/delete", tags=["organizations"])
    async def delete_organizations(body: DeleteOrganizations) -> list[dict[str, Any]]:
        """Delete organisations with their teams and keys, all or none. Usage rows stay."""
        return await organizations.delete_organizations(services, body.organization_ids)


def _add_members(router: APIRouter, services: Services) -> None:
    @router.post("/organization/member_add", tags=["organizations"])
    async def add_members(request: Request, body: AddOrganizationMembers) -> dict[str, Any]:
        """Add members to an organisation, or change their role."""
        named = body.member if isinstance(body.member, list) else [body.member]
        wanted = [MemberRequest(role=one.role, user_id=one.user_id, user_email=one.user_email) for one in named]
        caller = caller_of(request)
        return await organizations.add_members(services, caller, body.organization_id, wanted, _limits(body))

    @router.patch("/organization/member_update", tags=["organizations"])
    @router.post("/organization/member_update", tags=["organizations"])
    async def update_member(request: Request, body: UpdateOrganizationMember) -> dict[str, Any]:
        """Change the role or the limits of a member."""
        user = {"user_id": body.user_id, "user_email": body.user_email}
        caller, fields = caller_of(request), {**_limits(body), "role": body.role}
        return await organizations.update_member(services, caller, body.organization_id, user, fields)

    @router.delete("/organization/member_delete", tags=["organizations"])
    @router.post("/organization/member_delete", tags=["organizations"])
    async def remove_member(request: Request, body: OrganizationMemberReference) -> dict[str, Any]:
        """Take a member off an organisation; its keys and its teams stay."""
        user = {"user_id": body.user_id, "user_email": body.user_email}
        return await organizations.remove_member(services, caller_of(request), body.organization_id, user)


def _limits(body: OrganizationMemberLimits) -> dict[str, Any]:
    return {name: value for name, value in body.fields().items() if name in OrganizationMemberLimits.model_fields}
