"""What belongs to whom: the part of the rights that depends on records.

A team's administrator, and an administrator of the organisation that a team is in, manage the team. What a caller may
not see is as if it did not exist.
"""

from collections.abc import Sequence
from typing import Any, Final

from sekisho.control.services.context import Services
from sekisho.core.caller import Caller
from sekisho.core.errors import AccessDenied, NotFound
from sekisho.identity.rights import Permission, is_administrator, sees_everything
from sekisho.store.records import KeyRecord, TeamRecord

MASTER_USER: Final = "default_user_id"
"""LiteLLM's name for whoever holds the master key, in `created_by` and `updated_by`."""


def author(caller: Caller) -> str:
    """Who to write down as the author of a change."""
    return caller.user_id or caller.key_alias or caller.key_hash or MASTER_USER


def made_by(services: Services, caller: Caller) -> dict[str, Any]:
    """The columns that say who made something, and when."""
    return {"created_at": services.clock.now(), "created_by": author(caller), **changed_by(services, caller)}


def changed_by(services: Services, caller: Caller) -> dict[str, Any]:
    """The columns that say who changed something last, and when."""
    return {"updated_at": services.clock.now(), "updated_by": author(caller)}


async def organizations_of(services: Services, caller: Caller, *, as_admin: bool) -> list[str]:
    """The ids of the organisations that the caller is a member, or an administrator, of."""
    if caller.user_id is None:
        return []
    memberships = await services.store.users.organizations([caller.user_id])
    return [member.organization_id for member in memberships if member.role == "org_admin" or not as_admin]


async def managed_teams(services: Services, caller: Caller) -> list[str]:
    """The ids of the teams that the caller manages, as their administrator or as their organisation's."""
    if caller.user_id is None:
        return []
    memberships = await services.store.users.memberships([caller.user_id])
    own = [member.team_id for member in memberships if member.role == "admin"]
    return [*own, *await _teams_of_organizations(services, caller)]


async def visible_teams(services: Services, caller: Caller) -> list[str]:
    """The ids of the teams that the caller belongs to, or manages."""
    own = [caller.team_id] if caller.team_id is not None else []
    if caller.user_id is None:
        return own
    memberships = await services.store.users.memberships([caller.user_id])
    teams = [*own, *(member.team_id for member in memberships), *await _teams_of_organizations(services, caller)]
    return list(dict.fromkeys(teams))


async def require_visible_key(
    services: Services, caller: Caller, key: KeyRecord | None, permission: Permission = "/key/info"
) -> KeyRecord:
    """The key if the caller may see it; what may not be seen is as if it did not exist.

    With `permission` a member of the key's team sees it, too.
    """
    if key is not None and (sees_everything(caller) or key.key_hash == caller.key_hash or owns_key(caller, key)):
        return key
    if key is not None and await _manages_key(services, caller, key):
        return key
    if key is not None and await is_permitted(services, caller, key.team_id, "/key/info", permission):
        return key
    raise NotFound("No such key. Give the key itself or its hash.", param="key")


async def require_managed_key(
    services: Services, caller: Caller, key: KeyRecord | None, permission: Permission
) -> KeyRecord:
    """The key if the caller may change it: a proxy administrator, one of its team or organisation, or by permission."""
    visible = await require_visible_key(services, caller, key, permission)
    if is_administrator(caller) or await _manages_key(services, caller, visible):
        return visible
    if await is_permitted(services, caller, visible.team_id, permission):
        return visible
    raise AccessDenied("Only a proxy administrator or an administrator of the key's team may change a key.")


async def is_permitted(services: Services, caller: Caller, team_id: str | None, *permissions: Permission) -> bool:
    """Whether the caller is a member of this team whose administrators let members do one of these with its keys.

    A role that may only look may not do it all the same: it does not come as far as this (`identity.rights`).
    """
    if team_id is None or caller.user_id is None:
        return False
    if await services.store.teams.member(team_id, caller.user_id) is None:
        return False
    team = await services.store.teams.get(team_id)
    return team is not None and not set(permissions).isdisjoint(team.member_permissions)


async def permitted_teams(services: Services, caller: Caller, permission: Permission) -> list[str]:
    """The ids of the teams whose members the caller is one of, and may do this with their keys."""
    if caller.user_id is None:
        return []
    memberships = await services.store.users.memberships([caller.user_id])
    teams = await services.store.teams.get_many([member.team_id for member in memberships])
    return [team.team_id for team in teams if permission in team.member_permissions]


def owns_key(caller: Caller, key: KeyRecord) -> bool:
    """Whether the caller is the user that the key belongs to."""
    return caller.user_id is not None and key.user_id == caller.user_id


async def manages_team(services: Services, caller: Caller, team_id: str) -> bool:
    """Whether the caller may change this team."""
    return is_administrator(caller) or team_id in await managed_teams(services, caller)


async def require_managed_team(services: Services, caller: Caller, team_id: str) -> TeamRecord:
    """The team if the caller may change it.

    Raises:
        AccessDenied: it may not.
        NotFound: there is no such team.
    """
    if not await manages_team(services, caller, team_id):
        raise AccessDenied(f"Only a proxy administrator or an administrator of team {team_id!r} may do this.")
    team = await services.store.teams.get(team_id)
    if team is None:
        raise NotFound(f"No such team: {team_id!r}.", param="team_id")
    return team


async def require_organized_team(services: Services, caller: Caller, team_id: str) -> TeamRecord:
    """The team if the caller is administrator of everything, or of the organisation that the team is in."""
    team = await services.store.teams.get(team_id)
    if team is None or not await organizes(services, caller, team.organization_id):
        if team is None and is_administrator(caller):
            raise NotFound(f"No such team: {team_id!r}.", param="team_id")
        message = f"Only a proxy administrator or an administrator of the organization of team {team_id!r} may do this."
        raise AccessDenied(message)
    return team


async def organizes(services: Services, caller: Caller, organization_id: str | None) -> bool:
    """Whether the caller is administrator of everything, or of this organisation."""
    if is_administrator(caller):
        return True
    return organization_id is not None and organization_id in await organizations_of(services, caller, as_admin=True)


async def require_organizer(services: Services, caller: Caller, organization_id: str | None) -> None:
    """Refuse a caller who is administrator neither of everything nor of this organisation."""
    if not await organizes(services, caller, organization_id):
        where = "an organization" if organization_id is None else f"organization {organization_id!r}"
        raise AccessDenied(f"Only a proxy administrator or an administrator of {where} may do this, within it.")


async def _manages_key(services: Services, caller: Caller, key: KeyRecord) -> bool:
    if key.team_id is not None and key.team_id in await managed_teams(services, caller):
        return True
    own = await organizations_of(services, caller, as_admin=True)
    return key.organization_id is not None and key.organization_id in own


async def _teams_of_organizations(services: Services, caller: Caller) -> Sequence[str]:
    """The teams of the organisations that the caller is administrator of."""
    teams: list[str] = []
    for organization_id in await organizations_of(services, caller, as_admin=True):
        found, _ = await services.store.teams.select(organization_id=organization_id)
        teams += [team.team_id for team in found]
    return teams
