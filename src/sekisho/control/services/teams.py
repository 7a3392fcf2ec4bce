"""Teams."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from sekisho.control.services.context import Services
from sekisho.control.services.fields import budget_columns, extras, list_columns, member_limits, plain_columns
from sekisho.control.services.members import to_members
from sekisho.control.services.ownership import (
    changed_by,
    made_by,
    managed_teams,
    organizes,
    owns_key,
    require_managed_team,
    require_organized_team,
    require_organizer,
    visible_teams,
)
from sekisho.control.services.people import MemberRequest, find_users
from sekisho.control.services.references import check_references
from sekisho.control.services.unenforced import TEAM_EXTRAS, TEAM_ROUTING
from sekisho.control.services.views import View, listed_key_view, membership_view, team_view
from sekisho.core.caller import Caller
from sekisho.core.errors import AccessDenied, NotFound
from sekisho.identity.rights import PERMISSIONS, is_administrator, sees_everything
from sekisho.store.records import KeyRecord, TeamRecord
from sekisho.store.teams import Seat

_OF_MANAGERS: Final = frozenset({"team_alias", "metadata", "team_member_permissions"})
"""What a team's own administrators may change; its limits are set from above."""
_PLAIN: Final = ("team_alias", "metadata", "organization_id")


async def create_team(
    services: Services, caller: Caller, fields: Mapping[str, Any], wanted: Sequence[MemberRequest]
) -> View:
    """Make a team; members that are no users yet become users, and the caller becomes an administrator.

    Raises:
        AccessDenied: the caller is administrator neither of everything nor of the organisation it shall be in.
        Conflict: the team exists already.
        InvalidRequest: a member is not named, or something it refers to does not exist.
    """
    await require_organizer(services, caller, fields.get("organization_id"))
    await check_references(services, {name: value for name, value in fields.items() if name != "team_id"})
    given = {name: value for name, value in fields.items() if value is not None}
    fields = {**fields, **services.worlds.snapshot.team_defaults, **given}
    record = TeamRecord(
        team_id=fields.get("team_id") or str(uuid4()),
        extra=extras(fields, TEAM_EXTRAS | TEAM_ROUTING),
        member_limits=member_limits(fields, services.present()),
        **made_by(services, caller),
        **_columns(services, fields),
    )
    if caller.user_id is not None and caller.user_id not in {member.user_id for member in wanted}:
        wanted = [*wanted, MemberRequest(role="admin", user_id=caller.user_id)]
    found = await find_users(services, caller, wanted)
    members = to_members(services, record.team_id, found, {})
    users = [user for _, user in found]
    record = await services.store.teams.create(record, members, users)
    return team_view(record, members, {user.user_id: user.user_email for user in users})


async def show_team(services: Services, caller: Caller, team_id: str) -> View:
    """A team with its keys and memberships, and the spend up to this moment.

    Raises:
        NotFound: there is no such team, or the caller does not belong to it.
    """
    await services.store.journal.flush()
    team = await services.store.teams.get(team_id)
    if team is None or not (sees_everything(caller) or team_id in await visible_teams(services, caller)):
        raise NotFound(f"No such team: {team_id!r}.", param="team_id")
    (view,) = await describe_teams(services, [team])
    keys = await services.store.keys.of_teams([team_id])
    sees_keys = sees_everything(caller) or team_id in await managed_teams(services, caller)
    visible = keys if sees_keys else _own(caller, keys)
    members = await services.store.teams.members([team_id])
    return {
        "team_id": team_id,
        "team_info": view,
        "keys": [listed_key_view(key) for key in visible],
        "team_memberships": [membership_view(member) for member in members],
    }


async def list_teams(
    services: Services,
    caller: Caller,
    user_id: str | None,
    *,
    organization_id: str | None = None,
    team_alias: str | None = None,
    page: int = 1,
    size: int | None = None,
) -> tuple[list[View], int]:
    """One page (of `size`, or all) of the teams that the caller may see, and how many there are in all.

    Only those that `user_id` is a member of, those of an organisation, or of a name, if these are given.
    """
    visible = None if sees_everything(caller) else await visible_teams(services, caller)
    if user_id is not None:
        of_user = [member.team_id for member in await services.store.users.memberships([user_id])]
        visible = of_user if visible is None else [team_id for team_id in of_user if team_id in visible]
    await services.store.journal.flush()
    teams, total = await services.store.teams.select(
        team_ids=visible,
        organization_id=organization_id,
        team_alias=team_alias,
        limit=size,
        offset=(page - 1) * (size or 0),
    )
    return await describe_teams(services, teams), total


async def update_team(services: Services, caller: Caller, team_id: str, fields: Mapping[str, Any]) -> View:
    """Change what `fields` sets; null takes a limit away.

    Raises:
        NotFound: there is no such team.
        AccessDenied: the caller may not change this of it.
    """
    team = await require_managed_team(services, caller, team_id)
    if forbidden := sorted(fields.keys() - _OF_MANAGERS):
        await _require_above(services, caller, team, forbidden)
    await check_references(services, fields)
    columns = _columns(services, fields, team)
    if any(name.startswith("team_member_") for name in fields):
        columns["member_limits"] = member_limits(fields, services.present(), team.member_limits)
    columns |= {"extra": team.extra | extras(fields, TEAM_EXTRAS | TEAM_ROUTING), **changed_by(services, caller)}
    await services.store.journal.flush()
    return {"team_id": team_id, "data": await _change(services, team_id, columns)}


async def block_team(services: Services, caller: Caller, team_id: str, *, blocked: bool) -> View:
    """Block or unblock a team, and show it."""
    await require_organized_team(services, caller, team_id)
    return await _change(services, team_id, {"blocked": blocked, **changed_by(services, caller)})


async def show_permissions(services: Services, caller: Caller, team_id: str) -> View:
    """What members of a team who are no administrators may do with its keys, and all that they could be allowed.

    Raises:
        NotFound: there is no such team.
        AccessDenied: the caller neither manages the team nor sees everything.
    """
    if not sees_everything(caller):
        await require_managed_team(services, caller, team_id)
    team = await services.store.teams.get(team_id)
    if team is None:
        raise NotFound(f"No such team: {team_id!r}.", param="team_id")
    return {
        "team_id": team_id,
        "team_member_permissions": list(team.member_permissions),
        "all_available_permissions": list(PERMISSIONS),
    }


async def set_permissions(services: Services, caller: Caller, team_id: str, permissions: Sequence[str]) -> View:
    """Set what members of a team who are no administrators may do with its keys, and show the team."""
    await require_managed_team(services, caller, team_id)
    columns = {"member_permissions": tuple(dict.fromkeys(permissions))}
    return await _change(services, team_id, {**columns, **changed_by(services, caller)})


async def add_models(services: Services, caller: Caller, team_id: str, models: Sequence[str]) -> View:
    """Allow a team further models. To a team without a list, which may use all, it gives one."""
    team = await require_organized_team(services, caller, team_id)
    columns = {"models": tuple(dict.fromkeys([*team.models, *models]))}
    return await _change(services, team_id, {**columns, **changed_by(services, caller)})


async def remove_models(services: Services, caller: Caller, team_id: str, models: Sequence[str]) -> View:
    """Take models off a team's list. One that would be empty then forbids every model, and does not allow all."""
    team = await require_organized_team(services, caller, team_id)
    left = tuple(name for name in team.models if name not in models)
    columns = {"models": left or (("no-default-models",) if team.models else ())}
    return await _change(services, team_id, {**columns, **changed_by(services, caller)})


async def delete_teams(services: Services, caller: Caller, team_ids: Sequence[str]) -> View:
    """Delete teams with their keys, projects and memberships, all or none; usage rows stay.

    Raises:
        NotFound: one of them does not exist.
        AccessDenied: the caller may not delete one of them.
    """
    for team_id in team_ids:
        await require_organized_team(services, caller, team_id)
    await services.store.journal.flush()
    deleted = await services.store.teams.delete(team_ids)
    return {"deleted_teams": list(team_ids), "count": deleted}


async def describe_teams(services: Services, teams: Sequence[TeamRecord]) -> list[View]:
    """These teams with their members and the members' e-mail addresses."""
    seats: dict[str, list[Seat]] = {team.team_id: [] for team in teams}
    for seat in await services.store.teams.seats(list(seats)):
        seats[seat.team_id].append(seat)
    emails = {seat.user_id: seat.user_email for of_team in seats.values() for seat in of_team}
    # Thousands of teams take their time, which model calls in this process need not wait for.
    return await asyncio.to_thread(lambda: [team_view(team, seats[team.team_id], emails) for team in teams])


async def _change(services: Services, team_id: str, columns: Mapping[str, Any]) -> View:
    team = await services.store.teams.update(team_id, columns)
    if team is None:
        raise NotFound(f"No such team: {team_id!r}.", param="team_id")
    (view,) = await describe_teams(services, [team])
    return view


async def _require_above(services: Services, caller: Caller, team: TeamRecord, names: Sequence[str]) -> None:
    """Refuse a change to a team that only those above it may make; to another organisation only the topmost may."""
    if is_administrator(caller):
        return
    if "organization_id" in names or not await organizes(services, caller, team.organization_id):
        raise AccessDenied(f"Only a proxy administrator may change {', '.join(names)} of a team.")


def _own(caller: Caller, keys: Sequence[KeyRecord]) -> list[KeyRecord]:
    return [key for key in keys if key.key_hash == caller.key_hash or owns_key(caller, key)]


def _columns(services: Services, fields: Mapping[str, Any], record: TeamRecord | None = None) -> dict[str, Any]:
    permissions = (
        {"member_permissions": fields["team_member_permissions"]} if "team_member_permissions" in fields else {}
    )
    return {
        **budget_columns(fields, services.present(), record),
        **plain_columns(fields, *_PLAIN),
        **list_columns(fields, "access_group_ids"),
        **list_columns(permissions, "member_permissions"),
    }
