"""What the gateway can serve, as the model listings show it."""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from sekisho.core.model import ModelFacts
from sekisho.core.money import Price


class ModelEntry(Struct, frozen=True, kw_only=True):
    """One deployment behind a model name. `params` are its `litellm_params` without secrets; `price` None: unknown.

    `mode` is what it does, in LiteLLM's words.
    """

    model_name: str
    deployment_id: str
    upstream_model: str
    provider: str
    facts: ModelFacts
    price: Price | None
    params: dict[str, object]
    mode: Literal["chat", "embedding"] = "chat"


class ModelCatalogue(Protocol):
    """Where the admin API asks for the models; it may change between two calls."""

    def entries(self) -> Sequence[ModelEntry]:
        """Every deployment, in the order of the configuration."""
        ...
