"""Fields of keys and teams that say how their calls are routed."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from sekisho.config.overrides import read_override
from sekisho.core.errors import ConfigError

_LONGEST = 256
_MOST = 200

_Model = Annotated[str, Field(min_length=1, max_length=_LONGEST)]


def _check_settings(settings: dict[str, Any]) -> dict[str, Any]:
    try:
        read_override(settings)
    except ConfigError as error:
        raise ValueError(error.message) from None
    return settings


RouterSettings = Annotated[dict[str, Any], AfterValidator(_check_settings)]
"""What it says in place of the installation's `router_settings`."""
Aliases = Annotated[dict[_Model, _Model], Field(max_length=_MOST)]
"""Its own names for models."""
BudgetFallbacks = Annotated[dict[_Model, list[_Model]], Field(max_length=_MOST)]
"""The models that go on for a model whose budget of its own is spent."""
