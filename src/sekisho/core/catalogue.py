"""What the gateway can serve, as the model listings show it."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from sekisho.core.model import ModelFacts
from sekisho.core.money import Price


class ModelEntry(Struct, frozen=True, kw_only=True):
    """One deployment behind a model name.

    price: None when it is unknown. params: its `litellm_params` without secrets.
    added: whether it was added through the admin API; then `info` is its `model_info` and who made and changed it.
    mode: what it does, in LiteLLM's words.
    """

    model_name: str
    deployment_id: str
    upstream_model: str
    provider: str
    facts: ModelFacts
    price: Price | None
    params: dict[str, object]
    mode: Literal["chat", "embedding"] = "chat"
    added: bool = False
    info: dict[str, object] = {}


class BrokenModel(Struct, frozen=True, kw_only=True):
    """A deployment that cannot be called, and what keeps it from that."""

    model_name: str
    deployment_id: str
    problem: str
    params: dict[str, object]
    added: bool = False
    info: dict[str, object] = {}


class Milliseconds(Struct, frozen=True):
    """A time that differs from call to call: the average, in which recent calls count more, and percentiles."""

    average: float
    p50: float
    p95: float


class DeploymentState(Struct, frozen=True, kw_only=True):
    """What one process knows of a deployment from the calls that it has sent there.

    used_tokens, used_requests: of its quota in the last minute.
    quota_tokens, quota_requests: per minute, as configured, told by the upstream or learned; None when not known.
    room: the part of the quota that is left, from 0 to 1.
    first_token: the time to the first token; token: the time of whole calls for each token of output.
    rest: `free`, or why it is left alone now: `cooling`, `open` or `half_open` (its circuit breaker), `set_aside`.
    last_error_at: seconds since the epoch.
    """

    account: str | None
    region: str | None
    in_flight: int
    used_tokens: int
    used_requests: int
    quota_tokens: int | None
    quota_requests: int | None
    room: float | None
    first_token: Milliseconds | None
    token: Milliseconds | None
    rest: str
    rest_seconds: float
    rest_reason: str | None
    last_error: str | None
    last_error_at: float | None


class DeploymentHealth(Struct, frozen=True, kw_only=True):
    """What a check of a deployment found: `error` None when it answered, in so many milliseconds.

    params: its `litellm_params` without secrets. checked_at: seconds since the epoch.
    """

    model_name: str
    deployment_id: str
    model: str
    params: dict[str, object]
    error: str | None
    milliseconds: int
    checked_at: float


class ModelCatalogue(Protocol):
    """Where the admin API asks for the models; it may change between two calls."""

    def entries(self) -> Sequence[ModelEntry]:
        """Every deployment that can be called, in the order of the configuration; those that were added come last."""
        ...

    def aliases(self) -> Mapping[str, Sequence[ModelEntry]]:
        """The other names of models that lists of models show, and the deployments that they stand for."""
        ...

    def state(self, deployment_id: str) -> DeploymentState | None:
        """What this process knows of a deployment; None when it cannot be called."""
        ...

    def broken(self) -> Sequence[BrokenModel]:
        """Every deployment that cannot."""
        ...
