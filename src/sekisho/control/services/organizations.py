"""Organisations and their members."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast
from uuid import uuid4

from msgspec import structs

from sekisho.control.services.context import Services
from sekisho.control.services.fields import budget_columns, extras, plain_columns
from sekisho.control.services.ownership import changed_by, made_by, organizations_of, require_organizer
from sekisho.control.services.people import MemberRequest, find_users, require_user_id
from sekisho.control.services.references import check_references
from sekisho.control.services.teams import describe_teams
from sekisho.control.services.unenforced import LEVEL_EXTRAS
from sekisho.control.services.views import (
    View,
    administration_view,
    affiliation_view,
    budgeted_view,
    own_budget_view,
    user_view,
)
from sekisho.core.caller import Caller
from sekisho.core.errors import AccessDenied, NotFound
from sekisho.identity.rights import is_administrator, sees_everything
from sekisho.store.records import OrganizationMember, OrganizationRecord, OrganizationRole

_PLAIN: Final = ("organization_alias", "metadata")
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
        **budget_columns(fields, services.present()),
        **plain_columns(fields, *_PLAIN),
    )
    record = await services.store.organizations.insert(record)
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
    services: Services,
    caller: Caller,
    *,
    organization_id: str | None = None,
    alias: str | None = None,
    page: int = 1,
    size: int | None = None,
) -> list[View]:
    """One page (of `size`, or all) of the organisations that the caller may see.

    The one of this id or those of this name, if these are given.
    """
    visible = None if sees_everything(caller) else await organizations_of(services, caller, as_admin=False)
    if organization_id is not None:
        visible = [organization_id] if visible is None or organization_id in visible else []
    await services.store.journal.flush()
    records, _ = await services.store.organizations.select(
        organization_ids=visible, alias=alias, limit=size, offset=(page - 1) * (size or 0)
    )
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
        **budget_columns(fields, services.present(), record),
        **{name: value for name, value in plain_columns(fields, *_PLAIN).items() if value is not None},
        "extra": record.extra | extras(fields, LEVEL_EXTRAS),
        **changed_by(services, caller),
    }
    await services.store.journal.flush()
    changed = await services.store.organizations.update(organization_id, columns)
    if changed is None:
        raise NotFound(f"No such organization: {organization_id!r}.", param="organization_id")
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
    return views


async def add_members(
    services: Services, caller: Caller, organization_id: str, wanted: Sequence[MemberRequest], fields: Mapping[str, Any]
) -> View:
    """Add members to an organisation, or set the role and limits of those that are members already."""
    await require_organizer(services, caller, organization_id)
    await _require(services, organization_id)
    await check_references(services, {"budget_id": fields.get("budget_id")})
    found = await find_users(services, caller, wanted)
    known = {member.user_id: member for member in await services.store.organizations.members([organization_id])}
    limits, present = _member_limits(fields), services.present()
    members: list[OrganizationMember] = []
    for request, user in found:
        before = known.get(user.user_id, OrganizationMember(organization_id=organization_id, user_id=user.user_id))
        columns = budget_columns(limits, present, known.get(user.user_id))
        members.append(structs.replace(before, **columns, role=cast(OrganizationRole, request.role)))
    users = [user for _, user in found]
    await services.store.organizations.put_members(members, users)
    if "spend" in limits:
        for member in members:
            await services.store.organizations.update_member(organization_id, member.user_id, {"spend": member.spend})
    added = {user.user_id for user in users}
    stored = await services.store.organizations.members([organization_id])
    return {
        "organization_id": organization_id,
        "updated_users": [user_view(user, []) for user in users],
        "updated_organization_memberships": [affiliation_view(member) for member in stored if member.user_id in added],
    }


async def update_member(
    services: Services, caller: Caller, organization_id: str, user: Mapping[str, Any], fields: Mapping[str, Any]
) -> View:
    """Change the role or the limits of a member, named by `user_id` or `user_email`; null takes a limit away.

    Raises:
        NotFound: there is no such organisation, user or membership.
    """
    await require_organizer(services, caller, organization_id)
    await check_references(services, {"budget_id": fields.get("budget_id")})
    member = await _require_member(services, organization_id, user)
    columns = budget_columns(_member_limits(fields), services.present(), member)
    if fields.get("role") is not None:
        columns["role"] = fields["role"]
    await services.store.journal.flush()
    changed = await services.store.organizations.update_member(organization_id, member.user_id, columns)
    if changed is None:
        raise _no_member(organization_id, member.user_id)
    return affiliation_view(changed)


async def remove_member(services: Services, caller: Caller, organization_id: str, user: Mapping[str, Any]) -> View:
    """Take a member off an organisation; its keys and its teams stay."""
    await require_organizer(services, caller, organization_id)
    member = await _require_member(services, organization_id, user)
    await services.store.organizations.remove_members(organization_id, [member.user_id])
    return {"organization_id": organization_id, "user_id": member.user_id}


async def _require(services: Services, organization_id: str) -> OrganizationRecord:
    record = await services.store.organizations.get(organization_id)
    if record is None:
        raise NotFound(f"No such organization: {organization_id!r}.", param="organization_id")
    return record


async def _require_member(services: Services, organization_id: str, user: Mapping[str, Any]) -> OrganizationMember:
    user_id = await require_user_id(services, user.get("user_id"), user.get("user_email"))
    member = await services.store.organizations.member(organization_id, user_id)
    if member is None:
        raise _no_member(organization_id, user_id)
    return member


def _no_member(organization_id: str, user_id: str) -> NotFound:
    return NotFound(f"User {user_id!r} is not a member of organization {organization_id!r}.", param="user_id")


def _member_limits(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A member's limits as they are called everywhere."""
    limits = dict(fields)
    if "max_budget_in_organization" in limits:
        limits["max_budget"] = limits.pop("max_budget_in_organization")
    return limits


async def _describe(services: Services, records: Sequence[OrganizationRecord]) -> list[View]:
    """These organisations with their members and teams."""
    members: dict[str, list[View]] = {record.organization_id: [] for record in records}
    for member in await services.store.organizations.members(list(members)):
        members[member.organization_id].append(affiliation_view(member))
    teams: dict[str, list[View]] = {name: [] for name in members}
    for team in await describe_teams(services, await services.store.teams.of_organizations(list(members))):
        teams[team["organization_id"]].append(team)
    return [
        {
            "organization_id": record.organization_id,
            "organization_alias": record.organization_alias,
            **record.extra,
            **budgeted_view(record),
            "litellm_budget_table": own_budget_view(record),
            **administration_view(record),
            "members": members[record.organization_id],
            "teams": teams[record.organization_id],
        }
        for record in records
    ]
