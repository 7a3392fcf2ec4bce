"""Notes in response headers about what a request asked for and will not get."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from starlette.responses import Response

from sekisho.control.services.fields import without_effect

HEADER = "x-sekisho-not-enforced"
IGNORED = "x-sekisho-ignored-parameters"
_MOST_SHOWN = 20


def note_without_effect(response: Response, fields: Mapping[str, Any], known: frozenset[str]) -> None:
    """Name the fields that are kept and given back but have no effect, so that nobody relies on them."""
    if names := without_effect(fields, known):
        response.headers[HEADER] = ", ".join(names)


def note_ignored(request: Request, response: Response) -> None:
    """Name the parameters of the query that the endpoint does not know: they filtered nothing."""
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    ignored = [name for name in request.query_params if name not in known and name.isascii() and name.isprintable()]
    if ignored:
        response.headers[IGNORED] = ", ".join(sorted(set(ignored))[:_MOST_SHOWN])
