"""The admin API as one ASGI application."""

import logging
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sekisho.control.api import (
    access_groups,
    audit,
    budgets,
    customers,
    docs,
    fallbacks,
    keys,
    models,
    models_admin,
    operations,
    organizations,
    projects,
    reports,
    spend,
    tags,
    teams,
    users,
)
from sekisho.control.api.answers import ErrorAnswer, Json, render_error
from sekisho.control.api.gate import Gate
from sekisho.control.api.notes import note_ignored
from sekisho.control.api.requests import UNKNOWN_FIELD
from sekisho.control.services.context import Services
from sekisho.core.errors import CallerError, InternalError, InvalidRequest, NotFound, SekishoError

_log = logging.getLogger(__name__)

_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"model": ErrorAnswer, "description": "The caller's fault"},
    "5XX": {"model": ErrorAnswer, "description": "A fault here, such as a database that does not answer"},
}
_BODY: Final = "request_body"
_ENDPOINTS: Final = (
    *(keys, users, teams, projects, organizations, customers, tags, budgets, access_groups),
    *(models, models_admin, fallbacks, spend, reports, audit, operations),
)


def build_control(services: Services) -> FastAPI:
    """Build the admin API over `services`."""
    app = FastAPI(
        title="Sekisho",
        summary="Keys, teams, users, models and spend of the LLM gateway",
        version=services.version,
        default_response_class=Json,
        docs_url=None,  # FastAPI's page loads its parts from elsewhere; ours stands alone
        redoc_url=None,
        redirect_slashes=False,
    )
    # The gate checks the key; this only says in the OpenAPI document that one is needed.
    bearer = HTTPBearer(auto_error=False, description="A virtual key or the master key")
    router = APIRouter(dependencies=[Depends(bearer), Depends(note_ignored)], responses=_ERRORS)
    for endpoints in _ENDPOINTS:
        endpoints.add_routes(router, services)
    app.include_router(router)
    app.add_api_route("/docs", lambda: docs.page(app.openapi()), include_in_schema=False)
    app.add_exception_handler(SekishoError, _on_sekisho_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_exception)
    app.add_middleware(Gate, identity=services.identity)
    return app


async def _on_sekisho_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, SekishoError)
    return render_error(error)


async def _on_validation_error(_request: Request, error: Exception) -> Response:
    """The first thing that is wrong, with the path of its field; a misspelt field before anything else."""
    assert isinstance(error, RequestValidationError)
    found: list[dict[str, Any]] = list(error.errors())
    first = next((one for one in found if one["type"] == UNKNOWN_FIELD), found[0])
    place = [str(part) for part in first["loc"] if part not in {"body", "query", "path"}]
    if first["type"] == UNKNOWN_FIELD:
        place.append(first["ctx"]["field"])
    if first["type"] == "json_invalid" or not place:
        invalid, other = "is not valid JSON", "must be a JSON object, sent as Content-Type: application/json"
        wrong = invalid if first["type"] == "json_invalid" else other
        return render_error(InvalidRequest(f"The body {wrong}.", param=_BODY))
    field = ".".join(place)
    return render_error(InvalidRequest(f"{field}: {first['msg']}", param=field))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """No such path, not with this method, or a body that could not be read."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, SekishoError):
        return render_error(error.__cause__)
    if error.status_code == InvalidRequest.status:
        return render_error(InvalidRequest("The body is not valid JSON.", param=_BODY))
    if error.status_code == NotFound.status:
        return render_error(NotFound(f"No such path: {request.url.path}. See /docs."))
    message = f"{request.method} {request.url.path}: {error.detail}. See /docs."
    response = render_error(CallerError(message, status=error.status_code))
    response.headers.update(error.headers or {})
    return response


async def _on_exception(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return render_error(InternalError("Something went wrong here. The log says what."))
