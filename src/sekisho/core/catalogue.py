"""What the gateway can serve, as the model listings show it."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from sekisho.core.model import ModelFacts
from sekisho.core.money import Price


class ModelEntry(Struct, frozen=True, kw_only=True):
    """One deployment behind a model name. `params` are its `litellm_params` without secrets; `price` None: unknown."""

    model_name: str
    deployment_id: str
    upstream_model: str
    provider: str
    facts: ModelFacts
    price: Price | None
    params: dict[str, object]


class ModelCatalogue(Protocol):
    """Where the admin API asks for the models; it may change between two calls."""

    def entries(self) -> Sequence[ModelEntry]:
        """Every deployment, in the order of the configuration."""
        ...
