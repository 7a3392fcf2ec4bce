"""From what is stored of a key and of all that it belongs to, to a `Caller` with the scopes that limit it."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import structs

from sekisho.core.accounts import member_id
from sekisho.core.caller import Caller, Scope, ScopeKind
from sekisho.store.limits import budgets_of, expand_models
from sekisho.store.records import Access, Budgeted

ALL_TEAM_MODELS: Final = "all-team-models"
ALL_PROXY_MODELS: Final = "all-proxy-models"

ModelGroups = Mapping[str, Sequence[str]]
"""The models that the names of access groups stand for."""


def caller_from(access: Access, now: float, groups: ModelGroups) -> Caller:
    """The caller with the scopes that limit it, the narrowest first.

    `all-team-models` on a key stands for what its team may use, `all-proxy-models` anywhere for no restriction. A
    user's own limits hold on the keys of a team, too.
    """
    key, user, team, project, organization = access.key, access.user, access.team, access.project, access.organization
    models = key.models
    if ALL_TEAM_MODELS in models:
        models = team.models if team is not None else ()
    found: list[tuple[ScopeKind, str, str | None, Budgeted]] = [
        ("key", key.account_id, key.key_alias, structs.replace(key, models=models)),
    ]
    if (member := access.member) is not None:
        name = user.user_alias or user.user_email or user.user_id if user is not None else member.user_id
        found.append(("member", member_id(member.team_id, member.user_id), name, member))
    if user is not None:
        found.append(("user", user.user_id, user.user_alias, user))
    if project is not None:
        found.append(("project", project.project_id, project.project_alias, project))
    if team is not None:
        found.append(("team", team.team_id, team.team_alias, team))
    if organization is not None:
        found.append(("organization", organization.organization_id, organization.organization_alias, organization))
    return Caller(
        role="internal_user" if user is None else user.user_role,
        key_hash=key.key_hash,
        key_alias=key.key_alias,
        user_id=key.user_id,
        team_id=key.team_id,
        project_id=project.project_id if project is not None else None,
        organization_id=organization.organization_id if organization is not None else None,
        scopes=tuple(scope_from(*each, now, groups) for each in found),
        allowed_routes=key.allowed_routes,
        tags=key.tags,
        metadata=key.metadata,
    )


def scope_from(
    kind: ScopeKind, identity: str, alias: str | None, record: Budgeted | None, now: float, groups: ModelGroups
) -> Scope:
    """A scope with the limits of its record as they stand at `now`; one without a record has none."""
    if record is None:
        return Scope(kind=kind, id=identity, alias=alias)
    models = record.models
    return Scope(
        kind=kind,
        id=identity,
        alias=alias,
        models=() if ALL_PROXY_MODELS in models else expand_models(models, groups),
        budgets=budgets_of(record, now),
        soft_budget=record.soft_budget,
        rpm_limit=record.rpm_limit,
        tpm_limit=record.tpm_limit,
        tpd_limit=record.tpd_limit,
        max_parallel_requests=record.max_parallel_requests,
        model_limits=record.model_limits,
    )
