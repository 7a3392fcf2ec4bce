"""What belongs to whom: the part of the rights that depends on records."""

from typing import Final

from sekisho.control.services.context import Services
from sekisho.core.caller import Caller
from sekisho.core.errors import AccessDenied, NotFound
from sekisho.identity.rights import is_administrator, sees_everything
from sekisho.store.records import KeyRecord

MASTER_USER: Final = "default_user_id"
"""LiteLLM's name for whoever holds the master key, in `created_by` and `updated_by`."""


def author(caller: Caller) -> str:
    """Who to write down as the author of a change."""
    return caller.user_id or caller.key_alias or caller.key_hash or MASTER_USER


async def teams_of(services: Services, caller: Caller, *, as_admin: bool) -> list[str]:
    """The ids of the teams that the caller is a member, or an administrator, of."""
    if caller.user_id is None:
        return []
    memberships = await services.store.users.memberships([caller.user_id])
    return [member.team_id for member in memberships if member.role == "admin" or not as_admin]


async def require_visible_key(services: Services, caller: Caller, key: KeyRecord | None) -> KeyRecord:
    """The key if the caller may see it; what may not be seen is as if it did not exist."""
    if key is not None:
        if sees_everything(caller) or key.key_hash == caller.key_hash:
            return key
        if caller.user_id is not None and key.user_id == caller.user_id:
            return key
        if key.team_id is not None and key.team_id in await teams_of(services, caller, as_admin=True):
            return key
    raise NotFound("No such key. Give the key itself or its hash.", param="key")


async def require_managed_key(services: Services, caller: Caller, key: KeyRecord | None) -> KeyRecord:
    """The key if the caller may change its limits: a proxy administrator, or an administrator of its team."""
    visible = await require_visible_key(services, caller, key)
    if is_administrator(caller):
        return visible
    if visible.team_id is not None and visible.team_id in await teams_of(services, caller, as_admin=True):
        return visible
    raise AccessDenied("Only a proxy administrator or an administrator of the key's team may change a key.")


async def require_managed_team(services: Services, caller: Caller, team_id: str) -> None:
    """Refuse a caller who may not change this team."""
    if not is_administrator(caller) and team_id not in await teams_of(services, caller, as_admin=True):
        raise AccessDenied(f"Only a proxy administrator or an administrator of team {team_id!r} may do this.")
