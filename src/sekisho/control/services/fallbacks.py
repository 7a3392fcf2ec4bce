"""Fallbacks that are set and taken away while the gateway runs."""

from collections.abc import Sequence

from sekisho.control.services.context import Services
from sekisho.control.services.ownership import made_by
from sekisho.control.services.views import View
from sekisho.core.caller import Caller
from sekisho.core.errors import InvalidRequest, NotFound
from sekisho.store.records import AddedFallbacks

GENERAL = "general"


async def set_fallbacks(services: Services, caller: Caller, model: str, names: Sequence[str], kind: str) -> View:
    """Let these models stand in for `model`, in place of those that the configuration file names.

    Raises:
        NotFound: there is no such model.
        InvalidRequest: there is no such fallback, or it is named twice or is the model itself.
    """
    _check_kind(kind)
    _check_names(services, model, names)
    known = model in services.worlds.snapshot.fallbacks
    record = AddedFallbacks(model=model, fallback_models=tuple(names), **made_by(services, caller))
    await services.store.fallbacks.put(record)
    await _spread(services, model)
    done = "updated" if known else "created"
    return {**_view(model, names), "message": f"Fallback configuration {done} successfully"}


def show_fallbacks(services: Services, model: str, kind: str) -> View:
    """The models that stand in for `model`, whoever named them. Raises NotFound when there are none."""
    _check_kind(kind)
    names = services.worlds.snapshot.fallbacks.get(model)
    if not names:
        raise _none(model)
    return _view(model, names)


async def delete_fallbacks(services: Services, model: str, kind: str) -> View:
    """Take away the fallbacks that were set here; those of the configuration file count again.

    Raises:
        InvalidRequest: only the configuration file names some.
        NotFound: there are none.
    """
    _check_kind(kind)
    if not await services.store.fallbacks.delete(model):
        if model in services.worlds.files.fallbacks:
            message = f"The fallbacks of {model!r} stand in the configuration file: change them there, or set others."
            raise InvalidRequest(message, param="model")
        raise _none(model)
    await _spread(services, model)
    return {"model": model, "fallback_type": GENERAL, "message": "Fallback configuration deleted successfully"}


async def _spread(services: Services, model: str) -> None:
    await services.worlds.refresh()


def _check_kind(kind: str) -> None:
    if kind != GENERAL:
        message = f"fallback_type {kind!r} has no effect in this version; 'general' covers every failure."
        raise InvalidRequest(message, param="fallback_type")


def _check_names(services: Services, model: str, names: Sequence[str]) -> None:
    snapshot = services.worlds.snapshot
    if model not in snapshot.groups:
        alias = snapshot.model_group_alias.get(model)
        if alias is not None:
            message = f"{model!r} is another name for {alias!r}. Set the fallbacks of {alias!r}."
            raise InvalidRequest(message, param="model")
        raise NotFound(f"There is no model {model!r}. Add it first with /model/new.", param="model")
    if len(set(names)) < len(names):
        raise InvalidRequest("fallback_models names a model twice.", param="fallback_models")
    for name in names:
        group = name if name in snapshot.groups else snapshot.model_group_alias.get(name)
        if group not in snapshot.groups:
            raise InvalidRequest(f"fallback_models: there is no model {name!r}.", param="fallback_models")
        if group == model:
            raise InvalidRequest(f"{name!r} cannot stand in for itself.", param="fallback_models")


def _none(model: str) -> NotFound:
    return NotFound(f"No {GENERAL} fallbacks are configured for model {model!r}.", param="model")


def _view(model: str, names: Sequence[str]) -> View:
    return {"model": model, "fallback_models": list(names), "fallback_type": GENERAL}
