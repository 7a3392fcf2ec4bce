"""Organisations and their members."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast
from uuid import uuid4

from sekisho.control.services.context import Services
from sekisho.control.services.fields import budget_columns, extras, plain_columns
from sekisho.control.services.ownership import changed_by, made_by, organizations_of, require_organizer
from sekisho.control.services.people import MemberRequest, find_users, require_user_id
from sekisho.control.services.references import check_references
from sekisho.control.services.teams import describe_teams
from sekisho.control.services.unenforced import LEVEL_EXTRAS
from sekisho.control.services.views import View, administration_view, budgeted_view, own_budget_view, user_view
from sekisho.core.caller import Caller
from sekisho.core.errors import AccessDenied, NotFound
from sekisho.identity.rights import is_administrator, sees_everything
from sekisho.store.records import OrganizationMember, OrganizationRecord, OrganizationRole

_PLAIN: Final = ("organization_alias", "metadata", "blocked")
_OF_ORGANIZERS: Final = frozenset({"organization_alias", "metadata"})
"""What an organisation's own administrators may change; its limits are set from above."""


async def create_organization(services: Services, caller: Caller, fields: Mapping[str, Any]) -> View:
    """Make an organisation.

    Raises:
        Conflict: the id is taken.
        InvalidRequest: the budget it refers to does not exist.
    """
    await check_references(services, {"budget_id": fields.get("budget_id")})
    record = OrganizationRecord(
        organization_id=fields.get("organization_id") or str(uuid4()),
        extra=extras(fields, LEVEL_EXTRAS),
        **made_by(services, caller),
        **budget_columns(fields, services.clock.now()),
        **plain_columns(fields, *_PLAIN),
    )
    record = await services.store.organizations.insert(record)
    services.changed("organization", record.organization_id)
    (view,) = await _describe(services, [record])
    return view


async def show_organization(services: Services, caller: Caller, organization_id: str) -> View:
    """An organisation with its members, teams and spend.

    Raises:
        NotFound: there is no such organisation, or the caller does not belong to it.
    """
    found = await list_organizations(services, caller, organization_id=organization_id)
    if not found:
        raise NotFound(f"No such organization: {organization_id!r}.", param="organization_id")
    return found[0]


async def list_organizations(
    services: Services, caller: Caller, *, organization_id: str | None = None, alias: str | None = None
) -> list[View]:
    """The organisations that the caller may see; the one of this id or those of this name, if these are given."""
    visible = None if sees_everything(caller) else await organizations_of(services, caller, as_admin=False)
    if organization_id is not None:
        visible = [organization_id] if visible is None or organization_id in visible else []
    await services.store.journal.flush()
    records = await services.store.organizations.select(organization_ids=visible, alias=alias)
    return await _describe(services, records)


async def update_organization(
    services: Services, caller: Caller, organization_id: str, fields: Mapping[str, Any]
) -> View:
    """Change what `fields` sets; null takes a limit away.

    Raises:
        AccessDenied: the caller may not change this of it.
        NotFound: there is no such organisation.
    """
    await require_organizer(services, caller, organization_id)
    forbidden = sorted(fields.keys() - _OF_ORGANIZERS)
    if forbidden and not is_administrator(caller):
        raise AccessDenied(f"Only a proxy administrator may change {', '.join(forbidden)} of an organization.")
    await check_references(services, {"budget_id": fields.get("budget_id")})
    record = await _require(services, organization_id)
    columns = {
        **budget_columns(fields, services.clock.now(), record),
        **{name: value for name, value in plain_columns(fields, *_PLAIN).items() if value is not None},
        "extra": record.extra | extras(fields, LEVEL_EXTRAS),
        **changed_by(services, caller),
    }
    await services.store.journal.flush()
    changed = await services.store.organizations.update(organization_id, columns)
    if changed is None:
        raise NotFound(f"No such organization: {organization_id!r}.", param="organization_id")
    services.changed("organization", organization_id)
    (view,) = await _describe(services, [changed])
    return view


async def delete_organizations(services: Services, organization_ids: Sequence[str]) -> list[View]:
    """Delete organisations with their teams and keys, all or none, and show what they were.

    Raises:
        NotFound: one of them does not exist.
    """
    records = [await _require(services, organization_id) for organization_id in organization_ids]
    await services.store.journal.flush()
    views = await _describe(services, records)
    await services.store.organizations.delete(organization_ids)
    for organization_id in organization_ids:
        services.changed("organization", organization_id)
    return views


async def add_members(
    services: Services, caller: Caller, organization_id: str, wanted: Sequence[MemberRequest]
) -> View:
    """Add members to an organisation, or set the role of those that are members already; new ones become users."""
    await require_organizer(services, caller, organization_id)
    await _require(services, organization_id)
    found = await find_users(services, caller, wanted)
    members = [
        OrganizationMember(
            organization_id=organization_id, user_id=user.user_id, role=cast(OrganizationRole, request.role)
        )
        for request, user in found
    ]
    users = [user for _, user in found]
    await services.store.organizations.put_members(members, users)
    services.changed("organization", organization_id)
    return {
        "organization_id": organization_id,
        "updated_users": [user_view(user, []) for user in users],
        "updated_organization_memberships": [_member_view(member) for member in members],
    }


async def update_member(
    services: Services, caller: Caller, organization_id: str, user: Mapping[str, Any], role: OrganizationRole
) -> View:
    """Change the role of a member, named by `user_id` or `user_email`."""
    await require_organizer(services, caller, organization_id)
    user_id = await _require_member(services, organization_id, user)
    member = OrganizationMember(organization_id=organization_id, user_id=user_id, role=role)
    await services.store.organizations.put_members([member], [])
    services.changed("organization", organization_id)
    return _member_view(member)


async def remove_member(services: Services, caller: Caller, organization_id: str, user: Mapping[str, Any]) -> View:
    """Take a member off an organisation; its keys and its teams stay."""
    await require_organizer(services, caller, organization_id)
    user_id = await _require_member(services, organization_id, user)
    await services.store.organizations.remove_members(organization_id, [user_id])
    services.changed("organization", organization_id)
    return {"organization_id": organization_id, "user_id": user_id}


async def _require(services: Services, organization_id: str) -> OrganizationRecord:
    record = await services.store.organizations.get(organization_id)
    if record is None:
        raise NotFound(f"No such organization: {organization_id!r}.", param="organization_id")
    return record


async def _require_member(services: Services, organization_id: str, user: Mapping[str, Any]) -> str:
    user_id = await require_user_id(services, user.get("user_id"), user.get("user_email"))
    members = await services.store.organizations.members([organization_id])
    if user_id not in {member.user_id for member in members}:
        message = f"User {user_id!r} is not a member of organization {organization_id!r}."
        raise NotFound(message, param="user_id")
    return user_id


async def _describe(services: Services, records: Sequence[OrganizationRecord]) -> list[View]:
    """These organisations with their members and teams."""
    views: list[View] = []
    members: dict[str, list[View]] = {record.organization_id: [] for record in records}
    for member in await services.store.organizations.members(list(members)):
        members[member.organization_id].append(_member_view(member))
    for record in records:
        teams, _ = await services.store.teams.select(organization_id=record.organization_id)
        views.append(
            {
                "organization_id": record.organization_id,
                "organization_alias": record.organization_alias,
                **record.extra,
                "blocked": record.blocked,
                **budgeted_view(record),
                "litellm_budget_table": own_budget_view(record),
                **administration_view(record),
                "members": members[record.organization_id],
                "teams": await describe_teams(services, teams),
            }
        )
    return views


def _member_view(member: OrganizationMember) -> View:
    return {"organization_id": member.organization_id, "user_id": member.user_id, "user_role": member.role}
