"""What the gateway can serve, as the model listings show it."""

from collections.abc import Sequence
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


class ModelCatalogue(Protocol):
    """Where the admin API asks for the models; it may change between two calls."""

    def entries(self) -> Sequence[ModelEntry]:
        """Every deployment that can be called, in the order of the configuration; those that were added come last."""
        ...

    def broken(self) -> Sequence[BrokenModel]:
        """Every deployment that cannot."""
        ...
