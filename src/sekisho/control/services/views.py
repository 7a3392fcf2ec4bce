"""Records as LiteLLM's API shows them: money in dollars, times in ISO 8601."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sekisho.core.caller import BudgetWindow
from sekisho.core.money import dollars_from_nano
from sekisho.store.limits import in_force
from sekisho.store.records import (
    Administered,
    Budgeted,
    BudgetRecord,
    KeyRecord,
    Limits,
    OrganizationMember,
    TeamMember,
    TeamRecord,
    UserRecord,
)
from sekisho.store.teams import Seat

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
        "aliases": {},
        "config": {},
        "permissions": {},
        **record.extra,
        "user_id": record.user_id,
        "team_id": record.team_id,
        "project_id": record.project_id,
        "organization_id": record.organization_id,
        "access_group_ids": list(record.access_group_ids),
        "allowed_routes": list(record.allowed_routes),
        "key_type": record.key_type,
        "tags": list(record.tags),
        "last_active": iso(record.last_active),
        **budgeted_view(record),
        **administration_view(record),
    }


def listed_key_view(record: KeyRecord) -> View:
    """A key in a list, where its hash tells which it is."""
    return {"token": record.key_hash, **key_view(record)}


def team_view(record: TeamRecord, members: Sequence[TeamMember | Seat], emails: dict[str, str | None]) -> View:
    """A team with its members; `emails` are theirs by user id."""
    limits = record.member_limits or Limits()
    return {
        "team_id": record.team_id,
        "team_alias": record.team_alias,
        **record.extra,
        "organization_id": record.organization_id,
        "access_group_ids": list(record.access_group_ids),
        "admins": [],
        "members": [],
        "members_with_roles": [
            {"role": member.role, "user_id": member.user_id, "user_email": emails.get(member.user_id)}
            for member in members
        ],
        "team_member_budget": dollars(limits.max_budget),
        "team_member_budget_duration": limits.budget_duration,
        "team_member_rpm_limit": limits.rpm_limit,
        "team_member_tpm_limit": limits.tpm_limit,
        "team_member_permissions": list(record.member_permissions),
        "litellm_model_table": None,
        **budgeted_view(record),
        **administration_view(record),
    }


def membership_view(member: TeamMember) -> View:
    """One user's membership of one team."""
    return {
        "user_id": member.user_id,
        "team_id": member.team_id,
        "role": member.role,
        **budgeted_view(member),
        "litellm_budget_table": {**own_budget_view(member), "allowed_models": list(member.models)},
    }


def affiliation_view(member: OrganizationMember) -> View:
    """One user's membership of one organisation."""
    return {
        "user_id": member.user_id,
        "organization_id": member.organization_id,
        "user_role": member.role,
        **budgeted_view(member),
        "max_budget_in_organization": dollars(member.max_budget),
        "litellm_budget_table": own_budget_view(member),
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
        **budgeted_view(record),
        **administration_view(record),
    }


def budget_view(record: BudgetRecord) -> View:
    """A budget that others refer to."""
    return {
        "budget_id": record.budget_id,
        **limits_view(record),
        "created_at": iso(record.created_at),
        "created_by": record.created_by,
        "updated_at": iso(record.updated_at),
        "updated_by": record.updated_by,
    }


def budgeted_view(record: Budgeted) -> View:
    """The limits of a level with what it has spent, and with the budget that it refers to."""
    return {
        "models": list(record.models),
        "spend": dollars_from_nano(record.spend),
        "total_spend": dollars_from_nano(record.total_spend),
        "model_spend": {model: dollars_from_nano(spent) for model, spent in record.model_spend.items()},
        **limits_view(record, record.window_spend if record.budget_limits else ()),
        "temp_budget_increase": dollars(record.temp_budget_increase),
        "temp_budget_expiry": iso(record.temp_budget_expiry),
        "blocked": record.blocked,
        "expires": iso(record.expires),
        "soft_budget_reached": _reaches_soft_budget(record),
        "budget_id": record.budget_id,
        "litellm_budget_table": None if record.budget is None else budget_view(record.budget),
    }


def own_budget_view(record: Budgeted) -> View:
    """What stands in `litellm_budget_table` where LiteLLM always has one: the budget referred to, or the own limits."""
    if record.budget is not None and record.max_budget is None:
        return budget_view(record.budget)
    return {"budget_id": record.budget_id, **limits_view(record)}


def limits_view(record: Limits, spent: Sequence[int] = ()) -> View:
    """Limits; `spent` is what the windows of `budget_limits` have spent, if it is known."""
    windows = [window_view(window) for window in record.budget_limits]
    for view, amount in zip(windows, spent, strict=False):
        view["spend"] = dollars_from_nano(amount)
    models = record.model_limits
    return {
        "max_budget": dollars(record.max_budget),
        "soft_budget": dollars(record.soft_budget),
        "budget_duration": record.budget_duration,
        "budget_timezone": record.budget_timezone,
        "budget_reset_at": iso(record.budget_reset_at),
        "budget_rollover": record.budget_rollover,
        "budget_limits": windows,
        "rpm_limit": record.rpm_limit,
        "tpm_limit": record.tpm_limit,
        "tpd_limit": record.tpd_limit,
        "max_parallel_requests": record.max_parallel_requests,
        "model_max_budget": {
            model: {
                "budget_limit": dollars(limits.budgets[0].limit),
                "time_period": limits.budgets[0].duration,
                "reset_at": iso(limits.budgets[0].resets_at),
            }
            for model, limits in models.items()
            if limits.budgets
        },
        "model_rpm_limit": _per_model({model: limits.rpm_limit for model, limits in models.items()}),
        "model_tpm_limit": _per_model({model: limits.tpm_limit for model, limits in models.items()}),
    }


def window_view(window: BudgetWindow) -> View:
    """One of several budgets that hold at once."""
    return {
        "budget_duration": window.duration,
        "max_budget": dollars(window.limit),
        "reset_at": iso(window.resets_at),
    }


def administration_view(record: Administered) -> View:
    """Who made and changed it, and what was noted with it."""
    return {
        "metadata": record.metadata,
        "created_at": iso(record.created_at or None),
        "created_by": record.created_by,
        "updated_at": iso(record.updated_at or None),
        "updated_by": record.updated_by,
    }


def dollars(nano: int | None) -> float | None:
    """An amount that may be unlimited."""
    return None if nano is None else dollars_from_nano(nano)


def _reaches_soft_budget(record: Budgeted) -> bool:
    """Whether the open window has spent the soft budget that is in force, for which an alert was or will be given."""
    soft_budget = in_force(record, record.budget).soft_budget
    return soft_budget is not None and record.spend >= soft_budget


def _per_model(limits: Mapping[str, int | None]) -> dict[str, int] | None:
    return {model: limit for model, limit in limits.items() if limit is not None} or None
