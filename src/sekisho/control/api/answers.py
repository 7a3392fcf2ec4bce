"""What answers look like, errors among them."""

from math import ceil
from typing import Any

import msgspec
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from sekisho.core.errors import SekishoError


class ErrorBody(BaseModel):
    """What is wrong. `param` names the field; `code` is the status as text."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorAnswer(BaseModel):
    """Every error, in LiteLLM's shape."""

    error: ErrorBody


class Json(JSONResponse):
    """A JSON answer. Its base class has FastAPI describe what endpoints give back in the OpenAPI document."""

    def render(self, content: Any) -> bytes:
        """Encode `content`."""
        return msgspec.json.encode(content)


def answer_at_once(content: Any, response: Response) -> Json:
    """A long answer with the headers of `response`, past FastAPI's check of it, which takes longer than to make it."""
    answer = Json(content)
    answer.headers.raw.extend(response.headers.raw)
    return answer


def render_error(error: SekishoError) -> Json:
    """An error in LiteLLM's shape; `code` is the status as text."""
    body = {"message": error.message, "type": error.kind, "param": error.param, "code": str(error.status)}
    headers = {} if error.retry_after is None else {"retry-after": str(max(1, ceil(error.retry_after)))}
    return Json({"error": body}, status_code=error.status, headers=headers)
