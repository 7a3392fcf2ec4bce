"""Records as LiteLLM's API shows them: money in dollars, times in ISO 8601."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sekisho.core.money import dollars_from_nano
from sekisho.store.records import Budgeted, KeyRecord, TeamMember, TeamRecord, UserRecord

View = dict[str, Any]


def iso(seconds: float | None) -> str | None:
    """A time in seconds since the epoch in ISO 8601, UTC, with milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def key_view(record: KeyRecord) -> View:
    """A key as `/key/info` shows it. It holds nothing secret."""
    return {
        "key_name": record.key_name,
        "key_alias": record.key_alias,
        "organization_id": None,
        "budget_id": None,
        "tpd_limit": None,
        "aliases": {},
        "config": {},
        "permissions": {},
        "model_max_budget": {},
        **record.extra,
        "user_id": record.user_id,
        "team_id": record.team_id,
        "blocked": record.blocked,
        "expires": iso(record.expires),
        "allowed_routes": list(record.allowed_routes),
        "key_type": record.key_type,
        "tags": list(record.tags),
        "last_active": iso(record.last_active),
        "model_spend": {},
        "litellm_budget_table": None,
        **_budget_view(record),
        **_administration_view(record),
    }


def listed_key_view(record: KeyRecord) -> View:
    """A key in a list, where its hash tells which it is."""
    return {"token": record.key_hash, **key_view(record)}


def team_view(record: TeamRecord, members: Sequence[TeamMember], emails: dict[str, str | None]) -> View:
    """A team with its members; `emails` are theirs by user id."""
    return {
        "team_id": record.team_id,
        "team_alias": record.team_alias,
        "organization_id": None,
        "tpd_limit": None,
        "model_max_budget": {},
        **record.extra,
        "admins": [],
        "members": [],
        "members_with_roles": [
            {"role": member.role, "user_id": member.user_id, "user_email": emails.get(member.user_id)}
            for member in members
        ],
        "blocked": record.blocked,
        "model_spend": {},
        "litellm_model_table": None,
        **_budget_view(record),
        **_administration_view(record),
    }


def membership_view(member: TeamMember) -> View:
    """One user's membership of one team."""
    budget = _budget_view(member)
    return {
        "user_id": member.user_id,
        "team_id": member.team_id,
        "spend": budget.pop("spend"),
        "total_spend": budget.pop("total_spend"),
        "litellm_budget_table": {**budget, "allowed_models": budget.pop("models")},
    }


def user_view(record: UserRecord, teams: Sequence[str]) -> View:
    """A user; `teams` are the ids of the teams it belongs to."""
    return {
        **record.extra,
        "user_id": record.user_id,
        "user_email": record.user_email,
        "user_alias": record.user_alias,
        "user_role": record.user_role,
        "teams": list(teams),
        "blocked": record.blocked,
        **_budget_view(record),
        **_administration_view(record),
    }


def _budget_view(record: Budgeted) -> View:
    return {
        "models": list(record.models),
        "spend": dollars_from_nano(record.spend),
        "total_spend": dollars_from_nano(record.total_spend),
        "max_budget": _dollars(record.max_budget),
        "soft_budget": _dollars(record.soft_budget),
        "budget_duration": record.budget_duration,
        "budget_reset_at": iso(record.budget_reset_at),
        "rpm_limit": record.rpm_limit,
        "tpm_limit": record.tpm_limit,
        "max_parallel_requests": record.max_parallel_requests,
    }


def _administration_view(record: KeyRecord | TeamRecord | UserRecord) -> View:
    return {
        "metadata": record.metadata,
        "created_at": iso(record.created_at),
        "created_by": record.created_by,
        "updated_at": iso(record.updated_at),
        "updated_by": record.updated_by,
    }


def _dollars(nano: int | None) -> float | None:
    return None if nano is None else dollars_from_nano(nano)
