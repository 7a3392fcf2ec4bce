"""Users that come into being because something names them."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from msgspec import Struct

from sekisho.control.services.context import Services
from sekisho.control.services.ownership import author
from sekisho.core.caller import Caller
from sekisho.core.errors import InvalidRequest
from sekisho.store.records import MemberRole, TeamMember, UserRecord


class MemberRequest(Struct, frozen=True, kw_only=True):
    """Someone to be a member of a team, named by id or e-mail address."""

    role: MemberRole
    user_id: str | None = None
    user_email: str | None = None


def new_user(services: Services, caller: Caller, user_id: str, **fields: Any) -> UserRecord:
    """The record of a new user."""
    now, who = services.clock.now(), author(caller)
    return UserRecord(user_id=user_id, created_at=now, created_by=who, updated_at=now, updated_by=who, **fields)


async def find_members(
    services: Services, caller: Caller, team_id: str, wanted: Sequence[MemberRequest], limits: dict[str, Any]
) -> tuple[list[TeamMember], list[UserRecord]]:
    """The memberships that `wanted` asks for, all with the same limits, and their users; unknown ones are new.

    Raises:
        InvalidRequest: a member is named neither by id nor by e-mail address.
    """
    members: dict[str, TeamMember] = {}
    users: dict[str, UserRecord] = {}
    for member in wanted:
        user = await _find_user(services, caller, member)
        users[user.user_id] = user
        members[user.user_id] = TeamMember(team_id=team_id, user_id=user.user_id, role=member.role, **limits)
    return list(members.values()), list(users.values())


async def _find_user(services: Services, caller: Caller, member: MemberRequest) -> UserRecord:
    known = None
    if member.user_id is not None:
        known = await services.store.users.get(member.user_id)
    elif member.user_email is not None:
        known = await services.store.users.get_by_email(member.user_email)
    else:
        raise InvalidRequest("A member needs a user_id or a user_email.", param="member")
    if known is not None:
        return known
    email = member.user_email
    if email is not None and member.user_id is not None and await services.store.users.get_by_email(email) is not None:
        raise InvalidRequest("The user_email of a member belongs to a user with another user_id.", param="user_email")
    return new_user(services, caller, member.user_id or str(uuid4()), user_email=email)
