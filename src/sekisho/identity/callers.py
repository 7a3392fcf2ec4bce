"""From what is stored of a key and of all that it belongs to, to a `Caller` with the scopes that limit it."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import structs

from sekisho.config.overrides import read_override
from sekisho.core.accounts import member_id
from sekisho.core.caller import Caller, Scope, ScopeKind
from sekisho.core.errors import ConfigError
from sekisho.store.limits import budgets_of, counted_windows, expand_models, soft_window
from sekisho.store.records import Access, Administered, Budgeted, OrganizationMember, TeamMember, UserRecord

_log = logging.getLogger(__name__)

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
        found.append(("member", member_id(member.team_id, member.user_id), _name_member(user, member), member))
    if (affiliate := access.organization_member) is not None:
        identity = member_id(affiliate.organization_id, affiliate.user_id)
        found.append(("organization_member", identity, _name_member(user, affiliate), affiliate))
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
        tags=_join_tags(access),
        aliases=_join_aliases(access),
        routing=_find_routing(access),
        metadata=key.metadata,
    )


def levels_of(access: Access) -> list[tuple[str, Budgeted]]:
    """What a key belongs to, the key itself among it, by the names that errors give it; the narrowest first."""
    levels: list[tuple[str, Budgeted | None]] = [
        ("key", access.key),
        ("team member", access.member),
        ("organization member", access.organization_member),
        ("user", access.user),
        ("project", access.project),
        ("team", access.team),
        ("organization", access.organization),
    ]
    return [(name, record) for name, record in levels if record is not None]


def _name_member(user: UserRecord | None, member: TeamMember | OrganizationMember) -> str:
    return member.user_id if user is None else user.user_alias or user.user_email or user.user_id


def _join_tags(access: Access) -> tuple[str, ...]:
    """The tags of the key and of its team."""
    return tuple(dict.fromkeys((*access.key.tags, *(_kept(access.team, "tags") or ()))))


def _join_aliases(access: Access) -> dict[str, str]:
    """The names that key and team have for models; where both have one, the key's counts."""
    return {**(_kept(access.team, "model_aliases") or {}), **(_kept(access.key, "aliases") or {})}


def _find_routing(access: Access) -> dict[str, Any]:
    """What is said in place of the installation's routing: by the key, else by its team, as in LiteLLM."""
    settings, budget = (
        _kept(access.key, name) or _kept(access.team, name) for name in ("router_settings", "budget_fallbacks")
    )
    if not settings and not budget:
        return {}
    try:
        return read_override(settings or {}, budget)
    except ConfigError as error:  # kept by another version, which read them otherwise
        _log.warning("router_settings of the key %s or its team have no effect: %s", access.key.key_name, error.message)
        return {}


def _kept(record: Administered | None, name: str) -> Any:
    """A field that is kept as it was given; None when there is none."""
    return None if record is None else record.extra.get(name)


def scope_from(
    kind: ScopeKind, identity: str, alias: str | None, record: Budgeted, now: float, groups: ModelGroups
) -> Scope:
    """A scope with the limits of its record as they stand at `now`."""
    models = record.models
    return Scope(
        kind=kind,
        id=identity,
        alias=alias,
        models=() if ALL_PROXY_MODELS in models else expand_models(models, groups),
        budgets=budgets_of(record, now),
        counted=counted_windows(record),
        soft_budget=soft_window(record),
        rpm_limit=record.rpm_limit,
        tpm_limit=record.tpm_limit,
        tpd_limit=record.tpd_limit,
        max_parallel_requests=record.max_parallel_requests,
        model_limits=record.model_limits,
    )
