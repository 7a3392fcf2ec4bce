"""The configuration as the gateway uses it: checked, resolved, immutable. One snapshot serves a call's whole life."""

from msgspec import Struct


class Deployment(Struct, frozen=True, kw_only=True):
    """One entry of `model_list`: one upstream that serves the model name `model_name`.

    `params` are the `litellm_params` with `os.environ/…` resolved and the `aws_*` defaults of `litellm_settings` laid
    under them; their meaning belongs to the provider. `where` is the entry's `file:line`, for messages.
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
    timeout: float | None = None
    stream_timeout: float | None = None
    drop_params: bool | None = None

    def __repr__(self) -> str:
        # Parameters may hold credentials.
        return f"Deployment(id={self.id!r}, model_name={self.model_name!r}, model={self.model!r}, where={self.where!r})"


class Snapshot(Struct, frozen=True, kw_only=True):
    """All that the configuration decides. Times in seconds, sizes in bytes.

    deployment_defaults: parameters for deployments that are added later and do not give them themselves.
    default_model: serves a request that names no model; one that names an unknown model only if
      `default_model_for_unknown`.
    failover: whether another deployment or a fallback model may answer when one fails.
    prompt_caching: whether cache points are set for clients that set none.
    budget_exceeded_status: the status of a refusal for money.
    max_budget: nano-dollars that all callers together may spend in each `budget_duration` (None: for ever).
    max_parallel_requests: how many calls of all callers may be under way at once.
    allow_unpriced_models: whether callers with a budget may use models without a price, which then cost them nothing.
    access_groups: the model names that the names of access groups stand for.
    response_retention: for how many seconds answers of the Responses API are kept for their key; None for not at all.
    usage_retention: for how many seconds usage rows are kept; None for ever.
    """

    deployments: tuple[Deployment, ...]
    groups: dict[str, tuple[Deployment, ...]]
    deployment_defaults: dict[str, object] = {}
    model_group_alias: dict[str, str] = {}
    fallbacks: dict[str, tuple[str, ...]] = {}
    default_fallbacks: tuple[str, ...] = ()
    default_model: str | None = None
    default_model_for_unknown: bool = False
    failover: bool = True
    num_retries: int = 2
    max_fallbacks: int = 5
    request_timeout: float = 600.0
    stream_timeout: float | None = None
    cooldown_time: float | None = None
    drop_params: bool = False
    prompt_caching: bool = True
    budget_exceeded_status: int = 402
    max_budget: int | None = None
    budget_duration: str | None = None
    max_parallel_requests: int | None = None
    allow_unpriced_models: bool = False
    access_groups: dict[str, tuple[str, ...]] = {}
    max_request_bytes: int = 32 * 1024 * 1024
    response_retention: float | None = None
    usage_retention: float | None = None
    callbacks: tuple[str, ...] = ()

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
