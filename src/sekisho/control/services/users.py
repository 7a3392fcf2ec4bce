"""Users."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from sekisho.control.services.context import Services
from sekisho.control.services.fields import USER_EXTRAS, budget_columns, extras, plain_columns
from sekisho.control.services.keys import check_key_fields, generate_key
from sekisho.control.services.people import new_user
from sekisho.control.services.teams import list_teams
from sekisho.control.services.views import View, listed_key_view, user_view
from sekisho.core.caller import Caller
from sekisho.core.errors import InvalidRequest, NotFound
from sekisho.identity.rights import sees_everything
from sekisho.store.keys import KeyFilter
from sekisho.store.records import TeamMember

_MANY = 1_000
_OF_KEY = ("models", "duration", "key_alias", "team_id")
"""The fields that go to the key that is made with a user."""


async def create_user(services: Services, caller: Caller, fields: Mapping[str, Any], *, with_key: bool) -> View:
    """Make a user, a member of the teams it names, with a key unless `with_key` is false.

    Raises:
        Conflict: the id, the e-mail address or the alias of the key exists already.
        InvalidRequest: a team does not exist.
    """
    key_fields = {name: fields[name] for name in _OF_KEY if name in fields} if with_key else {}
    await check_key_fields(services, key_fields)
    team_ids: list[str] = list(dict.fromkeys(fields.get("teams") or ()))
    known = {team.team_id for team in await services.store.teams.find(team_ids)}
    if missing := [team_id for team_id in team_ids if team_id not in known]:
        raise InvalidRequest(f"Team {missing[0]!r} does not exist. Create it with /team/new.", param="teams")
    user = new_user(
        services,
        caller,
        fields.get("user_id") or str(uuid4()),
        extra=extras(fields, USER_EXTRAS),
        **budget_columns(fields, services.clock.now()),
        **plain_columns(fields, "user_email", "user_alias", "metadata", "blocked"),
        **({"user_role": fields["user_role"]} if fields.get("user_role") else {}),
    )
    await services.store.users.insert(user)
    members = [TeamMember(team_id=team_id, user_id=user.user_id) for team_id in team_ids]
    await services.store.teams.put_members(members, [])
    services.changed("user", user.user_id)
    view = user_view(user, team_ids)
    if not with_key:
        return {**view, "key": None}
    return {**await generate_key(services, caller, {**key_fields, "user_id": user.user_id}), **view}


async def show_user(services: Services, caller: Caller, user_id: str | None) -> View:
    """A user with its keys and teams, and the spend up to this moment; the caller itself when `user_id` is None.

    Raises:
        InvalidRequest: the caller is no user.
        NotFound: there is no such user, or the caller may not see it.
    """
    wanted = user_id or caller.user_id
    if wanted is None:
        raise InvalidRequest("Say whom to show: /user/info?user_id=...", param="user_id")
    await services.store.journal.flush()
    user = await services.store.users.get(wanted)
    if user is None or not (sees_everything(caller) or wanted == caller.user_id):
        raise NotFound(f"No such user: {wanted!r}.", param="user_id")
    keys, _ = await services.store.keys.find(KeyFilter(user_id=wanted), limit=_MANY)
    teams = await list_teams(services, caller, wanted)
    return {
        "user_id": wanted,
        "user_info": user_view(user, [team["team_id"] for team in teams]),
        "keys": [listed_key_view(key) for key in keys],
        "teams": teams,
    }


async def list_users(services: Services, user_ids: Sequence[str] | None, *, page: int, size: int) -> View:
    """One page of all users, or of those with these ids."""
    await services.store.journal.flush()
    users, total = await services.store.users.find(user_ids=user_ids, limit=size, offset=(page - 1) * size)
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
