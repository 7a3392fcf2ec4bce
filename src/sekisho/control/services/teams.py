"""Teams and their members."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from sekisho.control.services.context import Services
from sekisho.control.services.fields import TEAM_EXTRAS, budget_columns, extras, plain_columns
from sekisho.control.services.ownership import author, require_managed_team, teams_of
from sekisho.control.services.people import MemberRequest, find_members
from sekisho.control.services.views import View, listed_key_view, membership_view, team_view, user_view
from sekisho.core.caller import Caller
from sekisho.core.errors import AccessDenied, NotFound
from sekisho.identity.rights import is_administrator, sees_everything
from sekisho.store.records import KeyRecord, TeamMember, TeamRecord

_OF_MANAGERS: Final = frozenset({"team_alias", "metadata"})
"""What a team's own administrators may change; its limits are set from above."""


async def create_team(
    services: Services, caller: Caller, fields: Mapping[str, Any], wanted: Sequence[MemberRequest]
) -> View:
    """Make a team; members that are no users yet become users, and the caller becomes an administrator.

    Raises:
        Conflict: the team exists already.
        InvalidRequest: a member is not named.
    """
    now, who = services.clock.now(), author(caller)
    record = TeamRecord(
        team_id=fields.get("team_id") or str(uuid4()),
        extra=extras(fields, TEAM_EXTRAS),
        created_at=now,
        created_by=who,
        updated_at=now,
        updated_by=who,
        **budget_columns(fields, now),
        **plain_columns(fields, "team_alias", "metadata", "blocked"),
    )
    if caller.user_id is not None and caller.user_id not in {member.user_id for member in wanted}:
        wanted = [*wanted, MemberRequest(role="admin", user_id=caller.user_id)]
    members, users = await find_members(services, caller, record.team_id, wanted, {})
    await services.store.teams.insert(record, members, users)
    services.changed("team", record.team_id)
    return team_view(record, members, {user.user_id: user.user_email for user in users})


async def show_team(services: Services, caller: Caller, team_id: str) -> View:
    """A team with its keys and memberships, and the spend up to this moment.

    Raises:
        NotFound: there is no such team, or the caller does not belong to it.
    """
    await services.store.journal.flush()
    team = await services.store.teams.get(team_id)
    if team is None or not (sees_everything(caller) or team_id in await _visible_teams(services, caller)):
        raise NotFound(f"No such team: {team_id!r}.", param="team_id")
    (view,) = await _describe(services, [team])
    keys = await services.store.keys.of_teams([team_id])
    visible = keys if await _sees_keys(services, caller, team_id) else _own(caller, keys)
    members = await services.store.teams.members([team_id])
    return {
        "team_id": team_id,
        "team_info": view,
        "keys": [listed_key_view(key) for key in visible],
        "team_memberships": [membership_view(member) for member in members],
    }


async def list_teams(services: Services, caller: Caller, user_id: str | None) -> list[View]:
    """The teams that the caller may see, or those of them that `user_id` is a member of."""
    visible = None if sees_everything(caller) else await _visible_teams(services, caller)
    if user_id is not None:
        of_user = [member.team_id for member in await services.store.users.memberships([user_id])]
        visible = of_user if visible is None else [team_id for team_id in of_user if team_id in visible]
    await services.store.journal.flush()
    return await _describe(services, await services.store.teams.find(visible))


async def update_team(services: Services, caller: Caller, team_id: str, fields: Mapping[str, Any]) -> View:
    """Change what `fields` sets; null takes a limit away.

    Raises:
        NotFound: there is no such team.
        AccessDenied: the caller may not change this of it.
    """
    await require_managed_team(services, caller, team_id)
    now = services.clock.now()
    columns = budget_columns(fields, now) | plain_columns(fields, "team_alias", "metadata", "blocked")
    forbidden = sorted((columns.keys() | extras(fields, TEAM_EXTRAS).keys()) - _OF_MANAGERS)
    if forbidden and not is_administrator(caller):
        raise AccessDenied(f"Only a proxy administrator may change {', '.join(forbidden)} of a team.")
    team = await services.store.teams.get(team_id)
    if team is not None:
        columns["extra"] = team.extra | extras(fields, TEAM_EXTRAS)
        columns |= {"updated_at": now, "updated_by": author(caller)}
        await services.store.journal.flush()
        team = await services.store.teams.update(team_id, columns)
    if team is None:
        raise NotFound(f"No such team: {team_id!r}.", param="team_id")
    services.changed("team", team_id)
    (view,) = await _describe(services, [team])
    return {"team_id": team_id, "data": view}


async def add_members(
    services: Services, caller: Caller, team_id: str, wanted: Sequence[MemberRequest], fields: Mapping[str, Any]
) -> View:
    """Add members to a team, or set the role and limits of those that are members already."""
    await require_managed_team(services, caller, team_id)
    team = await services.store.teams.get(team_id)
    if team is None:
        raise NotFound(f"No such team: {team_id!r}.", param="team_id")
    limits = budget_columns(fields, services.clock.now())
    members, users = await find_members(services, caller, team_id, wanted, limits)
    await services.store.teams.put_members(members, users)
    services.changed("team", team_id)
    (view,) = await _describe(services, [team])
    teams = {user.user_id: await services.store.users.memberships([user.user_id]) for user in users}
    return {
        **view,
        "updated_users": [user_view(user, [member.team_id for member in teams[user.user_id]]) for user in users],
        "updated_team_memberships": [membership_view(member) for member in members],
    }


async def _visible_teams(services: Services, caller: Caller) -> list[str]:
    own = [caller.team_id] if caller.team_id is not None else []
    return [*own, *await teams_of(services, caller, as_admin=False)]


async def _sees_keys(services: Services, caller: Caller, team_id: str) -> bool:
    return sees_everything(caller) or team_id in await teams_of(services, caller, as_admin=True)


def _own(caller: Caller, keys: Sequence[KeyRecord]) -> list[KeyRecord]:
    user_id = caller.user_id
    return [key for key in keys if key.key_hash == caller.key_hash or (user_id is not None and key.user_id == user_id)]


async def _describe(services: Services, teams: Sequence[TeamRecord]) -> list[View]:
    """These teams with their members and the members' e-mail addresses."""
    members: dict[str, list[TeamMember]] = {team.team_id: [] for team in teams}
    for member in await services.store.teams.members(list(members)):
        members[member.team_id].append(member)
    user_ids = sorted({member.user_id for of_team in members.values() for member in of_team})
    users, _ = await services.store.users.find(user_ids=user_ids, limit=len(user_ids))
    emails = {user.user_id: user.user_email for user in users}
    return [team_view(team, members[team.team_id], emails) for team in teams]
