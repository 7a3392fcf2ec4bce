"""Refusals in the words of Anthropic's API: https://docs.claude.com/en/api/errors."""

from typing import Any

from sekisho.simulator.errors import Refusal

_WORDS = {
    "AccessDeniedException": "permission_error",
    "ExpiredTokenException": "authentication_error",
    "IncompleteSignatureException": "authentication_error",
    "InvalidSignatureException": "authentication_error",
    "MissingAuthenticationTokenException": "authentication_error",
    "ModelTimeoutException": "timeout_error",
    "RequestEntityTooLargeException": "request_too_large",
    "ResourceNotFoundException": "not_found_error",
    "SerializationException": "invalid_request_error",
    "ServiceQuotaExceededException": "rate_limit_error",
    "ServiceUnavailableException": "overloaded_error",
    "ThrottlingException": "rate_limit_error",
    "UnknownOperationException": "not_found_error",
    "UnrecognizedClientException": "authentication_error",
    "ValidationException": "invalid_request_error",
}
_STATUS_OF = {
    "api_error": 500,
    "authentication_error": 401,
    "billing_error": 402,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "request_too_large": 413,
    "timeout_error": 504,
}


def word_error(error: Refusal) -> dict[str, Any]:
    """The error object of an answer and of an `error` event. A word of Anthropic's own stays as it is."""
    kind = error.kind if error.kind in _STATUS_OF else _WORDS.get(error.kind, "api_error")
    return {"type": "error", "error": {"type": kind, "message": error.words, **error.detail}}


def write_anthropic_error(error: Refusal) -> tuple[int, dict[str, str], dict[str, Any]]:
    """A refusal: status, headers, document."""
    document = word_error(error)
    status = error.asked_status or _STATUS_OF[document["error"]["type"]]
    return status, error.headers, document
