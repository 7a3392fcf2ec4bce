"""From what is stored of a key, its user and its team to a `Caller`."""

from typing import Final

from sekisho.core.caller import Caller, Scope, ScopeKind
from sekisho.store.records import Access, Budgeted

ALL_TEAM_MODELS: Final = "all-team-models"
ALL_PROXY_MODELS: Final = "all-proxy-models"


def caller_from(access: Access) -> Caller:
    """The caller with the scopes that limit it, the narrowest first.

    `all-team-models` on a key stands for what its team may use, `all-proxy-models` anywhere for no restriction.
    """
    key, user, team = access.key, access.user, access.team
    models = key.models
    if ALL_TEAM_MODELS in models:
        models = team.models if team is not None else ()
    scopes = [_scope("key", key.key_hash, key.key_alias, key, models)]
    if user is not None:
        scopes.append(_scope("user", user.user_id, user.user_alias, user, user.models))
    if team is not None:
        scopes.append(_scope("team", team.team_id, team.team_alias, team, team.models))
    return Caller(
        role="internal_user" if user is None else user.user_role,
        key_hash=key.key_hash,
        key_alias=key.key_alias,
        user_id=key.user_id,
        team_id=key.team_id,
        scopes=tuple(scopes),
        allowed_routes=key.allowed_routes,
        tags=key.tags,
        metadata=key.metadata,
    )


def _scope(kind: ScopeKind, identity: str, alias: str | None, record: Budgeted, models: tuple[str, ...]) -> Scope:
    return Scope(
        kind=kind,
        id=identity,
        alias=alias,
        models=() if ALL_PROXY_MODELS in models else models,
        max_budget=record.max_budget,
        budget_duration=record.budget_duration,
        budget_reset_at=record.budget_reset_at,
        spend=record.spend,
        rpm_limit=record.rpm_limit,
        tpm_limit=record.tpm_limit,
        max_parallel_requests=record.max_parallel_requests,
    )
