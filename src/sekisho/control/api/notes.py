"""Notes in response headers about what a request asked for and will not get."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from sekisho.control.services.fields import without_effect

HEADER = "x-sekisho-not-enforced"


def note_without_effect(response: Response, fields: Mapping[str, Any], known: frozenset[str]) -> None:
    """Name the fields that are kept and given back but have no effect, so that nobody relies on them."""
    if names := without_effect(fields, known):
        response.headers[HEADER] = ", ".join(names)
