"""The bodies of requests that change models and fallbacks."""

from typing import Annotated, Any, Literal

from pydantic import Field

from sekisho.control.api.requests import Body, Name

FallbackType = Literal["general", "context_window", "content_policy"]


class NewModel(Body):
    """POST /model/new, in the form of an entry of `model_list`. Secrets are given as `os.environ/NAME`."""

    model_name: Name
    litellm_params: dict[str, Any]
    model_info: dict[str, Any] | None = None


class UpdateModel(Body):
    """POST /model/update, PATCH /model/{model_id}/update. A parameter that is not there stays, null takes it away."""

    model_name: Name | None = None
    litellm_params: dict[str, Any] | None = None
    model_info: dict[str, Any] | None = None


class DeleteModel(Body):
    """POST /model/delete."""

    id: Name


class SetFallbacks(Body):
    """POST /fallback. The first of `fallback_models` is tried first."""

    model: Name
    fallback_models: Annotated[list[Name], Field(min_length=1, max_length=50)]
    fallback_type: FallbackType = "general"
