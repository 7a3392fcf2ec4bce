"""Refusals in the words of OpenAI's API: https://platform.openai.com/docs/guides/error-codes."""

from typing import Any

from msgspec import Struct

from sekisho.simulator.errors import Refusal

INVALID = "invalid_request_error"


class _Words(Struct, frozen=True):
    status: int
    type: str
    code: str | None = None


_WORDS = {
    "AccessDeniedException": _Words(403, INVALID, "permission_denied"),
    "ExpiredTokenException": _Words(401, INVALID, "invalid_api_key"),
    "IncompleteSignatureException": _Words(401, INVALID, "invalid_api_key"),
    "InvalidSignatureException": _Words(401, INVALID, "invalid_api_key"),
    "MissingAuthenticationTokenException": _Words(401, INVALID),
    "ModelTimeoutException": _Words(504, "server_error"),
    "RequestEntityTooLargeException": _Words(413, INVALID),
    "ResourceNotFoundException": _Words(404, INVALID, "model_not_found"),
    "SerializationException": _Words(400, INVALID),
    "ServiceQuotaExceededException": _Words(429, "insufficient_quota", "insufficient_quota"),
    "ServiceUnavailableException": _Words(503, "server_error", "service_unavailable"),
    "ThrottlingException": _Words(429, "requests", "rate_limit_exceeded"),
    "UnknownOperationException": _Words(404, INVALID, "unknown_url"),
    "UnrecognizedClientException": _Words(401, INVALID, "invalid_api_key"),
    "ValidationException": _Words(400, INVALID),
    # OpenAI's own words, for faults that ask for them.
    INVALID: _Words(400, INVALID),
    "context_length_exceeded": _Words(400, INVALID, "context_length_exceeded"),
    "insufficient_quota": _Words(429, "insufficient_quota", "insufficient_quota"),
    "rate_limit_exceeded": _Words(429, "requests", "rate_limit_exceeded"),
    "server_error": _Words(500, "server_error", "server_error"),
}
_UNKNOWN = _Words(500, "server_error", "server_error")


def refuse(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    """A refusal for a mistake in `param`, with OpenAI's `code` for it where it has one."""
    return Refusal(INVALID, message, detail={"param": param, "code": code})


def code_of(error: Refusal) -> str:
    """OpenAI's code for a failure."""
    return error.detail.get("code") or _WORDS.get(error.kind, _UNKNOWN).code or INVALID


def word_error(error: Refusal) -> dict[str, Any]:
    """The error object of an answer and of a broken stream."""
    words = _WORDS.get(error.kind, _UNKNOWN)
    return {"error": {"message": error.words, "type": words.type, "param": None, "code": words.code, **error.detail}}


def write_openai_error(error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
    """A refusal: status, headers, document."""
    status = error.asked_status or _WORDS.get(error.kind, _UNKNOWN).status
    return status, error.headers, word_error(error)
