"""The configuration as the gateway uses it: checked, resolved, immutable. One snapshot serves a call's whole life."""

from typing import Final

from msgspec import Struct

from sekisho.core.caller import BudgetWindow, Scope

STRATEGIES: Final = (
    "headroom",
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "usage-based-routing-v2",
    "usage-based-routing",
    "cost-based-routing",
)
"""How a deployment is chosen, by LiteLLM's names and our own `headroom`."""


class PerFailure(Struct, frozen=True, kw_only=True):
    """A number for each kind of failure, in LiteLLM's words for them; None where nothing is said of a kind."""

    bad_request: int | None = None
    authentication: int | None = None
    timeout: int | None = None
    rate_limit: int | None = None
    content_policy: int | None = None
    internal: int | None = None


class QueueSettings(Struct, frozen=True, kw_only=True):
    """How calls wait while every deployment of their model is full.

    max_seconds: how long one call waits at most; 0 for not at all. max_depth: how many wait at most in one process.
    team_weights: shares of what becomes free, by team id; a team that is not named has weight 1.
    """

    max_seconds: float = 90.0
    max_depth: int = 1000
    team_weights: dict[str, float] = {}


class HealthSettings(Struct, frozen=True, kw_only=True):
    """How `/health` comes to know of deployments: by `background` checks every `interval` seconds, or when asked.

    details: whether `/health` shows more than the model of a deployment. concurrency: how many checks run at once.
    """

    background: bool = False
    interval: float = 300.0
    details: bool = True
    concurrency: int = 8


class Deployment(Struct, frozen=True, kw_only=True):
    """One entry of `model_list`: one upstream that serves the model name `model_name`. Times are in seconds.

    `params` are the `litellm_params` with `os.environ/…` resolved and the `aws_*` defaults of `litellm_settings` laid
    under them; their meaning belongs to the provider. `where` is the entry's `file:line`, for messages.

    What is None is decided by the snapshot's setting of the same name.

    timeout: until the upstream begins to answer; stream_timeout: the same for streamed calls.
    connect_timeout: until there is a connection. idle_timeout: between two pieces of an answer.
    total_timeout: for the whole attempt, the end of the answer included.
    """

    id: str
    model_name: str
    model: str
    params: dict[str, object]
    model_info: dict[str, object]
    where: str
    weight: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    order: int | None = None
    tags: tuple[str, ...] = ()
    max_parallel_requests: int | None = None
    timeout: float | None = None
    stream_timeout: float | None = None
    connect_timeout: float | None = None
    idle_timeout: float | None = None
    total_timeout: float | None = None
    num_retries: int | None = None
    cooldown_time: float | None = None
    allowed_fails: int | None = None
    allowed_fails_policy: PerFailure | None = None
    drop_params: bool | None = None

    def __repr__(self) -> str:
        # Parameters may hold credentials.
        return f"Deployment(id={self.id!r}, model_name={self.model_name!r}, model={self.model!r}, where={self.where!r})"


class Snapshot(Struct, frozen=True, kw_only=True):
    """All that the configuration decides. Times in seconds, sizes in bytes.

    wildcards: the names of groups with `*`, the most specific first.
    deployment_defaults: parameters for deployments that are added later and do not give them themselves.
    hidden_aliases: those of `model_group_alias` that lists of models leave out.
    fallbacks: the models that stand in for a model; `context_window_fallbacks` for calls that are too long for it,
      `content_policy_fallbacks` for those its provider's filter refuses, `budget_fallbacks` for those that a budget of
      the model no longer pays for.
    default_model: serves a request that names no model; one that names an unknown model only if
      `default_model_for_unknown`.
    failover: whether another deployment or a fallback model may answer when one fails.
    routing_strategy: one of `STRATEGIES`; routing_strategy_args: LiteLLM's, as numbers.
    request_timeout: bounds all attempts of a call together, until it is answered.
    max_attempt_seconds: after which time a call that failed is tried nowhere else.
    retry_policy, model_group_retry_policy: how often an attempt is repeated, by the kind of its failure, in place of
      `num_retries`; the latter by model.
    allowed_fails: how many failures a minute a deployment may have before it is left alone.
    default_max_parallel_requests: of each deployment that states none.
    enable_pre_call_checks: whether models that a prompt is certainly too long for are passed over.
    enable_tag_filtering: whether the tags of a call choose among deployments, of which any one must match when
      `tag_filtering_match_any`, else all.
    reject_client_tags: whether requests that give tags themselves are refused.
    prompt_caching: whether cache points are set for clients that set none.
    budget_exceeded_status: the status of a refusal for money.
    installation: the scope of all callers together, with what they may use.
    timezone: on whose clock budget windows end that name no other; None for UTC.
    allow_unpriced_models: whether callers with a budget may use models without a price, which then cost them nothing.
    access_groups: the model names that the names of access groups stand for.
    response_retention: for how many seconds answers of the Responses API are kept for their key; None for not at all.
    key_defaults: what virtual keys get that are made without it. key_bounds: the most that they may have.
    team_defaults, user_defaults: what teams and internal users get that are made without it.
    end_user_budget_id, end_user_budget: a budget of the database, and nano-dollars for ever where that does not say it,
      for end users without limits of their own. tag_budgets: what tags may spend whose own limits do not say it.
    budget_rollover: whether levels that are made without saying so carry over what a budget window leaves.
    metrics_need_key: whether a key is asked for at `/metrics`.
    usage_retention: for how many seconds usage rows are kept; None for ever.
    """

    deployments: tuple[Deployment, ...]
    groups: dict[str, tuple[Deployment, ...]]
    wildcards: tuple[str, ...] = ()
    deployment_defaults: dict[str, object] = {}
    model_group_alias: dict[str, str] = {}
    hidden_aliases: frozenset[str] = frozenset()
    fallbacks: dict[str, tuple[str, ...]] = {}
    context_window_fallbacks: dict[str, tuple[str, ...]] = {}
    content_policy_fallbacks: dict[str, tuple[str, ...]] = {}
    budget_fallbacks: dict[str, tuple[str, ...]] = {}
    default_fallbacks: tuple[str, ...] = ()
    default_model: str | None = None
    default_model_for_unknown: bool = False
    failover: bool = True
    routing_strategy: str = "headroom"
    routing_strategy_args: dict[str, float] = {}
    num_retries: int = 2
    max_fallbacks: int = 5
    request_timeout: float = 600.0
    stream_timeout: float | None = None
    connect_timeout: float = 10.0
    idle_timeout: float = 300.0
    total_timeout: float | None = None
    max_attempt_seconds: float | None = None
    retry_policy: PerFailure = PerFailure()
    model_group_retry_policy: dict[str, PerFailure] = {}
    cooldown_time: float | None = None
    disable_cooldowns: bool = False
    allowed_fails: int = 3
    allowed_fails_policy: PerFailure = PerFailure()
    default_max_parallel_requests: int | None = None
    enable_pre_call_checks: bool = True
    enable_tag_filtering: bool = False
    tag_filtering_match_any: bool = True
    reject_client_tags: bool = False
    queue: QueueSettings = QueueSettings()
    health: HealthSettings = HealthSettings()
    drop_params: bool = False
    prompt_caching: bool = True
    budget_exceeded_status: int = 402
    installation: Scope = Scope(kind="installation", id="all")
    timezone: str | None = None
    allow_unpriced_models: bool = False
    access_groups: dict[str, tuple[str, ...]] = {}
    max_request_bytes: int = 32 * 1024 * 1024
    response_retention: float | None = None
    usage_retention: float | None = None
    metrics_need_key: bool = True
    callbacks: tuple[str, ...] = ()
    key_defaults: dict[str, object] = {}
    key_bounds: dict[str, object] = {}
    team_defaults: dict[str, object] = {}
    user_defaults: dict[str, object] = {}
    end_user_budget_id: str | None = None
    end_user_budget: int | None = None
    tag_budgets: dict[str, BudgetWindow] = {}
    budget_rollover: bool = False

    def __repr__(self) -> str:
        # The defaults of deployments may hold credentials.
        return f"Snapshot({len(self.deployments)} deployments, models={list(self.groups)!r})"


class Bootstrap(Struct, frozen=True, kw_only=True):
    """What is needed once, at start, and is never part of a snapshot because it is secret or fixed.

    `environment` is the file's `environment_variables`, for libraries that look into the process's environment.
    """

    master_key: str | None = None
    database_url: str | None = None
    environment: dict[str, str] = {}

    def __repr__(self) -> str:
        given = [name for name in self.__struct_fields__ if getattr(self, name)]
        return f"Bootstrap({', '.join(f'{name}=***' for name in given)})"


class Finding(Struct, frozen=True, kw_only=True):
    """Something in a file that is worth saying: `level` is `error` (cannot be used) or `warning`."""

    level: str
    where: str
    message: str


class Loaded(Struct, frozen=True, kw_only=True):
    """The result of reading a configuration that can be used."""

    snapshot: Snapshot
    bootstrap: Bootstrap
    findings: tuple[Finding, ...]
