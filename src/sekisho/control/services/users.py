"""Users."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from sekisho.control.services.context import Services
from sekisho.control.services.fields import budget_columns, extras, plain_columns
from sekisho.control.services.keys import check_key_fields, make_key_of, place_key
from sekisho.control.services.ownership import changed_by, managed_teams, organizations_of
from sekisho.control.services.people import new_user, require_user_id
from sekisho.control.services.references import check_references
from sekisho.control.services.teams import list_teams
from sekisho.control.services.unenforced import USER_EXTRAS
from sekisho.control.services.views import View, affiliation_view, listed_key_view, user_view
from sekisho.core.caller import Caller
from sekisho.core.errors import AccessDenied, InvalidRequest, NotFound, SekishoError
from sekisho.identity.rights import is_administrator, sees_everything
from sekisho.store.keys import KeyFilter
from sekisho.store.records import OrganizationMember, TeamMember, UserRecord

ROLES: Final[dict[str, dict[str, str]]] = {
    "proxy_admin": {"ui_label": "Administrator", "description": "Sees and changes everything."},
    "proxy_admin_viewer": {"ui_label": "Administrator (view only)", "description": "Sees everything."},
    "internal_user": {
        "ui_label": "User",
        "description": "Sees what is its own, makes and deletes its own keys, manages teams it is administrator of.",
    },
    "internal_user_viewer": {"ui_label": "User (view only)", "description": "Sees what is its own."},
}
_MANY = 1_000
_OF_KEY = ("models", "duration", "key_alias", "team_id")
"""The fields that go to the key that is made with a user."""
_PLAIN: Final = ("user_email", "user_alias", "metadata")


async def create_user(services: Services, caller: Caller, fields: Mapping[str, Any], *, with_key: bool) -> View:
    """Make a user, a member of the teams and organisations it names, with a key unless `with_key` is false.

    Raises:
        AccessDenied: the caller is administrator neither of everything nor of the organisations that are named.
        Conflict: the id, the e-mail address or the alias of the key exists already.
        InvalidRequest: a team or an organisation does not exist.
    """
    await _require_maker(services, caller, fields)
    key_fields = {name: fields[name] for name in _OF_KEY if name in fields} if with_key else {}
    await check_key_fields(services, key_fields)
    await check_references(services, {"budget_id": fields.get("budget_id")})
    team_ids: list[str] = list(dict.fromkeys(fields.get("teams") or ()))
    known = {team.team_id for team in await services.store.teams.get_many(team_ids)}
    if missing := [team_id for team_id in team_ids if team_id not in known]:
        raise InvalidRequest(f"Team {missing[0]!r} does not exist. Create it with /team/new.", param="teams")
    organization_ids: list[str] = list(dict.fromkeys(fields.get("organizations") or ()))
    for organization_id in organization_ids:
        await check_references(services, {"organization_id": organization_id})
    user = new_user(services, caller, fields.get("user_id") or str(uuid4()), fields)
    user = await services.store.users.insert(user)
    members = [
        TeamMember(team_id=team_id, user_id=user.user_id, budget_started_at=user.created_at) for team_id in team_ids
    ]
    await services.store.teams.put_members(members, [])
    memberships = [OrganizationMember(organization_id=name, user_id=user.user_id) for name in organization_ids]
    await services.store.organizations.put_members(memberships, [])
    view = {**user_view(user, team_ids), "organizations": organization_ids}
    if not with_key:
        return {**view, "key": None}
    placed = await place_key(services, caller, {**key_fields, "user_id": user.user_id})
    key = await make_key_of(services, caller, placed)
    return {**key, **view, "expires": key["expires"]}  # of the key, as in LiteLLM


async def show_user(services: Services, caller: Caller, user_id: str | None) -> View:
    """A user with its keys and teams, and the spend up to this moment; the caller itself when `user_id` is None.

    Raises:
        InvalidRequest: the caller is no user.
        NotFound: there is no such user, or the caller may not see it.
    """
    user = await _require_visible(services, caller, user_id)
    wanted = user.user_id
    keys, _ = await services.store.keys.select(KeyFilter(user_id=wanted), limit=_MANY)
    teams, _ = await list_teams(services, caller, wanted)
    organizations = await services.store.organizations.of_users([wanted])
    return {
        "user_id": wanted,
        "user_info": user_view(user, [team["team_id"] for team in teams]),
        "keys": [listed_key_view(key) for key in keys],
        "teams": teams,
        "organization_memberships": [affiliation_view(member) for member in organizations],
    }


async def show_user_alone(services: Services, caller: Caller, user_id: str | None) -> View:
    """A user with the ids of its teams; the same errors as `show_user`."""
    user = await _require_visible(services, caller, user_id)
    teams = await services.store.users.memberships([user.user_id])
    return user_view(user, [member.team_id for member in teams])


async def list_users(
    services: Services, user_ids: Sequence[str] | None, role: str | None, *, page: int, size: int
) -> View:
    """One page of all users, or of those with these ids or this role."""
    await services.store.journal.flush()
    users, total = await services.store.users.select(user_ids=user_ids, role=role, limit=size, offset=(page - 1) * size)
    teams: dict[str, list[str]] = {user.user_id: [] for user in users}
    for member in await services.store.users.memberships(list(teams)):
        teams[member.user_id].append(member.team_id)
    return {
        "users": [user_view(user, teams[user.user_id]) for user in users],
        "total": total,
        "page": page,
        "page_size": size,
        "total_pages": -(-total // size),
    }


async def update_user(services: Services, caller: Caller, fields: Mapping[str, Any]) -> View:
    """Change what `fields` sets of the user that its `user_id`, or else its `user_email`, names.

    Raises:
        NotFound: there is no such user.
        Conflict: the e-mail address belongs to somebody else.
    """
    user_id = await require_user_id(services, fields.get("user_id"), fields.get("user_email"))
    await check_references(services, {"budget_id": fields.get("budget_id")})
    user = await services.store.users.get(user_id)
    if user is not None:
        columns = {
            **budget_columns(fields, services.present(), user),
            **plain_columns(fields, *_PLAIN),
            **({"user_role": fields["user_role"]} if fields.get("user_role") else {}),
            "extra": user.extra | extras(fields, USER_EXTRAS),
            **changed_by(services, caller),
        }
        await services.store.journal.flush()
        user = await services.store.users.update(user_id, columns)
    if user is None:
        raise NotFound(f"No such user: {user_id!r}.", param="user_id")
    teams = [member.team_id for member in await services.store.users.memberships([user_id])]
    return {"user_id": user_id, "data": user_view(user, teams)}


async def update_users(services: Services, caller: Caller, updates: Sequence[Mapping[str, Any]]) -> View:
    """Change several users, each by itself: what fails is told, and does not keep the others from being changed."""
    results: list[View] = []
    for fields in updates:
        named = {"user_id": fields.get("user_id"), "user_email": fields.get("user_email")}
        try:
            changed = await update_user(services, caller, fields)
        except SekishoError as error:
            results.append({**named, "success": False, "error": error.message, "updated_user": None})
        else:
            results.append({**named, "success": True, "error": None, "updated_user": changed["data"]})
    done = sum(result["success"] for result in results)
    return {
        "results": results,
        "total_requested": len(updates),
        "successful_updates": done,
        "failed_updates": len(updates) - done,
    }


async def delete_users(services: Services, user_ids: Sequence[str]) -> View:
    """Delete users with their keys and memberships, all or none; usage rows stay.

    Raises:
        NotFound: one of them does not exist.
    """
    known = {user.user_id for user in await services.store.users.get_many(user_ids)}
    if missing := [user_id for user_id in user_ids if user_id not in known]:
        raise NotFound(f"No such user: {missing[0]!r}.", param="user_ids")
    await services.store.journal.flush()
    deleted = await services.store.users.delete(user_ids)
    return {"deleted_users": deleted}


async def _require_visible(services: Services, caller: Caller, user_id: str | None) -> UserRecord:
    wanted = user_id or caller.user_id
    if wanted is None:
        raise InvalidRequest("Say whom to show: ?user_id=...", param="user_id")
    await services.store.journal.flush()
    user = await services.store.users.get(wanted)
    if user is None or not (sees_everything(caller) or wanted == caller.user_id):
        raise NotFound(f"No such user: {wanted!r}.", param="user_id")
    return user


async def _require_maker(services: Services, caller: Caller, fields: Mapping[str, Any]) -> None:
    """Refuse a caller who may not make this user: an organisation's administrator makes plain users within it."""
    if is_administrator(caller):
        return
    own = await organizations_of(services, caller, as_admin=True)
    wanted = fields.get("organizations") or []
    if not wanted or not set(wanted) <= set(own):
        message = "Only a proxy administrator may do this, or an administrator of the organizations of the new user."
        raise AccessDenied(message, param="organizations")
    if (fields.get("user_role") or "").startswith("proxy_"):
        raise AccessDenied("Only a proxy administrator may make proxy administrators.", param="user_role")
    teams = set(fields.get("teams") or ()) | {team for team in [fields.get("team_id")] if team is not None}
    if not teams <= set(await managed_teams(services, caller)):
        raise AccessDenied("The teams of the new user must be in your organization.", param="teams")
