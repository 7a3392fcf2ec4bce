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

    default_model: serves a request that names no model; one that names an unknown model only if
      `default_model_for_unknown`.
    failover: whether another deployment or a fallback model may answer when one fails.
    prompt_caching: whether cache points are set for clients that set none.
    budget_exceeded_status: the status of a refusal for money.
    response_retention: for how many seconds answers of the Responses API are kept for their key; None for not at all.
    """

    deployments: tuple[Deployment, ...]
    groups: dict[str, tuple[Deployment, ...]]
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
    max_request_bytes: int = 32 * 1024 * 1024
    response_retention: float | None = None
    callbacks: tuple[str, ...] = ()


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
