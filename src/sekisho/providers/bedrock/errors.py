"""What Bedrock's errors mean: whose fault, whether and where to try again, and what to tell the caller.

Sources: the exceptions of botocore's service model and the Bedrock user guide's "Troubleshooting API error codes".
Bedrock documents no Retry-After; its quotas are counted by the minute or by the day.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from sekisho.core.errors import (
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamRejected,
    UpstreamThrottled,
    UpstreamUnavailable,
    Verdict,
)

MISCONFIGURED_COOLDOWN = 300.0
"""Seconds a target that does not work as configured is left alone before it is tried once more."""

_DAY_COOLDOWN = 3600.0
"""Seconds a target over its daily quota is left alone: when its day ends is not told."""

_MAX_TEXT = 2000

_THROTTLED = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "ServiceQuotaExceededException"}
)
_MISCONFIGURED = frozenset(
    {"AccessDeniedException", "ResourceNotFoundException", "FTUFormNotFilled", "UnknownOperationException"}
)
_CREDENTIALS_REFUSED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_UNAVAILABLE = frozenset({"ServiceUnavailableException", "InternalServerException", "InternalFailure"})
_MODEL_FAILED = frozenset({"ModelErrorException", "ModelStreamErrorException"})

_CATALOGUE_FAULTS = (
    "on-demand throughput",
    "model identifier is invalid",
    "doesn't support the model",
    "operation not allowed",
    "model is not supported",
    "model isn't supported",
)
"""What a ValidationException says when the model id of the target is wrong, not the request."""


class NativeError(msgspec.Struct, frozen=True):
    """An error as Bedrock sent it. `status` is 0 for one inside a stream, `model_status` the model's own if told."""

    status: int
    code: str
    text: str
    model_status: int | None = None
    retry_after: float | None = None

    @property
    def throttled(self) -> bool:
        """Whether a quota is used up."""
        return self.code in _THROTTLED or (self.status == 429 and self.code != "ModelNotReadyException")

    @property
    def credentials_refused(self) -> bool:
        """Whether the keys were not accepted, which fresh ones may mend."""
        return self.code in _CREDENTIALS_REFUSED


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> NativeError:
    """Reads an error response; header names are lower case. A body that is not JSON is not passed on."""
    try:
        document: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        document = None
    fields: dict[str, Any] = document if isinstance(document, dict) else {}
    code = headers.get("x-amzn-errortype") or fields.get("__type") or fields.get("code") or ""
    text = fields.get("message") or fields.get("Message")
    model_status = fields.get("originalStatusCode")
    return NativeError(
        status,
        str(code).partition(":")[0].rpartition("#")[2],
        text[:_MAX_TEXT] if isinstance(text, str) else f"HTTP {status}",
        model_status if isinstance(model_status, int) else None,
        _seconds(headers.get("retry-after")),
    )


def read_fault(code: str, message: str) -> NativeError:
    """A fault inside a stream: the exception's member name (`throttlingException`), or a dialect's own word."""
    return NativeError(0, code[:1].upper() + code[1:] if code.endswith("Exception") else code, message[:_MAX_TEXT])


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.isascii() and value.isdigit() else None


def classify(error: NativeError, now: float, *, renewable: bool) -> UpstreamError:
    """What an error means.

    Args:
        error: the error.
        now: seconds since the epoch, for the rest of the minute of a quota.
        renewable: whether fresh credentials can be had.
    """
    if error.throttled:
        return _throttled(error, now)
    if error.credentials_refused:
        return _misconfigured(error, "same" if renewable else "elsewhere")
    if error.code in _MISCONFIGURED:
        return _misconfigured(error, "elsewhere")
    if error.code == "ValidationException":
        text = error.text.lower().replace("’", "'")
        if any(fault in text for fault in _CATALOGUE_FAULTS):
            return _misconfigured(error, "elsewhere")
        return UpstreamRejected(error.text, verdict="never", native=error.code)
    if error.code in _MODEL_FAILED and error.model_status is not None and error.model_status < 500:
        return UpstreamRejected(error.text, verdict="never", native=error.code)
    return _broken(error) or _by_status(error)


def _throttled(error: NativeError, now: float) -> UpstreamThrottled:
    """A quota of the minute is new with the next full minute. "Rate limit" is what agents go by."""
    daily = "per day" in error.text.lower() or "daily" in error.text.lower()
    seconds = error.retry_after or (_DAY_COOLDOWN if daily else 60.0 - now % 60.0)
    return UpstreamThrottled(
        f"Amazon Bedrock's rate limit for this model is reached. Bedrock says: {error.text}",
        verdict="elsewhere",
        native=error.code or None,
        cooldown=seconds,
        retry_after=seconds,
    )


def _misconfigured(error: NativeError, verdict: Verdict) -> UpstreamMisconfigured:
    """Bedrock's text names accounts and roles: it goes to the log as a note, not to the caller."""
    result = UpstreamMisconfigured(
        f"The model's deployment does not work as it is configured ({error.code or error.status}); "
        "your request is not the cause. The operator of this gateway must mend it.",
        verdict=verdict,
        native=error.code or None,
        cooldown=0.0 if verdict == "same" else MISCONFIGURED_COOLDOWN,
    )
    result.add_note(f"Bedrock says: {error.text}")
    return result


def _broken(error: NativeError) -> UpstreamUnavailable | None:
    """Errors of Bedrock's own; None for other codes."""
    verdict: Verdict
    if error.code in _UNAVAILABLE:
        status, verdict, wait = 503, "same", None
    elif error.code == "ModelNotReadyException":
        status, verdict, wait = 503, "same", 5.0
    elif error.code == "ModelTimeoutException":  # what the model produced until then may be billed
        status, verdict, wait = 504, "never", None
    elif error.code in _MODEL_FAILED or error.code == "corrupt":
        status, verdict, wait = 502, "elsewhere", None
    elif error.code == "malformed_output":
        status, verdict, wait = 502, "same", None
    else:
        return None
    return UpstreamUnavailable(
        f"Amazon Bedrock failed ({error.code}): {error.text}",
        verdict=verdict,
        native=error.code,
        status=status,
        retry_after=wait,
    )


def _by_status(error: NativeError) -> UpstreamError:
    """An error without a code that is known here."""
    native = error.code or None
    if error.status in (400, 405, 409, 411, 413, 415, 422):
        return UpstreamRejected(error.text, verdict="never", native=native, status=error.status)
    if error.status == 408:
        return UpstreamUnavailable(
            f"Amazon Bedrock timed out: {error.text}", verdict="never", native=native, status=504
        )
    if 300 <= error.status < 500:
        return _misconfigured(error, "elsewhere")
    return UpstreamUnavailable(f"Amazon Bedrock failed: {error.text}", verdict="same", native=native)
