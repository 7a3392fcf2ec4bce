"""Endpoints of teams."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from sekisho.control.api.gate import caller_of
from sekisho.control.api.notes import note_without_effect
from sekisho.control.api.requests import AddMembers, Member, Name, NewTeam, UpdateTeam
from sekisho.control.services import teams
from sekisho.control.services.context import Services
from sekisho.control.services.fields import TEAM_EXTRAS
from sekisho.control.services.people import MemberRequest

_MEMBER_LIMITS: Final = frozenset({"max_budget_in_team", "allowed_models"})
"""Kept and given back, but not enforced: a call is counted against its key, its user and its team."""


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints under `/team`."""

    @router.post("/team/new", tags=["teams"])
    async def create_team(request: Request, response: Response, body: NewTeam) -> dict[str, Any]:
        """Make a team; members that do not exist become users."""
        note_without_effect(response, body.fields(), TEAM_EXTRAS)
        members = _members(body.members_with_roles)
        return await teams.create_team(services, caller_of(request), body.fields(), members)

    @router.get("/team/info", tags=["teams"])
    async def show_team(request: Request, team_id: Name) -> dict[str, Any]:
        """Show a team with its keys, its members and their spend."""
        return await teams.show_team(services, caller_of(request), team_id)

    @router.get("/team/list", tags=["teams"])
    async def list_teams(request: Request, user_id: Name | None = None) -> list[dict[str, Any]]:
        """List the teams that the caller may see."""
        return await teams.list_teams(services, caller_of(request), user_id)

    @router.post("/team/update", tags=["teams"])
    async def update_team(request: Request, response: Response, body: UpdateTeam) -> dict[str, Any]:
        """Change some fields of a team."""
        note_without_effect(response, body.fields(), TEAM_EXTRAS)
        fields = body.fields()
        return await teams.update_team(services, caller_of(request), fields.pop("team_id"), fields)

    @router.post("/team/member_add", tags=["teams"])
    async def add_members(request: Request, response: Response, body: AddMembers) -> dict[str, Any]:
        """Add members to a team, or change their role."""
        note_without_effect(response, body.fields(), _MEMBER_LIMITS)
        members = _members(body.member if isinstance(body.member, list) else [body.member])
        limits = {
            "max_budget": body.max_budget_in_team,
            "budget_duration": body.budget_duration,
            "models": body.allowed_models,
        }
        return await teams.add_members(services, caller_of(request), body.team_id, members, limits)


def _members(members: list[Member]) -> list[MemberRequest]:
    return [MemberRequest(role=member.role, user_id=member.user_id, user_email=member.user_email) for member in members]
