"""Endpoints of teams and their members."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from sekisho.control.api.answers import answer_at_once
from sekisho.control.api.gate import caller_of
from sekisho.control.api.notes import note_without_effect
from sekisho.control.api.requests import Name
from sekisho.control.api.team_requests import (
    AddManyMembers,
    AddMembers,
    DeleteTeams,
    Member,
    MemberLimits,
    MemberReference,
    NewTeam,
    TeamModels,
    TeamPermissions,
    TeamReference,
    UpdateMember,
    UpdateTeam,
)
from sekisho.control.services import members, teams
from sekisho.control.services.context import Services
from sekisho.control.services.people import MemberRequest
from sekisho.control.services.unenforced import TEAM_EXTRAS


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints under `/team`."""
    _add_lists(router, services)
    _add_members(router, services)

    @router.post("/team/new", tags=["teams"])
    async def create_team(request: Request, response: Response, body: NewTeam) -> dict[str, Any]:
        """Make a team; members that do not exist become users."""
        note_without_effect(response, body.fields(), TEAM_EXTRAS)
        wanted = _requests(body.members_with_roles)
        return await teams.create_team(services, caller_of(request), body.fields(), wanted)

    @router.post("/team/update", tags=["teams"])
    async def update_team(request: Request, response: Response, body: UpdateTeam) -> dict[str, Any]:
        """Change some fields of a team."""
        note_without_effect(response, body.fields(), TEAM_EXTRAS)
        fields = body.fields()
        return await teams.update_team(services, caller_of(request), fields.pop("team_id"), fields)

    @router.post("/team/delete", tags=["teams"])
    async def delete_teams(request: Request, body: DeleteTeams) -> dict[str, Any]:
        """Delete teams with their keys, projects and memberships, all or none. Usage rows stay."""
        return await teams.delete_teams(services, caller_of(request), body.team_ids)

    @router.post("/team/block", tags=["teams"])
    async def block_team(request: Request, body: TeamReference) -> dict[str, Any]:
        """Block a team: calls with its keys are refused with 401 at once."""
        return await teams.block_team(services, caller_of(request), body.team_id, blocked=True)

    @router.post("/team/unblock", tags=["teams"])
    async def unblock_team(request: Request, body: TeamReference) -> dict[str, Any]:
        """Let the keys of a blocked team work again."""
        return await teams.block_team(services, caller_of(request), body.team_id, blocked=False)

    @router.post("/team/model/add", tags=["teams"])
    async def add_models(request: Request, body: TeamModels) -> dict[str, Any]:
        """Allow a team further models."""
        return await teams.add_models(services, caller_of(request), body.team_id, body.models)

    @router.post("/team/model/delete", tags=["teams"])
    async def remove_models(request: Request, body: TeamModels) -> dict[str, Any]:
        """Take models off a team's list."""
        return await teams.remove_models(services, caller_of(request), body.team_id, body.models)


def _add_lists(router: APIRouter, services: Services) -> None:
    @router.get("/team/info", tags=["teams"])
    async def show_team(request: Request, team_id: Name) -> dict[str, Any]:
        """Show a team with its keys, its members and their spend."""
        return await teams.show_team(services, caller_of(request), team_id)

    @router.get("/team/list", tags=["teams"], response_model=list[dict[str, Any]])
    async def list_teams(
        request: Request, response: Response, user_id: Name | None = None, organization_id: Name | None = None
    ) -> Response:
        """List the teams that the caller may see."""
        caller = caller_of(request)
        found, _ = await teams.list_teams(services, caller, user_id, organization_id=organization_id)
        return answer_at_once(found, response)

    @router.get("/team/permissions_list", tags=["teams"])
    async def list_permissions(request: Request, team_id: Name) -> dict[str, Any]:
        """Show what members of a team who are no administrators may do with its keys."""
        return await teams.show_permissions(services, caller_of(request), team_id)

    @router.post("/team/permissions_update", tags=["teams"])
    async def update_permissions(request: Request, body: TeamPermissions) -> dict[str, Any]:
        """Set what members of a team who are no administrators may do with its keys."""
        permissions = body.team_member_permissions
        return await teams.set_permissions(services, caller_of(request), body.team_id, permissions)

    @router.get("/team/available", tags=["teams"])
    async def list_available() -> list[dict[str, Any]]:
        """List the teams that users may join by themselves: there are none, administrators add members."""
        return []

    @router.get("/v2/team/list", tags=["teams"])
    async def page_teams(
        request: Request,
        user_id: Name | None = None,
        organization_id: Name | None = None,
        team_alias: Name | None = None,
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        page_size: Annotated[int, Query(ge=1, le=100)] = 10,
    ) -> dict[str, Any]:
        """List one page of the teams that the caller may see."""
        found, total = await teams.list_teams(
            services,
            caller_of(request),
            user_id,
            organization_id=organization_id,
            team_alias=team_alias,
            page=page,
            size=page_size,
        )
        pages = -(-total // page_size)
        return {"teams": found, "total": total, "page": page, "page_size": page_size, "total_pages": pages}


def _add_members(router: APIRouter, services: Services) -> None:
    @router.post("/team/member_add", tags=["teams"])
    async def add_members(request: Request, body: AddMembers) -> dict[str, Any]:
        """Add members to a team, or change their role and limits."""
        wanted = _requests(body.member if isinstance(body.member, list) else [body.member])
        return await members.add_members(services, caller_of(request), body.team_id, wanted, _limits(body))

    @router.post("/team/bulk_member_add", tags=["teams"])
    async def add_many_members(request: Request, body: AddManyMembers) -> dict[str, Any]:
        """Add many members to a team, or change their role and limits."""
        wanted = _requests(body.members)
        return await members.add_members(services, caller_of(request), body.team_id, wanted, _limits(body))

    @router.post("/team/member_update", tags=["teams"])
    async def update_member(request: Request, body: UpdateMember) -> dict[str, Any]:
        """Change the role or the limits of a member."""
        user = {"user_id": body.user_id, "user_email": body.user_email}
        fields = {**_limits(body), "role": body.role}
        return await members.update_member(services, caller_of(request), body.team_id, user, fields)

    @router.post("/team/member_delete", tags=["teams"])
    async def remove_member(request: Request, body: MemberReference) -> dict[str, Any]:
        """Take a member off a team, with the keys it has there."""
        user = {"user_id": body.user_id, "user_email": body.user_email}
        return await members.remove_member(services, caller_of(request), body.team_id, user)


def _limits(body: MemberLimits) -> dict[str, Any]:
    return {name: value for name, value in body.fields().items() if name in MemberLimits.model_fields}


def _requests(wanted: list[Member]) -> list[MemberRequest]:
    return [MemberRequest(role=member.role, user_id=member.user_id, user_email=member.user_email) for member in wanted]
