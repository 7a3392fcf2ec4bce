"""What SageMaker's errors mean. Source: the exceptions of botocore's service model of sagemaker-runtime."""

from sekisho.core.errors import UpstreamError, UpstreamUnavailable, Verdict
from sekisho.core.wire import WireFault
from sekisho.providers.aws.errors import (
    NativeError,
    classify_by_status,
    classify_common,
    describe_misconfigured,
    read_fault,
)
from sekisho.providers.common.replies import Reply, classify_reply, read_reply, reply_of_fault

SERVICE = "Amazon SageMaker"
_MODEL = "The model behind the SageMaker endpoint"

_UNAVAILABLE = frozenset(
    {"InternalDependencyException", "InternalFailure", "InternalStreamFailure", "ServiceUnavailable"}
)
_BROKEN = frozenset({"ModelStreamError", "StreamBroken", "corrupt"})
_TIMED_OUT = "ModelInvocationTimeExceeded"
_NO_ENDPOINT = ("endpoint", "not found")


def classify_fault(fault: WireFault, now: float) -> UpstreamError:
    """What a fault inside a stream means: SageMaker's own, or an error event of the container in OpenAI's words."""
    if fault.code in _UNAVAILABLE or fault.code in _BROKEN or fault.code == _TIMED_OUT:
        return classify(read_fault(fault.code, fault.message), now, renewable=False)
    return classify_reply(reply_of_fault(fault), now, service=_MODEL)


def classify(error: NativeError, now: float, *, renewable: bool) -> UpstreamError:
    """What an error means.

    Args:
        error: the error.
        now: seconds since the epoch, for the rest of the minute of a quota.
        renewable: whether fresh credentials can be had.
    """
    if error.code == "ModelError":
        return _model_error(error, now)
    common = classify_common(error, now, service=SERVICE, renewable=renewable)
    if common is not None:
        return common
    if error.code == "ValidationError" and all(word in error.text.lower() for word in _NO_ENDPOINT):
        return describe_misconfigured(error, SERVICE)
    if error.code in _UNAVAILABLE:
        return _unavailable(error, "same", 503)
    if error.code == "ModelNotReadyException":
        return _unavailable(error, "same", 503, wait=5.0)
    if error.code == _TIMED_OUT:  # it would most likely run as long again
        return _unavailable(error, "never", 504)
    if error.code in _BROKEN:
        return _unavailable(error, "elsewhere", 502)
    return classify_by_status(error, SERVICE)


def _model_error(error: NativeError, now: float) -> UpstreamError:
    """The container's own answer: its status and its body, which may be in OpenAI's shape."""
    status = error.model_status or 500
    body = (error.model_text or "").encode()
    reply = read_reply(status, {}, body) or Reply(status, (), error.model_text or error.text)
    return classify_reply(reply, now, service=_MODEL)


def _unavailable(error: NativeError, verdict: Verdict, status: int, wait: float | None = None) -> UpstreamUnavailable:
    return UpstreamUnavailable(
        f"{SERVICE} failed ({error.code}): {error.text}",
        verdict=verdict,
        native=error.code,
        status=status,
        retry_after=wait,
    )
