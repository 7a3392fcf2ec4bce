"""Models that are added, changed and deleted while the gateway runs."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import structs

from sekisho.config.added import without_secrets
from sekisho.control.services.context import Services
from sekisho.control.services.ownership import changed_by, made_by
from sekisho.control.services.views import View, iso
from sekisho.core.caller import Caller
from sekisho.core.errors import Conflict, InvalidRequest, NotFound, SekishoError
from sekisho.core.ids import new_id
from sekisho.store.records import AddedModel

_OURS: Final = frozenset({"id", "db_model", "created_at", "created_by", "updated_at", "updated_by", "error"})
"""What answers have in `model_info` and no request sets; a client that sends an answer back means no harm by it."""


async def add_model(services: Services, caller: Caller, fields: Mapping[str, Any]) -> View:
    """Add a deployment, which serves calls as soon as this returns; elsewhere within a second.

    Raises:
        InvalidRequest: it cannot work.
        Conflict: its id is taken.
    """
    info = fields.get("model_info") or {}
    identity = info.get("id") or new_id(services.clock.now())
    if _file_place(services, identity) is not None:
        message = f"A model of the configuration file has the id {identity!r}. Choose another."
        raise Conflict(message, param="model_info.id")
    record = AddedModel(
        model_id=identity,
        model_name=fields["model_name"],
        litellm_params=_merge({}, fields["litellm_params"]),
        model_info=_merge({}, info),
        **made_by(services, caller),
    )
    services.worlds.check(identity, record.entry())
    await services.store.models.insert(record)
    await _spread(services, identity)
    return _view(record)


async def update_model(services: Services, caller: Caller, identity: str, fields: Mapping[str, Any]) -> View:
    """Change what `fields` gives; a parameter that is not given stays, and null takes it away.

    Raises:
        InvalidRequest: it could not work, or it stands in the configuration file.
        NotFound: there is no such model.
    """

    def change(before: AddedModel) -> AddedModel:
        after = structs.replace(
            before,
            model_name=fields.get("model_name") or before.model_name,
            litellm_params=_merge(before.litellm_params, fields.get("litellm_params") or {}),
            model_info=_merge(before.model_info, fields.get("model_info") or {}),
            **changed_by(services, caller),
        )
        services.worlds.check(identity, after.entry())
        return after

    record = await services.store.models.update(identity, change)
    if record is None:
        raise _not_here(services, identity)
    await _spread(services, identity)
    return _view(record)


async def delete_model(services: Services, identity: str) -> View:
    """Delete an added model. Calls that it serves go on to their end.

    Raises:
        InvalidRequest: it stands in the configuration file.
        NotFound: there is no such model.
    """
    if not await services.store.models.delete(identity):
        raise _not_here(services, identity)
    await _spread(services, identity)
    return {"message": f"Model: {identity} deleted successfully"}


async def _spread(services: Services, identity: str) -> None:
    await services.worlds.refresh()


def _merge(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**before, **given}
    return {name: value for name, value in merged.items() if value is not None and name not in _OURS}


def _file_place(services: Services, identity: str) -> str | None:
    """Where the configuration file has a model with this id."""
    places = (deployment.where for deployment in services.worlds.files.deployments if deployment.id == identity)
    return next(places, None)


def _not_here(services: Services, identity: str) -> SekishoError:
    place = _file_place(services, identity)
    if place is None:
        return NotFound(f"There is no model with the id {identity!r}. See /model/info for those there are.", param="id")
    message = f"The model {identity!r} stands in the configuration file ({place}). Change it there and start again."
    return InvalidRequest(message, param="id")


def _view(record: AddedModel) -> View:
    return {
        "model_id": record.model_id,
        "model_name": record.model_name,
        "litellm_params": without_secrets(record.litellm_params),
        "model_info": {**record.model_info, "id": record.model_id, "db_model": True},
        "created_at": iso(record.created_at),
        "created_by": record.created_by,
        "updated_at": iso(record.updated_at),
        "updated_by": record.updated_by,
    }
