"""The members of teams, and what each may use there."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from msgspec import structs

from sekisho.control.services.context import Services
from sekisho.control.services.fields import budget_columns
from sekisho.control.services.ownership import require_managed_team
from sekisho.control.services.people import MemberRequest, find_users, require_user_id
from sekisho.control.services.references import check_references
from sekisho.control.services.views import View, dollars, membership_view, team_view, user_view
from sekisho.core.caller import Caller
from sekisho.core.errors import NotFound
from sekisho.store.records import MemberRole, TeamMember, UserRecord

_NAMES: Final = {"max_budget_in_team": "max_budget", "allowed_models": "models"}
"""How a member's limits are called in a request, where not as everywhere."""


def to_members(
    services: Services,
    team_id: str,
    found: Sequence[tuple[MemberRequest, UserRecord]],
    fields: Mapping[str, Any],
    known: Mapping[str, TeamMember] | None = None,
) -> list[TeamMember]:
    """The memberships of `found`, all with the limits that `fields` say; of those in `known` the others stay."""
    present = services.present()
    members: list[TeamMember] = []
    for request, user in found:
        before = (known or {}).get(user.user_id)
        columns = {**budget_columns(fields, present, before), "role": cast(MemberRole, request.role)}
        if before is None:
            members.append(TeamMember(team_id=team_id, user_id=user.user_id, **columns))
        else:
            members.append(structs.replace(before, **columns))
    return members


async def add_members(
    services: Services, caller: Caller, team_id: str, wanted: Sequence[MemberRequest], fields: Mapping[str, Any]
) -> View:
    """Add members to a team, or set the role and limits of those that are members already."""
    team = await require_managed_team(services, caller, team_id)
    limits = _limits(fields)
    await check_references(services, limits)
    found = await find_users(services, caller, wanted)
    known = {member.user_id: member for member in await services.store.teams.members([team_id])}
    users = [user for _, user in found]
    put = to_members(services, team_id, found, limits, known)
    await services.store.teams.put_members(put, users)
    if "spend" in limits:
        for member in put:
            await services.store.teams.update_member(team_id, member.user_id, {"spend": member.spend})
    members = await services.store.teams.members([team_id])
    emails = {user.user_id: user.user_email for user in await _users_of(services, members)}
    added = {user.user_id for user in users}
    teams: dict[str, list[str]] = {user_id: [] for user_id in added}
    for membership in await services.store.users.memberships(sorted(added)):
        teams[membership.user_id].append(membership.team_id)
    return {
        **team_view(team, members, emails),
        "updated_users": [user_view(user, teams[user.user_id]) for user in users],
        "updated_team_memberships": [membership_view(member) for member in members if member.user_id in added],
    }


async def update_member(
    services: Services, caller: Caller, team_id: str, user: Mapping[str, Any], fields: Mapping[str, Any]
) -> View:
    """Change the role or the limits of a member, named by `user_id` or `user_email`; null takes a limit away.

    Raises:
        NotFound: there is no such team, user or membership.
    """
    await require_managed_team(services, caller, team_id)
    user_id = await require_user_id(services, user.get("user_id"), user.get("user_email"))
    limits = _limits(fields)
    await check_references(services, limits)
    member = await services.store.teams.member(team_id, user_id)
    if member is not None:
        columns = budget_columns(limits, services.present(), member)
        if fields.get("role") is not None:
            columns["role"] = fields["role"]
        await services.store.journal.flush()
        member = await services.store.teams.update_member(team_id, user_id, columns)
    if member is None:
        raise NotFound(f"User {user_id!r} is not a member of team {team_id!r}.", param="user_id")
    return {
        **membership_view(member),
        "user_email": user.get("user_email"),
        "max_budget_in_team": dollars(member.max_budget),
        "tpm_limit": member.tpm_limit,
        "rpm_limit": member.rpm_limit,
    }


async def remove_member(services: Services, caller: Caller, team_id: str, user: Mapping[str, Any]) -> View:
    """Take a member off a team, with the keys it has there, and show the team.

    Raises:
        NotFound: there is no such team, user or membership.
    """
    team = await require_managed_team(services, caller, team_id)
    user_id = await require_user_id(services, user.get("user_id"), user.get("user_email"))
    await services.store.journal.flush()
    if not await services.store.teams.remove_members(team_id, [user_id]):
        raise NotFound(f"User {user_id!r} is not a member of team {team_id!r}.", param="user_id")
    members = await services.store.teams.members([team_id])
    emails = {found.user_id: found.user_email for found in await _users_of(services, members)}
    return team_view(team, members, emails)


def _limits(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {_NAMES.get(name, name): value for name, value in fields.items()}


async def _users_of(services: Services, members: Sequence[TeamMember]) -> list[UserRecord]:
    return await services.store.users.get_many(sorted({member.user_id for member in members}))
