"""Endpoints that change models."""

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter, ValidationError

from sekisho.config.added import list_idle
from sekisho.control.api.gate import caller_of
from sekisho.control.api.model_requests import DeleteModel, NewModel, UpdateModel
from sekisho.control.api.notes import HEADER
from sekisho.control.api.requests import Name
from sekisho.control.services import models_admin
from sekisho.control.services.context import Services
from sekisho.core.errors import InvalidRequest

_NAME: TypeAdapter[str] = TypeAdapter(Name)


def add_routes(router: APIRouter, services: Services) -> None:
    """Add the endpoints that add, change and delete models."""

    @router.post("/model/new", tags=["models"])
    async def add_model(request: Request, response: Response, body: NewModel) -> dict[str, Any]:
        """Add a deployment of a model, at once and without a restart."""
        fields = _note_idle(response, body.fields())
        _identity(fields)
        return await models_admin.add_model(services, caller_of(request), fields)

    @router.post("/model/update", tags=["models"])
    async def update_model(request: Request, response: Response, body: UpdateModel) -> dict[str, Any]:
        """Change the deployment whose id is in `model_info.id`."""
        fields = _note_idle(response, body.fields())
        identity = _identity(fields)
        if identity is None:
            raise InvalidRequest("model_info.id must name the model to change.", param="model_info.id")
        return await models_admin.update_model(services, caller_of(request), identity, fields)

    @router.patch("/model/{model_id}/update", tags=["models"])
    async def patch_model(request: Request, response: Response, model_id: Name, body: UpdateModel) -> dict[str, Any]:
        """Change a deployment."""
        fields = _note_idle(response, body.fields())
        if _identity(fields) not in {None, model_id}:
            raise InvalidRequest("model_info.id is another than that of the path.", param="model_info.id")
        return await models_admin.update_model(services, caller_of(request), model_id, fields)

    @router.post("/model/delete", tags=["models"])
    async def delete_model(body: DeleteModel) -> dict[str, Any]:
        """Delete a deployment; calls that it serves go on to their end."""
        return await models_admin.delete_model(services, body.id)


def _identity(fields: dict[str, Any]) -> str | None:
    """`model_info.id`, if it is given. Raises InvalidRequest when it cannot be one."""
    identity = (fields.get("model_info") or {}).get("id")
    try:
        return None if identity is None else _NAME.validate_python(identity)
    except ValidationError as error:
        raise InvalidRequest(f"model_info.id: {error.errors()[0]['msg']}", param="model_info.id") from error


def _note_idle(response: Response, fields: dict[str, Any]) -> dict[str, Any]:
    """Name in a header what is kept without effect, as of other requests."""
    if names := list_idle(fields):
        response.headers[HEADER] = ", ".join(names).encode("ascii", "replace").decode()
    return fields
