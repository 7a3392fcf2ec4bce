"""What the store keeps, one record per row.

Money is in nano-dollars. Times are seconds since the epoch, but milliseconds in usage rows. None means unlimited, or
not set. A key is known by the SHA-256 of its text, in hex. What is spent is no column: it is read from the accounts,
and set to what it is when a record is read for showing.
"""

from typing import Any, Literal

from msgspec import Struct

from sekisho.core.caller import BudgetWindow, ModelLimits, Role
from sekisho.core.usage import Usage

MemberRole = Literal["admin", "user"]
OrganizationRole = Literal["org_admin", "internal_user", "internal_user_viewer"]


class Limits(Struct, frozen=True, kw_only=True):
    """What may be used.

    budget_duration: the length of the windows of `max_budget`; None for a budget for ever.
    budget_reset_at: the end of the window that is open, when there is a duration.
    budget_timezone: on whose clock windows end; None for UTC.
    budget_started_at: when the budget got this duration: no window before it left anything to carry over.
    budget_rollover: what a window of `max_budget` leaves is added to the next one, and only to that.
    budget_limits: further budgets that hold at the same time.
    tpd_limit: tokens in 24 hours.
    model_limits: by model group.
    """

    max_budget: int | None = None
    soft_budget: int | None = None
    budget_duration: str | None = None
    budget_timezone: str | None = None
    budget_reset_at: float | None = None
    budget_started_at: float | None = None
    budget_rollover: bool = False
    budget_limits: tuple[BudgetWindow, ...] = ()
    rpm_limit: int | None = None
    tpm_limit: int | None = None
    tpd_limit: int | None = None
    max_parallel_requests: int | None = None
    model_limits: dict[str, ModelLimits] = {}


class BudgetRecord(Limits, frozen=True, kw_only=True):
    """Limits with a name, which others refer to."""

    budget_id: str
    created_at: float = 0.0
    created_by: str | None = None
    updated_at: float = 0.0
    updated_by: str | None = None


class Budgeted(Limits, frozen=True, kw_only=True):
    """The limits and the spend that every level of the hierarchy has.

    budget_id: a `BudgetRecord` that says what the level itself leaves open.
    temp_budget_increase: added to `max_budget` until `temp_budget_expiry`.
    blocked: nothing may be used. expires: nothing may be used from then on.

    The rest is read, never written: `spend` of the open window of `max_budget`, `total_spend` of all time,
    `window_spend` of the open windows of `budget_limits`, `model_spend` of the models that have a budget, `carried`,
    what the last window left to this one, and `budget`, what `budget_id` refers to or else the configuration says.
    """

    models: tuple[str, ...] = ()
    budget_id: str | None = None
    temp_budget_increase: int | None = None
    temp_budget_expiry: float | None = None
    blocked: bool = False
    expires: float | None = None
    spend: int = 0
    total_spend: int = 0
    window_spend: tuple[int, ...] = ()
    model_spend: dict[str, int] = {}
    carried: int = 0
    budget: BudgetRecord | None = None


NOT_COLUMNS = frozenset({"spend", "total_spend", "window_spend", "model_spend", "carried", "budget"})
"""The fields of `Budgeted` that are read from elsewhere."""


class Administered(Budgeted, frozen=True, kw_only=True):
    """What an administrator made. `extra` keeps the fields of LiteLLM's API that have no meaning of their own here."""

    metadata: dict[str, object] = {}
    extra: dict[str, object] = {}
    created_at: float = 0.0
    created_by: str | None = None
    updated_at: float = 0.0
    updated_by: str | None = None


class KeyRecord(Administered, frozen=True, kw_only=True):
    """A virtual key.

    key_name: shows its last four characters.
    account_id: the name of its accounts. It stays when the key is regenerated, so that calls under way, leases and
        the spend stay with it; until then it is the key's hash.
    access_group_ids: access groups whose models it may use besides `models`.
    """

    key_hash: str
    key_name: str
    account_id: str
    key_alias: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    project_id: str | None = None
    organization_id: str | None = None
    access_group_ids: tuple[str, ...] = ()
    key_type: str = "default"
    allowed_routes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    last_active: float | None = None


class TeamRecord(Administered, frozen=True, kw_only=True):
    """A team; its members are rows of their own.

    member_limits: hold for each member that has none of its own.
    member_permissions: the paths of the admin API that members may use on the team's keys.
    """

    team_id: str
    team_alias: str | None = None
    organization_id: str | None = None
    access_group_ids: tuple[str, ...] = ()
    member_limits: Limits | None = None
    member_permissions: tuple[str, ...] = ()


class TeamMember(Budgeted, frozen=True, kw_only=True):
    """One user's membership of one team, with what the member may spend there."""

    team_id: str
    user_id: str
    role: MemberRole = "user"


class UserRecord(Administered, frozen=True, kw_only=True):
    """A person or a service that keys belong to."""

    user_id: str
    user_email: str | None = None
    user_alias: str | None = None
    user_role: Role = "internal_user"


class OrganizationRecord(Administered, frozen=True, kw_only=True):
    """An organisation that teams and keys belong to."""

    organization_id: str
    organization_alias: str


class OrganizationMember(Budgeted, frozen=True, kw_only=True):
    """One user's membership of one organisation, with what the member may spend there."""

    organization_id: str
    user_id: str
    role: OrganizationRole = "internal_user"


class ProjectRecord(Administered, frozen=True, kw_only=True):
    """A part of a team's work with limits of its own."""

    project_id: str
    team_id: str
    project_alias: str | None = None
    description: str | None = None


class CustomerRecord(Administered, frozen=True, kw_only=True):
    """An end user: whoever the caller says that it calls for. `default_model` answers when none is asked for."""

    user_id: str
    alias: str | None = None
    default_model: str | None = None


class TagRecord(Administered, frozen=True, kw_only=True):
    """A tag that calls can carry, with limits over all of them."""

    name: str
    description: str | None = None


class AccessGroup(Struct, frozen=True, kw_only=True):
    """A name for models, for names with `*` and for other access groups, that lists of models may use."""

    access_group: str
    model_names: tuple[str, ...] = ()
    description: str | None = None
    created_at: float = 0.0
    created_by: str | None = None
    updated_at: float = 0.0
    updated_by: str | None = None


class AddedModel(Struct, frozen=True, kw_only=True):
    """A deployment beside those of the configuration file, in the form of an entry of its `model_list`.

    Values may be `os.environ/NAME`, and secrets are never anything else.
    """

    model_id: str
    model_name: str
    litellm_params: dict[str, Any] = {}
    model_info: dict[str, Any] = {}
    created_at: float = 0.0
    created_by: str | None = None
    updated_at: float = 0.0
    updated_by: str | None = None

    def entry(self) -> dict[str, Any]:
        """The model as an entry of `model_list`."""
        return {"model_name": self.model_name, "litellm_params": self.litellm_params, "model_info": self.model_info}

    def __repr__(self) -> str:
        return f"AddedModel(model_id={self.model_id!r}, model_name={self.model_name!r})"


class AddedFallbacks(Struct, frozen=True, kw_only=True):
    """The models that stand in for another, the first choice first, in place of those of the configuration file."""

    model: str
    fallback_models: tuple[str, ...]
    created_at: float = 0.0
    created_by: str | None = None
    updated_at: float = 0.0
    updated_by: str | None = None


class Access(Struct, frozen=True, kw_only=True):
    """A key with all that limits it: what is needed to know a caller.

    The limits are those in force: of the level itself or of the budget it refers to, with access groups resolved.
    stale_at: when limits change by themselves, because a temporary increase ends or a window with carry-over does.
    """

    key: KeyRecord
    user: UserRecord | None
    team: TeamRecord | None
    member: TeamMember | None = None
    organization_member: OrganizationMember | None = None
    project: ProjectRecord | None = None
    organization: OrganizationRecord | None = None
    stale_at: float | None = None


class UsageCaller(Struct, frozen=True, array_like=True):
    """Who called, and to whom that key belonged then; `key_hash` is None when the master key called."""

    key_hash: str | None = None
    key_alias: str | None = None
    user_id: str | None = None
    team_id: str | None = None
    organization_id: str | None = None
    project_id: str | None = None


class UsageRoad(Struct, frozen=True, array_like=True):
    """What was asked of whom.

    call_type: LiteLLM's name of the operation, such as `acompletion`.
    model_group, deployment_id, provider, upstream_model, account, region: what served it.
    price_version: names the table that its cost was reckoned with. simulated: no real model was asked.
    """

    call_type: str
    model_group: str | None = None
    deployment_id: str | None = None
    provider: str | None = None
    upstream_model: str | None = None
    account: str | None = None
    region: str | None = None
    price_version: str | None = None
    simulated: bool = False


class UsageAttempt(Struct, frozen=True, array_like=True):
    """One attempt of a call. `ms`: milliseconds until it answered or failed; error: None for the one that answered."""

    deployment_id: str
    model_group: str
    account: str | None
    region: str | None
    ms: int | None
    error: str | None


class UsageRow(Struct, kw_only=True, array_like=True, gc=False):
    """What one call used. Every call leaves exactly one, which nobody changes once it is recorded.

    id: the call's id, a UUID.
    caller, road: what repeats from call to call.
    started_at, ended_at: milliseconds since the epoch. `ttft_ms`: until the first token, None if there was none.
    queued_ms: how long it waited in line for room at an upstream, None if it did not.
    model: as the caller asked.
    cost_nano: None when the price is unknown.
    status: `success`, `failure` or `client_closed`; http_status: what the client got (499 if it had left).
    estimated: the tokens were not all told by the upstream.
    agent, agent_version: what called, such as `claude-code`. agent_id: which of the session's agents, where it has
    several; parent_id: the agent or session that began it.
    retries: attempts beyond the first, on all targets. fallbacks: how often the call went on to another model group.
    overrun_nano: by how much it cost more than was held for it, because the upstream billed beyond its ceiling.
    attempts: all attempts in their order; none where the first has answered, which the road says.

    Nothing in it can refer back to it, so the garbage collector need not look at the hundreds that wait to be booked.
    """

    id: str
    caller: UsageCaller
    road: UsageRoad
    usage: Usage = Usage()
    tags: tuple[str, ...] = ()
    attempts: tuple[UsageAttempt, ...] = ()
    started_at: int
    ended_at: int
    ttft_ms: int | None = None
    queued_ms: int | None = None
    model: str
    cost_nano: int | None = None
    status: str
    http_status: int
    error_class: str | None = None
    estimated: bool = False
    streamed: bool = False
    session_id: str | None = None
    agent: str | None = None
    agent_version: str | None = None
    agent_id: str | None = None
    parent_id: str | None = None
    end_user: str | None = None
    requester_ip: str | None = None
    retries: int = 0
    fallbacks: int = 0
    overrun_nano: int | None = None
