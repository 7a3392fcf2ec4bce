"""Users that come into being because something names them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from msgspec import Struct

from sekisho.control.services.context import Services
from sekisho.control.services.fields import budget_columns, extras, plain_columns
from sekisho.control.services.ownership import made_by
from sekisho.control.services.unenforced import USER_EXTRAS
from sekisho.core.caller import Caller
from sekisho.core.errors import InvalidRequest, NotFound
from sekisho.store.records import UserRecord


class MemberRequest(Struct, frozen=True, kw_only=True):
    """Someone to be a member of a team or an organisation, in one of its roles.

    Named by id or e-mail address, the latter in lower case, as everywhere behind the admin API's requests.
    """

    role: str
    user_id: str | None = None
    user_email: str | None = None


def new_user(services: Services, caller: Caller, user_id: str, fields: Mapping[str, Any] | None = None) -> UserRecord:
    """The record of a new user, by the fields of a request and what the configuration says of internal users."""
    given = {name: value for name, value in (fields or {}).items() if value is not None}
    if not str(given.get("user_role", "")).startswith("proxy_"):
        given = {**services.worlds.snapshot.user_defaults, **given}
    return UserRecord(
        user_id=user_id,
        extra=extras(fields or {}, USER_EXTRAS),
        **made_by(services, caller),
        **budget_columns(given, services.present()),
        **plain_columns(given, "user_email", "user_alias", "metadata", "user_role"),
    )


async def find_users(
    services: Services, caller: Caller, wanted: Sequence[MemberRequest]
) -> list[tuple[MemberRequest, UserRecord]]:
    """Whom `wanted` names, each once; unknown ones are new, and not stored yet.

    Raises:
        InvalidRequest: somebody is named neither by id nor by e-mail address.
    """
    found: dict[str, tuple[MemberRequest, UserRecord]] = {}
    by_email: dict[str, UserRecord] = {}
    for member in wanted:
        email = member.user_email if member.user_id is None else None
        user = by_email.get(email or "") or await _find_user(services, caller, member)
        if user.user_email is not None:
            by_email[user.user_email] = user
        found[user.user_id] = (member, user)
    return list(found.values())


async def require_user_id(services: Services, user_id: str | None, user_email: str | None) -> str:
    """The id of a user who is named by id or e-mail address.

    Raises:
        InvalidRequest: by neither.
        NotFound: nobody has this address.
    """
    if user_id is not None:
        return user_id
    if user_email is None:
        raise InvalidRequest("Name the user by user_id or user_email.", param="user_id")
    user = await services.store.users.get_by_email(user_email)
    if user is None:
        raise NotFound(f"No user has the address {user_email!r}.", param="user_email")
    return user.user_id


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
    return new_user(services, caller, member.user_id or str(uuid4()), {"user_email": email})
