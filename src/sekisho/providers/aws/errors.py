"""Errors that every AWS service has, and what they mean: quotas, credentials, access.

Sources: "Common errors" in AWS's API references, and the exceptions of botocore's service models. AWS documents no
Retry-After; quotas are counted by the minute or by the day.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from sekisho.core.errors import (
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamThrottled,
    UpstreamUnavailable,
    Verdict,
)
from sekisho.providers.common.failures import misconfigured, rejected, throttled

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


class NativeError(msgspec.Struct, frozen=True):
    """An error as AWS sent it. `status` is 0 for one inside a stream.

    `model_status` and `model_text` are the model's own answer, where a service tells of it.
    """

    status: int
    code: str
    text: str
    model_status: int | None = None
    model_text: str | None = None
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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    fields: dict[str, Any] = document if isinstance(document, dict) else {}
    code = headers.get("x-amzn-errortype") or fields.get("__type") or fields.get("code") or ""
    text = fields.get("message") or fields.get("Message")
    model_status = fields.get("originalStatusCode") or fields.get("OriginalStatusCode")
    model_text = fields.get("OriginalMessage")
    return NativeError(
        status,
        str(code).partition(":")[0].rpartition("#")[2],
        text[:_MAX_TEXT] if isinstance(text, str) else f"HTTP {status}",
        model_status if isinstance(model_status, int) else None,
        model_text if isinstance(model_text, str) else None,
        _seconds(headers.get("retry-after")),
    )


def read_fault(code: str, message: str) -> NativeError:
    """A fault inside a stream: the exception's member name (`throttlingException`), or a dialect's own word."""
    return NativeError(0, code[:1].upper() + code[1:] if code.endswith("Exception") else code, message[:_MAX_TEXT])


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.isascii() and value.isdigit() else None


def classify_common(error: NativeError, now: float, *, service: str, renewable: bool) -> UpstreamError | None:
    """What an error of a quota, of credentials or of access means; None for other errors.

    Args:
        error: the error.
        now: seconds since the epoch, for the rest of the minute of a quota.
        service: the service's name for messages.
        renewable: whether fresh credentials can be had.
    """
    if error.throttled:
        return _throttled(error, now, service)
    if error.credentials_refused:
        return describe_misconfigured(error, service, "same" if renewable else "elsewhere")
    if error.code in _MISCONFIGURED:
        return describe_misconfigured(error, service)
    return None


def _throttled(error: NativeError, now: float, service: str) -> UpstreamThrottled:
    """A quota of the minute is new with the next full minute; one of a day is not mended by any short rest."""
    daily = "per day" in error.text.lower() or "daily" in error.text.lower()
    seconds = error.retry_after or (_DAY_COOLDOWN if daily else 60.0 - now % 60.0)
    return throttled(service, error.code or None, error.text, seconds, told=daily or error.retry_after is not None)


def describe_misconfigured(error: NativeError, service: str, verdict: Verdict = "elsewhere") -> UpstreamMisconfigured:
    """The target does not work as it is configured."""
    return misconfigured(service, error.code or None, error.text, status=error.status, verdict=verdict)


def classify_by_status(error: NativeError, service: str) -> UpstreamError:
    """An error without a code that is known."""
    native = error.code or None
    if error.status in (400, 405, 409, 411, 413, 415, 422):
        return rejected(error.text, native, status=error.status)
    if error.status == 408:
        return UpstreamUnavailable(f"{service} timed out: {error.text}", verdict="never", native=native, status=504)
    if 300 <= error.status < 500:
        return describe_misconfigured(error, service)
    return UpstreamUnavailable(f"{service} failed: {error.text}", verdict="same", native=native)
