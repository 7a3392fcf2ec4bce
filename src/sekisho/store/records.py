"""What the store keeps, one record per row.

Money is in nano-dollars. Times are seconds since the epoch, but milliseconds in usage rows. `spend` is that of the
current budget window, `total_spend` that of all time. None means unlimited, or not set. A key is known by the SHA-256
of its text, in hex.
"""

from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from sekisho.core.caller import Role
from sekisho.core.durations import next_reset
from sekisho.core.usage import Usage

MemberRole = Literal["admin", "user"]


class Budgeted(Struct, frozen=True, kw_only=True):
    """The limits and the spend that every level of the hierarchy has."""

    models: tuple[str, ...] = ()
    max_budget: int | None = None
    soft_budget: int | None = None
    budget_duration: str | None = None
    budget_reset_at: float | None = None
    spend: int = 0
    total_spend: int = 0
    rpm_limit: int | None = None
    tpm_limit: int | None = None
    max_parallel_requests: int | None = None


class _Administered(Budgeted, frozen=True, kw_only=True):
    """What an administrator made. `extra` keeps the fields of LiteLLM's API that have no meaning of their own here."""

    metadata: dict[str, object] = {}
    extra: dict[str, object] = {}
    created_at: float = 0.0
    created_by: str | None = None
    updated_at: float = 0.0
    updated_by: str | None = None


class KeyRecord(_Administered, frozen=True, kw_only=True):
    """A virtual key. `key_name` shows its last four characters."""

    key_hash: str
    key_name: str
    key_alias: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    expires: float | None = None
    blocked: bool = False
    key_type: str = "default"
    allowed_routes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    last_active: float | None = None


class TeamRecord(_Administered, frozen=True, kw_only=True):
    """A team; its members are rows of their own."""

    team_id: str
    team_alias: str | None = None
    blocked: bool = False


class TeamMember(Budgeted, frozen=True, kw_only=True):
    """One user's membership of one team, with what the member may spend there."""

    team_id: str
    user_id: str
    role: MemberRole = "user"


class UserRecord(_Administered, frozen=True, kw_only=True):
    """A person or a service that keys belong to."""

    user_id: str
    user_email: str | None = None
    user_alias: str | None = None
    user_role: Role = "internal_user"
    blocked: bool = False


class Access(Struct, frozen=True, kw_only=True):
    """A key with the user and the team it belongs to: all that is needed to know a caller."""

    key: KeyRecord
    user: UserRecord | None
    team: TeamRecord | None
    team_role: MemberRole | None


class UsageRow(Struct, frozen=True, kw_only=True):
    """What one call used. Every call leaves exactly one.

    id: the call's id, a UUID.
    call_type: LiteLLM's name of the operation, such as `acompletion`.
    started_at, ended_at: milliseconds since the epoch. `ttft_ms`: until the first token, None if there was none.
    key_hash: None when the master key called.
    model: as the caller asked; model_group, deployment_id, provider, upstream_model, account, region: what served it.
    cost_nano: None when the price is unknown. `price_version` names the table it was reckoned with.
    status: `success`, `failure` or `client_closed`; http_status: what the client got (499 if it had left).
    estimated: the tokens were not all told by the upstream. simulated: no real model was asked.
    agent, agent_version: what called, such as `claude-code`. agent_id: which of the session's agents, where it has
    several; parent_id: the agent or session that began it.
    retries: attempts beyond the first, on all targets. fallbacks: how often the call went on to another model group.
    """

    id: str
    call_type: str
    started_at: int
    ended_at: int
    model: str
    status: str
    http_status: int
    ttft_ms: int | None = None
    key_hash: str | None = None
    key_alias: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    model_group: str | None = None
    deployment_id: str | None = None
    provider: str | None = None
    upstream_model: str | None = None
    account: str | None = None
    region: str | None = None
    usage: Usage = Usage()
    cost_nano: int | None = None
    price_version: str | None = None
    error_class: str | None = None
    estimated: bool = False
    simulated: bool = False
    streamed: bool = False
    session_id: str | None = None
    agent: str | None = None
    agent_version: str | None = None
    agent_id: str | None = None
    parent_id: str | None = None
    end_user: str | None = None
    requester_ip: str | None = None
    tags: tuple[str, ...] = ()
    retries: int = 0
    fallbacks: int = 0


BudgetedRecord = TypeVar("BudgetedRecord", bound=Budgeted)


def in_window(record: BudgetedRecord, now: float) -> BudgetedRecord:
    """`record` as it stands at `now`: once its budget window has ended, nothing is spent of the next one."""
    if record.budget_duration is None or record.budget_reset_at is None or record.budget_reset_at > now:
        return record
    reset_at = next_reset(record.budget_duration, now)
    return msgspec.structs.replace(record, spend=0, budget_reset_at=reset_at)
