"""From the fields of an admin request to the columns of a record."""

from collections.abc import Mapping
from typing import Any, Final

from sekisho.core.durations import next_reset
from sekisho.core.money import nano_from_dollars

_MONEY: Final = ("max_budget", "soft_budget", "spend")
_PLAIN: Final = ("rpm_limit", "tpm_limit", "max_parallel_requests")
_NEVER_NULL: Final = {"models": (), "metadata": {}, "tags": (), "allowed_routes": (), "blocked": False, "spend": 0}
"""What null stands for where a column must have a value."""

_SHARED_EXTRAS: Final = frozenset(
    {
        "budget_limits",
        "budget_id",
        "organization_id",
        "tpd_limit",
        "model_max_budget",
        "model_rpm_limit",
        "model_tpm_limit",
        "rpm_limit_type",
        "tpm_limit_type",
        "guardrails",
        "policies",
        "prompts",
        "object_permission",
        "access_group_ids",
        "router_settings",
        "config",
        "permissions",
        "aliases",
        "enforced_params",
    }
)
KEY_EXTRAS: Final = _SHARED_EXTRAS | frozenset(
    {
        "project_id",
        "agent_id",
        "auto_rotate",
        "rotation_interval",
        "send_invite_email",
        "throttle_on_budget_exceeded",
        "budget_fallbacks",
        "enable_prompt_caching",
        "temp_budget_increase",
        "temp_budget_expiry",
    }
)
TEAM_EXTRAS: Final = _SHARED_EXTRAS | frozenset(
    {
        "model_aliases",
        "tags",
        "secret_manager_settings",
        "team_member_budget",
        "team_member_budget_duration",
        "team_member_rpm_limit",
        "team_member_tpm_limit",
        "team_member_key_duration",
        "team_member_permissions",
    }
)
USER_EXTRAS: Final = _SHARED_EXTRAS | frozenset(
    {
        "organizations",
        "sso_user_id",
        "send_invite_email",
    }
)
"""Fields of LiteLLM's API that are kept and given back, but have no effect here."""


def budget_columns(fields: Mapping[str, Any], now: float) -> dict[str, Any]:
    """The columns of limits and money that `fields` sets; dollars become nano-dollars, a duration begins a window."""
    columns: dict[str, Any] = {name: fields[name] for name in _PLAIN if name in fields}
    for name in _MONEY:
        if name in fields:
            columns[name] = None if fields[name] is None else nano_from_dollars(fields[name])
    if "models" in fields:
        columns["models"] = tuple(fields["models"] or ())
    if "budget_duration" in fields:
        duration = fields["budget_duration"] or None
        columns["budget_duration"] = duration
        columns["budget_reset_at"] = next_reset(duration, now) if duration else None
    return with_defaults(columns)


def plain_columns(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The columns that `fields` sets as they are."""
    return with_defaults({name: fields[name] for name in names if name in fields})


def with_defaults(columns: Mapping[str, Any]) -> dict[str, Any]:
    """`columns` with null replaced where it is not a value."""
    return {name: _NEVER_NULL.get(name) if value is None else value for name, value in columns.items()}


def extras(fields: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The fields of LiteLLM's API that are only kept; those that nobody knows are left out."""
    return {name: value for name, value in fields.items() if name in known}


def without_effect(fields: Mapping[str, Any], known: frozenset[str]) -> list[str]:
    """The names of fields that ask for something which is only kept, so that nobody relies on it."""
    return sorted(name for name, value in extras(fields, known).items() if value not in (None, [], {}, "", False))
