"""Errors in the shape of Bedrock Runtime: the names of its service model, as bodies of responses and as stream frames.

The AWS SDKs find an error's class by `__type` in the body. Retrying is decided by it too: no name of a throttle or a
server's failure may be given to what would fail again (botocore.retries.standard has the lists).
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from sekisho.core.errors import (
    AccessDenied,
    BodyTimeout,
    BodyTooLarge,
    BudgetExceeded,
    CallerError,
    Conflict,
    NotFound,
    RateLimited,
    SekishoError,
    Unauthenticated,
    UpstreamError,
    UpstreamRejected,
    UpstreamThrottled,
    UpstreamUnavailable,
)
from sekisho.core.wire import WireFault
from sekisho.dialects.common.eventstream import encode_frame

_KINDS: Final[tuple[tuple[type[SekishoError], str], ...]] = (
    (Unauthenticated, "UnrecognizedClientException"),
    (BodyTooLarge, "RequestEntityTooLargeException"),
    (BodyTimeout, "RequestTimeoutException"),
    (NotFound, "ResourceNotFoundException"),
    (Conflict, "ConflictException"),
    (CallerError, "ValidationException"),
    (AccessDenied, "AccessDeniedException"),
    (RateLimited, "ThrottlingException"),
    (BudgetExceeded, "ServiceQuotaExceededException"),
    (UpstreamThrottled, "ThrottlingException"),
    (UpstreamRejected, "ValidationException"),
)
"""The first class that an error belongs to gives its name; the narrow ones stand first."""
_SIGNATURE_FAULTS: Final = frozenset({"IncompleteSignatureException", "InvalidSignatureException"})
"""What AWS says of a wrong signature, which those who check one give as the error's code."""
# The only exceptions that the service model knows inside the streams of both ConverseStream and InvokeModel.
_IN_STREAMS: Final = {
    "ValidationException": "validationException",
    "ThrottlingException": "throttlingException",
    "ServiceUnavailableException": "serviceUnavailableException",
    "InternalServerException": "internalServerException",
}


class _Failure(Struct, rename="camel"):
    message: str | None = None
    original_status_code: int | None = None


_decode_failure = msgspec.json.Decoder(_Failure).decode


def bedrock_error(error: SekishoError) -> tuple[str, bytes]:
    """The name of Bedrock's exception for an error, and the JSON body of the error response."""
    kind = _find_kind(error)
    return kind, msgspec.json.encode({"message": error.message, "__type": kind})


def bedrock_exception(error: SekishoError) -> bytes:
    """The event-stream frame that ends a broken stream."""
    kind = _IN_STREAMS.get(_find_kind(error))
    if kind is None:  # what has no name in streams is the model's failure or, if it is not, the caller's
        kind = "modelStreamErrorException" if isinstance(error, UpstreamError) else "validationException"
    headers = {":message-type": "exception", ":exception-type": kind, ":content-type": "application/json"}
    return encode_frame(headers, msgspec.json.encode({"message": error.message}))


def _find_kind(error: SekishoError) -> str:
    if isinstance(error, Unauthenticated) and error.code in _SIGNATURE_FAULTS:
        return error.code
    for kind, name in _KINDS:
        if isinstance(error, kind):
            return name
    if isinstance(error, UpstreamUnavailable):
        return {503: "ServiceUnavailableException", 504: "ModelTimeoutException"}.get(
            error.status, "ModelErrorException"
        )
    return "ServiceUnavailableException" if error.status == 503 else "InternalServerException"


def read_exception(headers: Mapping[str, str], payload: bytes) -> WireFault:
    """The fault that a frame of a stream tells of which is no event; the exception's name is the code."""
    code = headers.get(":exception-type") or headers.get(":error-code")
    if code is None:
        return WireFault("corrupt", "a frame is neither an event nor an exception")
    try:
        failure = _decode_failure(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        failure = _Failure()
    message = failure.message or headers.get(":error-message") or "the upstream gave no reason"
    if failure.original_status_code is not None:
        message = f"{message} (original status {failure.original_status_code})"
    return WireFault(code, message)
