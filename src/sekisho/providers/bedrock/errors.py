"""What Bedrock's errors mean: whose fault, whether and where to try again, and what to tell the caller.

Sources: the exceptions of botocore's service model and the Bedrock user guide's "Troubleshooting API error codes". On
Anthropic's and OpenAI's own paths, errors of the model come in the vendor's shape.
"""

from collections.abc import Mapping

from sekisho.core.errors import UpstreamError, UpstreamUnavailable, Verdict
from sekisho.core.wire import WireFault
from sekisho.providers.aws.errors import (
    NativeError,
    classify_by_status,
    classify_common,
    describe_misconfigured,
    read_error,
    read_fault,
)
from sekisho.providers.common.failures import rejected
from sekisho.providers.common.replies import classify_reply, read_reply, reply_of_fault

SERVICE = "Amazon Bedrock"

_UNAVAILABLE = frozenset({"ServiceUnavailableException", "InternalServerException", "InternalFailure"})
_MODEL_FAILED = frozenset({"ModelErrorException", "ModelStreamErrorException"})
_WAKING_REPEATS = 5
"""How often a cold model is asked again; the AWS SDKs do the same."""
_OUR_WORDS = frozenset({"corrupt", "malformed_output"})

_CATALOGUE_FAULTS = (
    "on-demand throughput",
    "model identifier is invalid",
    "doesn't support the model",
    "operation not allowed",
    "model is not supported",
    "model isn't supported",
    "isn't supported on this route",
)
"""What a ValidationException says when the model id of the target is wrong, not the request."""


def judge_response(
    status: int, headers: Mapping[str, str], body: bytes, now: float, *, renewable: bool
) -> tuple[UpstreamError, NativeError | None]:
    """What an error response means, and the error as AWS sent it, where it is AWS's own. Header names are lower case.

    What AWS says has its error type in a header or as `__type`; a body with `error` and neither is the vendor's.
    """
    native = read_error(status, headers, body)
    reply = read_reply(status, headers, body)
    if native.code or reply is None:
        return classify(native, now, renewable=renewable), native
    return classify_reply(reply, now, service=SERVICE), None


def judge_fault(fault: WireFault, now: float, *, renewable: bool) -> tuple[UpstreamError, NativeError | None]:
    """What a fault inside a stream means: an exception of Bedrock's, or an error event in the vendor's words."""
    if fault.code.endswith("Exception") or fault.code in _OUR_WORDS:
        native = read_fault(fault.code, fault.message)
        return classify(native, now, renewable=renewable), native
    return classify_reply(reply_of_fault(fault), now, service=SERVICE), None


def classify(error: NativeError, now: float, *, renewable: bool) -> UpstreamError:
    """What an error of Bedrock's own means.

    Args:
        error: the error.
        now: seconds since the epoch, for the rest of the minute of a quota.
        renewable: whether fresh credentials can be had.
    """
    common = classify_common(error, now, service=SERVICE, renewable=renewable)
    if common is not None:
        return common
    if error.code == "ValidationException":
        text = error.text.lower().replace("’", "'")
        if any(fault in text for fault in _CATALOGUE_FAULTS):
            return describe_misconfigured(error, SERVICE)
        return rejected(error.text, error.code)
    if error.code in _MODEL_FAILED and error.model_status is not None and error.model_status < 500:
        return rejected(error.text, error.code)
    return _broken(error) or classify_by_status(error, SERVICE)


def _broken(error: NativeError) -> UpstreamUnavailable | None:
    """Errors of Bedrock's own; None for other codes."""
    verdict: Verdict
    repeats = 1
    if error.code in _UNAVAILABLE:
        status, verdict, wait = 503, "same", None
    elif error.code == "ModelNotReadyException":
        status, verdict, wait, repeats = 503, "same", 5.0, _WAKING_REPEATS
    elif error.code == "ModelTimeoutException":  # what the model produced until then may be billed
        status, verdict, wait = 504, "never", None
    elif error.code in _MODEL_FAILED or error.code == "corrupt":
        status, verdict, wait = 502, "elsewhere", None
    elif error.code == "malformed_output":
        status, verdict, wait = 502, "same", None
    else:
        return None
    return UpstreamUnavailable(
        f"{SERVICE} failed ({error.code}): {error.text}",
        verdict=verdict,
        native=error.code,
        repeats=repeats,
        status=status,
        retry_after=wait,
    )
